"""Files: inside the media root, regular, and nothing else."""

import os
import socket
from pathlib import Path

import pytest

from media import AudioLibrary, FileMissing, Limits, NotAudio, PathRefused, StreamError, TooLarge, tones, wav
from media.url import is_url

RATE = 8000


@pytest.fixture
def root(library, tmp_path) -> Path:
    wav.write(tmp_path / "root" / "a.wav", tones.tone(440.0, 1.0, RATE), RATE)
    wav.write(tmp_path / "secret.wav", tones.tone(440.0, 1.0, RATE), RATE)
    return tmp_path / "root"


def refused(library, name, error, message=None):
    for call in (library.check_stream, library.stream):
        with pytest.raises(error, match=message):
            call(name)


@pytest.mark.parametrize("name", ["a.wav", "./a.wav", "sub/../a.wav", "link.wav", "http.wav", "{root}/a.wav"])
def test_files_inside_are_played(library, root, name):
    (root / "sub").mkdir()
    (root / "link.wav").symlink_to("a.wav")
    (root / "http.wav").symlink_to(root / "a.wav")
    name = name.format(root=root)
    library.check_stream(name)
    assert library.stream(name).duration_s == 1.0


@pytest.mark.parametrize(
    "name",
    [
        "../secret.wav",
        "/etc/passwd",
        "{root}/../secret.wav",
        "out.wav",
        "outdir/secret.wav",
        "/dev/zero",
        "../nothing",
        "../root2/x",
        "/proc/self/environ",
    ],
)
def test_files_outside_are_refused(library, root, name):
    (root / "out.wav").symlink_to(root.parent / "secret.wav")
    (root / "outdir").symlink_to(root.parent)
    refused(library, name.format(root=root), PathRefused, "outside the media root")


def test_a_root_with_a_similar_name_is_outside(library, root):
    (root.parent / "root2").mkdir()
    wav.write(root.parent / "root2" / "a.wav", tones.tone(440.0, 1.0, RATE), RATE)
    refused(library, "../root2/a.wav", PathRefused, "outside")


def test_what_is_no_regular_file_is_refused(library, root):
    os.mkfifo(root / "fifo")
    (root / "zero").symlink_to("/dev/zero")
    (root / "loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(root / "socket"))
        refused(library, "socket", PathRefused, "socket")
    refused(library, "fifo", PathRefused, "FIFO")
    refused(library, "zero", PathRefused, "outside")
    refused(library, "loop", PathRefused)
    refused(library, ".", PathRefused, "directory")
    refused(library, "", PathRefused, "directory")
    refused(library, "a\0.wav", PathRefused)
    refused(library, "\ud800.wav", StreamError)
    refused(library, "x" * 5000, PathRefused)


def test_devices_are_refused_even_inside_the_root(tmp_path):
    library = AudioLibrary(tmp_path / "cache", Path("/dev"))
    for name in ("zero", "null", "random", "tty"):
        refused(library, name, PathRefused, "device|No such")
    library.close()


def test_missing_and_empty_files(library, root):
    (root / "empty.wav").touch()
    refused(library, "nothing.wav", FileMissing, "no such file")
    refused(library, "a.wav/b.wav", FileMissing)
    refused(library, "empty.wav", NotAudio, "empty")


def test_a_file_that_is_too_large(make_library, tmp_path):
    with (tmp_path / "root" / "sparse.wav").open("wb") as file:
        file.truncate(10**12)
    refused(make_library(limits=Limits(file_max_bytes=10**9)), "sparse.wav", TooLarge)


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"<html>", "a page of HTML"), (b"hello", "not audio"), (wav.header(0, 8000), "no audio frames"), (wav.header(9, 8000), "truncated")],
)
def test_files_that_are_no_audio_are_named(library, root, data, message):
    (root / "bad.wav").write_bytes(data)
    library.check_stream("bad.wav")
    with pytest.raises(NotAudio, match=rf"bad\.wav: .*{message}"):
        library.stream("bad.wav")


def test_the_working_directory_is_the_root_when_none_is_given(tmp_path, monkeypatch):
    wav.write(tmp_path / "a.wav", tones.tone(440.0, 1.0, RATE), RATE)
    monkeypatch.chdir(tmp_path)
    library = AudioLibrary(tmp_path / "cache")
    assert library.stream("a.wav").duration_s == 1.0
    refused(library, "/etc/passwd", PathRefused)
    library.close()


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("a.wav", False),
        ("http.wav", False),
        ("c:d.wav", False),
        ("http://x", True),
        ("HTTPS:x", True),
        ("file:/x", True),
        ("s3://b/c", True),
    ],
)
def test_urls_and_paths_are_told_apart(name, answer):
    assert is_url(name) is answer
