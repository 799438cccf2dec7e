"""What a child may use of the machine: rlimits, and a place at the head of the queue for the OOM killer."""

from __future__ import annotations

import contextlib
import math
import resource
from pathlib import Path

MAX_OPEN_FILES = 256
MAX_OPEN_FILES_CUDA = 1024
"""The CUDA driver opens its device nodes many times over."""
_CPU_SECONDS_SLACK = 5


def apply(*, memory_bytes: int, file_bytes: int, cpu_seconds: float, accelerator: str) -> None:
    """Set the limits, soft and hard, never above what is already in force.

    Args:
        memory_bytes: address space; with `cuda` only private writable memory (RLIMIT_DATA), because the driver
            reserves far more addresses than it uses.
        file_bytes: the longest file that may be written.
        cpu_seconds: processor time of all threads together; the kernel then kills the process with SIGXCPU.
    """
    cpu = math.ceil(cpu_seconds) + _CPU_SECONDS_SLACK
    cuda = accelerator == "cuda"
    _lower(resource.RLIMIT_DATA if cuda else resource.RLIMIT_AS, memory_bytes)
    _lower(resource.RLIMIT_CPU, cpu, hard=cpu + 1)
    _lower(resource.RLIMIT_FSIZE, file_bytes)
    _lower(resource.RLIMIT_NOFILE, MAX_OPEN_FILES_CUDA if cuda else MAX_OPEN_FILES)
    _lower(resource.RLIMIT_CORE, 0)


def prefer_for_oom_kill() -> None:
    """When the machine runs out of memory, a child goes before the service and its neighbours."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def _lower(limit: int, soft: int, *, hard: int | None = None) -> None:
    _, ceiling = resource.getrlimit(limit)
    wanted_hard = soft if hard is None else hard
    if ceiling != resource.RLIM_INFINITY:
        soft, wanted_hard = min(soft, ceiling), min(wanted_hard, ceiling)
    resource.setrlimit(limit, (soft, wanted_hard))
