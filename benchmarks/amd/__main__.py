"""Who has answered? The detector of `amd` against a folder of labelled recordings: a confusion matrix, and every mistake.

    python benchmarks/amd --make build/amd          # writes the project's own set: 20 voices, greetings of both kinds, noise, codec
    python benchmarks/amd build/amd                 # judges each build/amd/human/*.wav and build/amd/machine/*.wav

The WAVs are 16-bit mono at 8 kHz and begin with the answer.
"""

from __future__ import annotations

import argparse
import collections
import time
from pathlib import Path

import numpy as np

import media.wav
from media.amd import AmdSettings, AnswerDetector, Verdict

RATE_HZ = 8000
FRAME = 160
KINDS = ("human", "machine")


def judge(path: Path, settings: AmdSettings) -> Verdict:
    """Feed one recording as a call would."""
    samples, rate_hz = media.wav.read(path)
    if rate_hz != RATE_HZ:
        raise SystemExit(f"{path} has {rate_hz} Hz, not {RATE_HZ}")
    detector = AnswerDetector(RATE_HZ, settings)
    for start in range(0, len(samples), FRAME):
        if (verdict := detector.feed(samples[start : start + FRAME])) is not None:
            return verdict
    return detector.give_up()


def show(results: list[tuple[str, Path, Verdict]], took_s: float, heard_s: float) -> None:
    """The tables on the terminal."""
    counts = collections.Counter((kind, str(verdict.answerer)) for kind, _, verdict in results)
    names = ("human", "machine", "notsure")
    print(f"{'is | judged':>12}", *(f"{name:>9}" for name in names))
    for kind in KINDS:
        print(f"{kind:>12}", *(f"{counts[kind, name]:>9}" for name in names))
    right = sum(counts[kind, kind] for kind in KINDS)
    print(f"\nright: {right} of {len(results)}, {right / max(1, len(results)):.1%}")
    for kind in KINDS:
        taken = [verdict.took_ms for this, _, verdict in results if this == kind]
        if taken:
            print(f"{kind}: decided after {np.median(taken):.0f} ms in the middle, {max(taken)} ms at the most")
    print(f"CPU: {took_s / max(heard_s, 1e-9):.2%} of a core for each call that is listened to\n")
    for kind, path, verdict in results:
        if verdict.answerer != kind:
            print(f"{kind} taken for {verdict.answerer}: {path.name}: {verdict}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--make", action="store_true", help="write the project's own set into the folder first")
    parser.add_argument("--least", type=float, default=0.0, help="exit with 1 when fewer than this share is right")
    for name, default in AmdSettings.__dataclass_fields__.items():
        parser.add_argument("--" + name.replace("_", "-"), type=int, default=default.default)
    options = parser.parse_args()
    if options.make:
        from greetings import make

        print(f"{make(options.folder)} recordings written to {options.folder}")
    settings = AmdSettings(**{name: getattr(options, name) for name in AmdSettings.__dataclass_fields__})
    results, heard_s, before_s = [], 0.0, time.process_time()
    for kind in KINDS:
        for path in sorted((options.folder / kind).glob("*.wav")):
            verdict = judge(path, settings)
            heard_s += verdict.took_ms / 1000
            results.append((kind, path, verdict))
    if not results:
        raise SystemExit(f"no {options.folder}/human/*.wav and machine/*.wav")
    show(results, time.process_time() - before_s, heard_s)
    if sum(kind == verdict.answerer for kind, _, verdict in results) < options.least * len(results):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
