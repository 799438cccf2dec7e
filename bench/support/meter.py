"""CPU seconds and memory of other processes, from /proc and wait4: user + system time, children included."""

from __future__ import annotations

import os
import subprocess
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Run:
    """One finished command."""

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    output: bytes


def run_metered(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Run:
    """Runs a command to its end; a status other than 0 raises with the end of its stderr."""
    begin = time.perf_counter()
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    assert process.stdout is not None
    assert process.stderr is not None
    output, errors = process.stdout.read(), process.stderr.read()  # ffmpeg -v error: too little for a full pipe
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    process.stderr.close()
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {errors[-500:]!r}")
    wall = time.perf_counter() - begin
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, output)


def run_forked(action: Callable[[], object]) -> Run:
    """Runs `action` in a fork of this process, as a worker's warm child does, modules loaded; its children count."""
    begin = time.perf_counter()
    child = os.fork()
    if child == 0:
        try:
            action()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status, usage = os.wait4(child, 0)
    if status:
        raise RuntimeError("the forked run failed")
    return Run(time.perf_counter() - begin, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, b"")


class PeakMemory:
    """The most memory that any one process below `root` held during the block, in bytes: VmHWM, looked at every 10 ms.

    `root` itself and the processes named in `without` do not count.
    """

    def __init__(self, root: int, without: Sequence[str] = ("envoy",)) -> None:
        self.peak_bytes = 0
        self._root = root
        self._without = without
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(0.01):
            for pid in _children(self._root):
                with suppress(OSError, StopIteration):
                    if _stat(pid)[0] in self._without:
                        continue
                    status = Path(f"/proc/{pid}/status").read_text().splitlines()
                    kibibytes = next(line.split()[1] for line in status if line.startswith("VmHWM:"))
                    self.peak_bytes = max(self.peak_bytes, int(kibibytes) * 1024)


def _children(root: int) -> Iterator[int]:
    """All that descend from it, by the kernel's own lists: no walk over every process of the machine."""
    with suppress(OSError):
        for task in Path(f"/proc/{root}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield int(child)
                yield from _children(int(child))


class ProcessTree:
    """A process and all that descends from it, now and in the past (children that were waited for)."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def cpu_seconds(self) -> float:
        """Of the whole tree, in steps of 10 ms."""
        return sum(self.cpu_seconds_by_name().values())

    def cpu_seconds_by_name(self) -> dict[str, float]:
        """The same, by the processes' names (`python`, `envoy`)."""
        spent: dict[str, float] = {}
        for pid in _descendants(self.pid):
            with suppress(OSError):
                name, fields = _stat(pid)
                # proc(5): utime, stime, cutime, cstime are fields 14-17; `fields` begins with the third.
                spent[name] = spent.get(name, 0.0) + sum(int(field) for field in fields[11:15]) * TICK_SECONDS
        return spent

    def resident_bytes(self) -> int:
        """The sum of the proportional set sizes: pages that forked children share count once."""
        total = 0
        for pid in _descendants(self.pid):
            with suppress(OSError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        total += int(line.split()[1]) * 1024
        return total


def _descendants(root: int) -> list[int]:
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                parents[int(entry.name)] = int(_stat(int(entry.name))[1][1])
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def _stat(pid: int) -> tuple[str, list[str]]:
    name, _, rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
    return name.partition("(")[2], rest.split()
