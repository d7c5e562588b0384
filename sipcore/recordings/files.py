"""The folder of recordings. Everything here blocks; the recorder calls it on threads."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from media.recording import Finished, Pair, finish
from sipcore.engine import recording_files
from sipcore.recordings.recording import Recording
from sipcore.store import process_identity

log = logging.getLogger(__name__)

UNFINISHED: Final = ".unfinished"
_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NOTE: Final = "recording.json"
_MIX: Final = "mix.wav"


@dataclass(frozen=True, slots=True)
class _Note:
    """What is needed to finish a recording whose process is gone."""

    owner: str
    recording: Recording


class Workshop:
    """Where recordings are made: a folder for each that is not finished, a file for each that is. Only ids of ours become names in it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory.expanduser().absolute()

    def open(self, recording: Recording) -> None:
        """Make the folder of a new recording; nobody else may read it."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = self._folder(recording.id)
        folder.mkdir(parents=True, mode=0o700)
        note = _Note(process_identity(os.getpid()), recording)
        (folder / _NOTE).write_bytes(msgspec.json.encode(note))

    def stretch(self, recording_id: str, number: int) -> str:
        """The path that the engine is given for one stretch."""
        return str(self._folder(recording_id) / str(number))

    def mix(self, recording_id: str) -> Path:
        """The file for a recording that is one mix from its beginning: of a conference."""
        return self._folder(recording_id) / _MIX

    def target(self, recording: Recording) -> Path:
        """The finished file."""
        return self._directory / f"{_checked(recording.id)}.{recording.format}"

    def size_bytes(self, recording_id: str) -> int:
        """What has been written so far."""
        return sum(path.stat().st_size for path in self._folder(recording_id).glob("*.wav"))

    def make(self, recording: Recording, is_cancelled: Callable[[], bool]) -> Finished:
        """Make the file, and let go of what it was made of; that stays where it is when this fails.

        Raises:
            RecordingFailed, Cancelled: as `media.recording.finish`.
        """
        folder = self._folder(recording.id)
        numbers = sorted({int(path.name.partition(".")[0]) for path in folder.glob("[0-9]*.wav")})
        stretches = [recording_files(str(folder / str(number))) for number in numbers]
        pairs: list[Pair] = [(Path(said), Path(heard)) for said, heard in stretches] or [(folder / _MIX,)]
        made = finish(pairs, self.target(recording), recording.format, is_stereo=recording.channels == "stereo", is_cancelled=is_cancelled)
        self.discard(recording.id)
        return made

    def discard(self, recording_id: str) -> None:
        """Let go of what an unfinished recording has written."""
        shutil.rmtree(self._folder(recording_id), ignore_errors=True)
        with contextlib.suppress(OSError):  # others are in it
            (self._directory / UNFINISHED).rmdir()

    def delete(self, recording: Recording) -> None:
        """Delete everything of a recording."""
        self.target(recording).unlink(missing_ok=True)
        self.discard(recording.id)

    def lost(self) -> list[Recording]:
        """Unfinished recordings of processes that are gone."""
        found = []
        for folder in sorted((self._directory / UNFINISHED).glob("*")):
            try:
                note = msgspec.json.decode((folder / _NOTE).read_bytes(), type=_Note)
            except (OSError, msgspec.DecodeError) as error:
                log.warning("%s is no recording that could be finished: %s", folder, error)
                continue
            if note.recording.id == folder.name and _ID.fullmatch(folder.name) and not _is_alive(note.owner):
                found.append(note.recording)
        return found

    def _folder(self, recording_id: str) -> Path:
        return self._directory / UNFINISHED / _checked(recording_id)


def _checked(recording_id: str) -> str:
    if not _ID.fullmatch(recording_id):
        raise ValueError(f"{recording_id!r} is no id of a recording")
    return recording_id


def _is_alive(owner: str) -> bool:
    pid = owner.partition(":")[0]
    return pid.isdigit() and process_identity(int(pid)) == owner
