"""A short run of benchmarks/fuzz_frontdoor.py with a fixed seed: parser, framer and router raise nothing that is not theirs."""

from __future__ import annotations

import random
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_mutated_torture_messages_raise_nothing(monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    sys.modules.pop("fuzz_frontdoor", None)
    import fuzz_frontdoor

    door, dice, others = fuzz_frontdoor.load(), random.Random(4475), fuzz_frontdoor.seeds()
    for data in others:
        door.take(data)
    for _ in range(500):
        door.take(fuzz_frontdoor.mutate(dice.choice(others), dice, others))
