"""Compiles the C programs of this folder into `benchmarks/bin/` when they are missing or older than their source."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
BIN = HERE / "bin"
FLAGS = ["-O2", "-std=gnu11", "-Wall", "-Wextra"]
PROGRAMS = ("sipload", "rtpref")


def _sources(name: str) -> tuple[list[Path], list[Path]]:
    """The C files of a program, and everything it depends on."""
    folder = HERE / name
    if folder.is_dir():
        c_files = sorted(folder.glob("*.c"))
        return c_files, [*c_files, *folder.glob("*.h")]
    return [HERE / f"{name}.c"], [HERE / f"{name}.c"]


def build(name: str) -> Path:
    """The path of the program, compiled now if needed.

    Raises:
        RuntimeError: there is no C compiler, or it refuses.
    """
    program = BIN / name
    c_files, inputs = _sources(name)
    if program.exists() and program.stat().st_mtime >= max(path.stat().st_mtime for path in inputs):
        return program
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise RuntimeError("the benchmarks need a C compiler: gcc or cc")
    BIN.mkdir(exist_ok=True)
    fresh = BIN / f".{name}.new"
    result = subprocess.run([compiler, *FLAGS, "-o", fresh, *c_files, "-lm"], capture_output=True, text=True, check=False)
    if result.returncode:
        raise RuntimeError(f"{name} does not compile:\n{result.stderr}")
    fresh.replace(program)
    return program


if __name__ == "__main__":
    for program_name in PROGRAMS:
        print(build(program_name))
