"""The engine of real calls: worker processes with PJSIP in them, started, filled, watched and retired. Nothing here imports pjsua2."""

from .pool import PjsipPool
from .settings import PoolSettings, WorkerView

__all__ = ["PjsipPool", "PoolSettings", "WorkerView"]
