"""New ids: random UUIDs, or those of a seed in a simulation, so that the same story always has the same ids."""

from __future__ import annotations

import random
import uuid
from contextvars import ContextVar
from typing import Final

_SEEDED: Final[ContextVar[random.Random | None]] = ContextVar("sipcore_ids", default=None)


def new_id() -> str:
    """A UUID (RFC 9562 version 4) in its usual form."""
    source = _SEEDED.get()
    return str(uuid.uuid4() if source is None else uuid.UUID(int=source.getrandbits(128), version=4))


def use_seed(source: random.Random) -> None:
    """In this context, and in the tasks that come from it, ids are drawn from this source."""
    _SEEDED.set(source)
