"""Who hears whom in one worker: files into legs, legs into each other, on PJSIP's conference bridge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import assert_never

import pjsua2 as pj

from sipcore import engine

from .leg import Leg
from .playback import FilePlayer, PlaybackError, PlayerPool


class PatchPanel:
    """Keeps what was asked for, and connects it as soon as the media is there.

    Attributes:
        next_burial: When `tend` has something to do (monotonic seconds); `None`: nothing.
    """

    def __init__(self, legs: Mapping[str, Leg], players: PlayerPool, emit: Callable[[engine.Event], None]) -> None:
        self.next_burial: float | None = None
        self._legs = legs
        self._players = players
        self._emit = emit
        self._bridges: set[frozenset[str]] = set()

    def obey(self, command: engine.Play | engine.StopPlay | engine.Bridge | engine.Unbridge) -> None:
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
        if peer is None or peer is leg:
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
            leg.audio.stopTransmit(peer.audio)
            peer.audio.stopTransmit(leg.audio)

    @staticmethod
    def _join(leg: Leg, peer: Leg) -> None:
        if leg.audio is not None and peer.audio is not None:
            leg.audio.startTransmit(peer.audio)
            peer.audio.startTransmit(leg.audio)

    # ------------------------------------------------------------------------------------------------ the worker

    def connect(self, leg: Leg) -> None:
        """The leg has (new) media: connect everything that is meant for it."""
        if leg.player is not None:
            leg.player.send_to(leg.audio)
        self._start_waiting(leg)
        for pair in self._bridges:
            if leg.call_id in pair:
                (peer_id,) = pair - {leg.call_id}
                if peer := self._legs.get(peer_id):
                    self._join(leg, peer)

    def remove(self, leg: Leg) -> None:
        """The leg is over, its place on the bridge is gone already."""
        self._bridges = {pair for pair in self._bridges if leg.call_id not in pair}
        leg.waiting_play = None
        self._retire(leg)

    def tend(self) -> None:
        """Report the files that have ended, destroy old players. Outside of PJSIP's callbacks only."""
        for player in self._players.take_ended():
            self._finish(player)
        self.next_burial = self._players.dig()

    def close(self) -> None:
        """Destroy what is left, at the end of the worker."""
        self._players.clear()
