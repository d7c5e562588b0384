"""The program that speaks: pyttsx3 on espeak-ng, one request at a time over stdin and stdout.

It is started as a file and imports nothing of this package, so that it is up in a tenth of a second. Every message in
either direction is a frame: two big-endian 32-bit lengths, a JSON object, then raw bytes. The first frame out greets
with the engine's version and voices, each request (``text``, ``voice``, ``timeout_s``, and maybe ``rate`` in words per minute and
``pitch`` from 0 to 99) is answered by one frame with either ``rate_hz`` and samples, or ``error``. It ends at end of file on stdin:
then its parent is gone.

Which espeak-ng is decided here and never left to the dynamic linker: Debian's ``libespeak-ng.so.1`` when it loads and has
its data, otherwise the one in PyPI's ``espeakng-loader``. That one must be in memory, with global symbols, before
pyttsx3 looks for the same name, and needs ``ESPEAK_DATA_PATH``; espeak-ng cuts paths off at 160 characters and then
ends the process, so a longer one is reached through ``/proc/self/fd``.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import json
import os
import signal
import struct
import sys
import threading
from pathlib import Path
from typing import Any, BinaryIO

LENGTHS = struct.Struct(">II")
MESSAGE_MAX_BYTES = 4_000_000
PAYLOAD_MAX_BYTES = 200_000_000
WAV_HEADER_BYTES = 44
DATA_PATH_MAX_CHARS = 140
NOWHERE = "/dev/null/pulse"
LIBRARIES = ("auto", "system", "packaged")


def pack(message: dict[str, Any], payload: bytes = b"") -> bytes:
    """Return one frame."""
    text = json.dumps(message).encode()
    return LENGTHS.pack(len(text), len(payload)) + text + payload


def unpack_lengths(data: bytes) -> tuple[int, int]:
    """Return the lengths of message and payload.

    Raises:
        ValueError: they cannot be true: something else writes into the pipe.
    """
    message_bytes, payload_bytes = LENGTHS.unpack(data)
    if message_bytes > MESSAGE_MAX_BYTES or payload_bytes > PAYLOAD_MAX_BYTES:
        raise ValueError(f"impossible frame of {message_bytes} + {payload_bytes} bytes")
    return message_bytes, payload_bytes


def load_espeak(wanted: str) -> ctypes.CDLL:
    """Load espeak-ng where pyttsx3 will find it: ``system``, ``packaged``, or ``auto`` for the first that is there.

    Raises:
        OSError: there is none, or Debian's lacks its data (then ``apt-get install espeak-ng-data`` helps).
    """
    if wanted != "packaged":
        # Debian's looks for a sound server although none is to play, and libpulse makes directories on the way.
        os.environ.update(PULSE_SERVER=NOWHERE, PULSE_RUNTIME_PATH=NOWHERE, PULSE_STATE_PATH=NOWHERE, PULSE_COOKIE=NOWHERE)
        try:
            return ctypes.CDLL("libespeak-ng.so.1", mode=ctypes.RTLD_GLOBAL)
        except OSError:
            if wanted == "system":
                raise
    import espeakng_loader  # only where it is needed: it may be absent where Debian's is present

    os.environ["ESPEAK_DATA_PATH"] = _short_path(espeakng_loader.get_data_path())
    return ctypes.CDLL(espeakng_loader.get_library_path(), mode=ctypes.RTLD_GLOBAL)


def espeak_version(library: ctypes.CDLL) -> str:
    """Return the version and check that the data is where the library looks for it.

    Raises:
        OSError: no data. pyttsx3 would end the process without a word that anybody reads.
    """
    library.espeak_ng_InitializePath(None)
    library.espeak_Info.restype = ctypes.c_char_p
    directory = ctypes.c_char_p()
    version: bytes = library.espeak_Info(ctypes.byref(directory))
    data = Path(os.fsdecode(directory.value or b""))
    if not (data / "phontab").exists():
        raise OSError(f"espeak-ng {version.decode()} has no data at {data}; install espeak-ng-data")
    return version.decode().split()[0]


class Speaker:
    """pyttsx3, kept to the one way of using it that works."""

    def __init__(self, espeak: ctypes.CDLL) -> None:
        import pyttsx3  # type: ignore[import-untyped,unused-ignore]  # not before the library is loaded

        self._espeak = espeak
        self._engine = pyttsx3.init("espeak")
        self._finished = threading.Event()
        self._errors: list[str] = []
        self._engine.connect("finished-utterance", self._on_finished)
        self._engine.connect("error", self._on_error)
        # A file in memory: nothing is left on disk whenever this process is killed.
        self._file = os.memfd_create("speech")
        self._engine.proxy.setBusy(False)  # it starts as busy, and would keep what is set before the first text

    def voices(self) -> list[dict[str, str]]:
        """Return id, language tag and English name of each voice."""
        return [
            {"id": voice.id, "language": (voice.languages or [""])[0], "name": voice.name} for voice in self._engine.getProperty("voices")
        ]

    def speak(self, text: str, voice: str, timeout_s: float, rate: int, pitch: int) -> tuple[int, bytes]:
        """Return rate (Hz) and 16-bit samples.

        Raises:
            RuntimeError: unknown voice, no end in time, or no valid file.
        """
        self._finished.clear()
        self._errors.clear()
        os.ftruncate(self._file, 0)
        self._engine.setProperty("voice", voice)
        self._engine.setProperty("rate", rate)
        self._engine.setProperty("pitch", pitch)
        # These are set on a thread of espeak-ng's own, and a text that comes at once is spoken as if they had not been.
        self._espeak.espeak_Synchronize()
        self._engine.save_to_file(text, f"/proc/self/fd/{self._file}")
        self._engine.runAndWait()
        # runAndWait may be back before the last callback: only this event says that the file is written.
        is_finished = self._finished.wait(timeout_s)
        if self._errors or not is_finished:
            raise RuntimeError("; ".join(self._errors) or f"no end after {timeout_s:g} s")
        return self._read()

    def _read(self) -> tuple[int, bytes]:
        data = os.pread(self._file, os.fstat(self._file).st_size, 0)
        if len(data) < WAV_HEADER_BYTES or data[:4] != b"RIFF":
            raise RuntimeError("no audio file was written")
        (rate_hz,) = struct.unpack_from("<I", data, 24)
        (size,) = struct.unpack_from("<I", data, 40)
        samples = data[WAV_HEADER_BYTES:]
        if len(samples) != size:
            raise RuntimeError(f"{len(samples)} bytes of audio were written, {size} announced")
        return rate_hz, samples

    def _on_finished(self, **_details: object) -> None:
        self._finished.set()

    def _on_error(self, exception: Exception, **_details: object) -> None:
        self._errors.append(str(exception))
        self._finished.set()


def serve(source: BinaryIO, sink: BinaryIO, library: str) -> None:
    """Greet, then answer requests until end of file, or until one failed: espeak-ng may still be at it."""
    espeak = load_espeak(library)
    number = espeak_version(espeak)
    speaker = Speaker(espeak)
    version = f"{number} (pyttsx3 {importlib.metadata.version('pyttsx3')})"
    _send(sink, pack({"version": version, "voices": speaker.voices()}))
    while request := _receive(source):
        timeout_s = float(request["timeout_s"])
        # Should espeak-ng hang with the parent gone, the alarm's default action ends the process.
        signal.setitimer(signal.ITIMER_REAL, 2 * timeout_s + 1)
        try:
            manner = request.get("rate", 200), request.get("pitch", 50)
            rate_hz, samples = speaker.speak(request["text"], request["voice"], timeout_s, *manner)
        except RuntimeError as error:
            _send(sink, pack({"error": str(error)}))
            return
        signal.setitimer(signal.ITIMER_REAL, 0)
        _send(sink, pack({"rate_hz": rate_hz}, samples))


def main() -> None:
    """Run until stdin ends. The only argument is one of ``LIBRARIES``."""
    # pyttsx3 prints to stdout, so the frames move to a descriptor of their own.
    sink = os.fdopen(os.dup(1), "wb")
    # Whatever the parent blocks or ignores is inherited; the alarm must work.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
    try:
        serve(sys.stdin.buffer, sink, sys.argv[1] if len(sys.argv) > 1 else "auto")
        status = 0
    except (BrokenPipeError, EOFError):
        status = 0
    except (ImportError, OSError, RuntimeError) as error:
        sys.stderr.write(f"{error}\n")
        sys.stderr.flush()
        status = 1
    os._exit(status)  # espeak-ng's own clean-up at exit is known to hang


def _receive(source: BinaryIO) -> dict[str, Any] | None:
    lengths = source.read(LENGTHS.size)
    if len(lengths) < LENGTHS.size:
        return None
    message_bytes, payload_bytes = unpack_lengths(lengths)
    data = source.read(message_bytes + payload_bytes)
    if len(data) < message_bytes + payload_bytes:
        return None
    message: dict[str, Any] = json.loads(data[:message_bytes])
    return message


def _send(sink: BinaryIO, data: bytes) -> None:
    sink.write(data)
    sink.flush()


def _short_path(path: str) -> str:
    if len(path) <= DATA_PATH_MAX_CHARS:
        return path
    return f"/proc/self/fd/{os.open(path, os.O_RDONLY | os.O_DIRECTORY)}"


if __name__ == "__main__":
    main()
