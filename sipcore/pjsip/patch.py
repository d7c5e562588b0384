"""Who hears whom in one worker: files into legs, legs into each other, on PJSIP's conference bridge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, assert_never

import pjsua2 as pj

from sipcore import engine

from .leg import Leg
from .playback import FilePlayer, PlaybackError, PlayerPool
from .recording import RecorderPool, RecordingError

PatchCommand = engine.Play | engine.StopPlay | engine.Bridge | engine.Unbridge | engine.Mute | engine.StartRecording | engine.StopRecording


class PatchPanel:
    """Keeps what was asked for, and connects it as soon as the media is there.

    Attributes:
        next_burial: When `tend` has something to do (monotonic seconds); `None`: nothing.
    """

    def __init__(self, legs: Mapping[str, Leg], players: PlayerPool, recorders: RecorderPool, emit: Callable[[engine.Event], None]) -> None:
        self.next_burial: float | None = None
        self._legs = legs
        self._players = players
        self._recorders = recorders
        self._emit = emit
        self._bridges: set[frozenset[str]] = set()

    def obey(self, command: PatchCommand) -> None:
        """Carry out a command; one for a leg that is not there is ignored."""
        leg = self._legs.get(command.call_id)
        if leg is None:
            return
        match command:
            case engine.Play():
                self._play(leg, command)
            case engine.StopPlay():
                self._stop_play(leg, command.play_id)
            case engine.Bridge():
                self._bridge(leg, command.peer_id)
            case engine.Unbridge():
                self._unbridge(leg, command.peer_id)
            case engine.Mute():
                leg.mute(command.direction, is_muted=command.is_muted)
            case engine.StartRecording():
                self._record(leg, command)
            case engine.StopRecording():
                if leg.recorder is not None and leg.recorder.order.recording_id == command.recording_id:
                    self._stop_recording(leg)
            case _:
                assert_never(command)

    # ----------------------------------------------------------------------------------------------------- files

    def _play(self, leg: Leg, play: engine.Play) -> None:
        replaced = leg.waiting_play or (leg.player.play if leg.player else None)
        if replaced is not None:
            self._stop_play(leg, replaced.play_id)
            self._emit(engine.PlaybackFinished(play.call_id, replaced.play_id, error="replaced"))
        leg.waiting_play = play
        if leg.audio is not None:
            self._start_waiting(leg)

    def _start_waiting(self, leg: Leg) -> None:
        play, leg.waiting_play = leg.waiting_play, None
        if play is None:
            return
        try:
            player = self._players.create(play)
        except PlaybackError as error:
            self._emit(engine.PlaybackFinished(play.call_id, play.play_id, error=str(error)))
            return
        leg.player = player
        player.send_to(leg.audio)
        for ear in leg.ears:
            player.send_to_ear(ear)

    def _stop_play(self, leg: Leg, play_id: str) -> None:
        if leg.waiting_play is not None and leg.waiting_play.play_id == play_id:
            leg.waiting_play = None
        if leg.player is not None and leg.player.play.play_id == play_id:
            self._retire(leg)

    def _retire(self, leg: Leg) -> None:
        player, leg.player = leg.player, None
        if player is None:
            return
        if leg.audio is None:
            player.forget_sink()
        try:
            player.stop()
        except pj.Error:
            player.forget_sink()
        self._players.bury(player)

    def _finish(self, player: FilePlayer) -> None:
        leg = self._legs.get(player.play.call_id)
        if leg is not None and leg.player is player:
            self._retire(leg)
            self._emit(engine.PlaybackFinished(player.play.call_id, player.play.play_id))

    # --------------------------------------------------------------------------------------------------- bridges

    def _bridge(self, leg: Leg, peer_id: str) -> None:
        peer = self._legs.get(peer_id)
        if peer is None:
            return
        self._bridges.add(frozenset((leg.call_id, peer_id)))
        self._join(leg, peer)

    def _unbridge(self, leg: Leg, peer_id: str) -> None:
        pair = frozenset((leg.call_id, peer_id))
        if pair not in self._bridges:
            return
        self._bridges.discard(pair)
        peer = self._legs.get(peer_id)
        if peer is not None and leg.audio is not None and peer.audio is not None:
            for speaker, listener in _ways(leg, peer):
                speaker.audio.stopTransmit(listener.audio)
                for ear in listener.ears:
                    speaker.audio.stopTransmit(ear)

    @staticmethod
    def _join(leg: Leg, peer: Leg) -> None:
        if leg.audio is not None and peer.audio is not None:
            for speaker, listener in _ways(leg, peer):
                speaker.audio.startTransmit(listener.audio)
                for ear in listener.ears:
                    speaker.audio.startTransmit(ear)

    def _peers(self, leg: Leg) -> list[Leg]:
        """Whom it is bridged with, itself for an echo, media or not."""
        found = (self._legs.get(next(iter(pair - {leg.call_id}), leg.call_id)) for pair in self._bridges if leg.call_id in pair)
        return [peer for peer in found if peer is not None]

    # ------------------------------------------------------------------------------------------------ recordings

    def _record(self, leg: Leg, order: engine.StartRecording) -> None:
        if leg.recorder is not None:
            self._emit(engine.RecordingFinished(order.call_id, order.recording_id, 0.0, "the leg is being recorded already"))
            return
        try:
            leg.recorder = self._recorders.create(order)
        except RecordingError as error:
            self._emit(engine.RecordingFinished(order.call_id, order.recording_id, 0.0, str(error)))
            return
        self.add_ear(leg, leg.recorder.heard)
        self._connect_recorder(leg)

    @staticmethod
    def _connect_recorder(leg: Leg) -> None:
        """What the leg says; what it hears is connected as for every ear."""
        if leg.recorder is not None and leg.audio is not None:
            leg.audio.startTransmit(leg.recorder.said)

    def add_ear(self, leg: Leg, ear: Any) -> None:
        """Let this hear all that the far end hears; it is one of `leg.ears` by now, and hears what begins later by that."""
        leg.mute_ears()
        if leg.player is not None:
            leg.player.send_to_ear(ear)
        for tap in leg.taps:
            tap.port.startTransmit(ear)
        for peer in self._peers(leg):
            if peer.audio is not None:
                peer.audio.startTransmit(ear)

    def remove_ear(self, leg: Leg, ear: Any) -> None:
        """Undo `add_ear`."""
        if leg.player is not None:
            leg.player.stop_ear(ear)
        for tap in leg.taps:
            tap.port.stopTransmit(ear)
        for peer in self._peers(leg):
            if peer.audio is not None:
                peer.audio.stopTransmit(ear)

    def _stop_recording(self, leg: Leg) -> None:
        """The sources are taken off by PJSIP when the recorder is destroyed; until then silence comes out of what has been stopped."""
        recorder, leg.recorder = leg.recorder, None
        if recorder is None:
            return
        self.remove_ear(leg, recorder.heard)
        if leg.audio is not None:
            leg.audio.stopTransmit(recorder.said)
        self._recorders.bury(recorder)

    # ------------------------------------------------------------------------------------------------ the worker

    def connect(self, leg: Leg) -> None:
        """The leg has (new) media: connect everything that is meant for it."""
        leg.apply_mute()
        if leg.player is not None:
            leg.player.send_to(leg.audio)
        self._start_waiting(leg)
        for peer in self._peers(leg):
            self._join(leg, peer)
        self._connect_recorder(leg)

    def remove(self, leg: Leg) -> None:
        """The leg is over, its place on the bridge is gone already."""
        for tap in leg.taps:
            if tap.near is not None:
                self.remove_ear(leg, tap.near)
        self._bridges = {pair for pair in self._bridges if leg.call_id not in pair}
        leg.waiting_play = None
        self._stop_recording(leg)
        self._retire(leg)

    def tend(self) -> None:
        """Report the files that have ended, destroy old players. Outside of PJSIP's callbacks only."""
        for player in self._players.take_ended():
            self._finish(player)
        for recorder in self._recorders.take_broken():
            if leg := self._legs.get(recorder.order.call_id):
                self._stop_recording(leg)
        self.next_burial = min((due for due in (self._players.dig(), self._recorders.dig()) if due is not None), default=None)

    def close(self) -> None:
        """Destroy what is left, at the end of the worker."""
        self._players.clear()
        self._recorders.clear()


def _ways(leg: Leg, peer: Leg) -> tuple[tuple[Leg, Leg], ...]:
    """Who speaks to whom; an echo goes one way."""
    return ((leg, peer),) if leg is peer else ((leg, peer), (peer, leg))
