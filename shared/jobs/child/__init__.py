"""Runs media steps in disposable, offline, confined processes. The service uses `ChildPool`; the rest is inside."""

from shared.jobs.child.pool import ChildPool
from shared.jobs.child.results import result_path
from shared.jobs.child.sources import LocalSource, RangedSource, Source

__all__ = ["ChildPool", "LocalSource", "RangedSource", "Source", "result_path"]
