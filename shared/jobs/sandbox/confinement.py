"""One call that takes everything away from a process but its open files, its scratch directory and its code."""

from __future__ import annotations

import os
import platform
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from shared.jobs.sandbox import landlock, limits, seccomp

SandboxMode = Literal["required", "best-effort"]


_LAYOUT = ("stdlib", "platstdlib", "purelib", "platlib")
_SYSTEM = ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib", "/lib64", "/etc/ld.so.cache", "/dev/null",
           "/dev/urandom", "/proc/cpuinfo", "/sys/devices/system/cpu")  # fmt: skip
RUNTIME_PATHS = frozenset(
    Path(path) for path in (*map(sysconfig.get_path, _LAYOUT), f"{sys.base_prefix}/lib", *_SYSTEM)
)
"""Interpreter, libraries, and the few facts about the processor that codecs ask for. No /etc, /proc or /home.

Worked out on import, in the fork server, because the interpreter takes milliseconds to say where it lives."""


@dataclass(frozen=True)
class SandboxReport:
    """Which layers this kernel gives.

    Attributes:
        landlock_abi: 0 for none; 4 and up also refuses TCP, 5 device ioctls, 6 signals to others.
        seccomp: whether the system call filter can be installed.
        missing: one sentence for each layer that is not there, for people to read.
    """

    landlock_abi: int
    seccomp: bool
    missing: tuple[str, ...]

    @property
    def complete(self) -> bool:
        return not self.missing


class SandboxUnavailable(RuntimeError):
    """`LASTFRAME_SANDBOX=required`, and this kernel or container cannot confine a decoder; says what is missing."""


def probe_sandbox() -> SandboxReport:
    """Ask the kernel, without confining the caller."""
    abi, filters = landlock.abi_version(), seccomp.available()
    missing = []
    if abi == 0:
        missing.append("Landlock (Linux 5.13 or newer, `landlock` in the kernel's lsm= list, allowed by the runtime)")
    if not filters:
        missing.append(f"seccomp filters (CONFIG_SECCOMP_FILTER; machine {platform.machine()})")
    return SandboxReport(abi, filters, tuple(missing))


def require_sandbox(mode: SandboxMode) -> SandboxReport:
    """The report, if `mode` can live with it.

    Raises:
        SandboxUnavailable: a layer is missing and `mode` is `required`.
    """
    report = probe_sandbox()
    if mode == "required" and not report.complete:
        raise SandboxUnavailable(
            f"LASTFRAME_SANDBOX=required, but this machine lacks {' and '.join(report.missing)}; "
            "use such a kernel, or set LASTFRAME_SANDBOX=best-effort to run decoders less confined"
        )
    return report


@dataclass(frozen=True)
class Confinement:
    """What a child keeps.

    Attributes:
        scratch: the only directory that it may write, and its working directory.
        code: directories of our own packages, readable for late imports.
        cpu_seconds: see `limits.apply`, as for the other numbers.
        accelerator: `cuda` adds the NVIDIA device nodes and what the driver reads about them.
    """

    scratch: Path
    code: tuple[Path, ...]
    memory_bytes: int
    file_bytes: int
    cpu_seconds: float
    mode: SandboxMode
    accelerator: str = "cpu"


def confine(world: Confinement) -> SandboxReport:
    """Confine this process for good. Call it with one thread, before the first untrusted byte.

    Returns:
        what is now in force.

    Raises:
        OSError: a layer failed that `required` asks for; the process must not go on.
    """
    report = require_sandbox(world.mode)
    os.chdir(world.scratch)
    limits.prefer_for_oom_kill()
    limits.apply(
        memory_bytes=world.memory_bytes,
        file_bytes=world.file_bytes,
        cpu_seconds=world.cpu_seconds,
        accelerator=world.accelerator,
    )
    seccomp.set_no_new_privileges()
    if report.landlock_abi:
        landlock.restrict(_rules(world))
    if report.seccomp:
        seccomp.install()
    return report


def _rules(world: Confinement) -> Iterable[tuple[Path, int]]:
    yield world.scratch, landlock.SCRATCH
    for path in RUNTIME_PATHS.union(world.code):
        yield path, landlock.READ_ONLY
    if world.accelerator == "cuda":
        yield from _cuda_rules()


def _cuda_rules() -> Iterable[tuple[Path, int]]:
    """What `cuInit` opens. It names its threads by writing `/proc/self/task/TID/comm`, and ends with error 304 where it
    may not (NVIDIA/OpenShell#710, nolabs-ai/nono#924); `self` is this very process, because the rules are made in it.
    """
    for node in Path("/dev").glob("nvidia*"):
        yield node, landlock.DEVICE
    yield Path("/proc/self/task"), landlock.READ_WRITE
    for path in ("/proc/self", "/proc/driver/nvidia", "/proc/devices", "/proc/meminfo", "/proc/modules", "/proc/sys/vm",
                 "/sys/module", "/sys/bus", "/sys/devices", "/usr/share/nvidia", "/usr/local/nvidia"):  # fmt: skip
        yield Path(path), landlock.READ_ONLY
