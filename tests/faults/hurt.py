"""Kills and freezes parts of the product at random, and brings the servers back, as an operator's supervisor would."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.stack.process import Server
from tests.faults.product import Embedded, Production, await_ready

DOWN_SECONDS = (0.0, 3.0)

WEIGHTS: Mapping[str, float] = {
    "api": 3,
    "worker": 5,
    "decoder": 4,
    "envoy": 1.5,
    "mongod": 1.5,
    "rabbitmq": 1.2,
    "redis": 2,
    "s3": 1.2,
    "suite": 12,
}


@dataclass(frozen=True)
class Severity:
    """How a run hurts.

    Attributes:
        pause_seconds: the shortest and longest time between two faults; freeze_seconds: how long a freeze lasts.
        kill_share: of the faults; the others are freezes.
        only: the one sort of victim, None for all.
    """

    pause_seconds: tuple[float, float]
    freeze_seconds: tuple[float, float] = (7.0, 14.0)
    kill_share: float = 0.6
    only: str | None = None


class Injector:
    """Runs in the thread that started the servers, which they must not outlive."""

    def __init__(self, product: Production | Embedded, seed: int, severity: Severity) -> None:
        self.faults: Counter[str] = Counter()
        self.seen: dict[int, str] = {}
        self._product = product
        self._random = random.Random(seed)
        self._severity = severity
        self._due: list[tuple[float, Callable[[], None]]] = []
        self._hurt: set[object] = set()

    def run(self, until: Callable[[], bool]) -> None:
        """Hurts until told that it is enough, then mends everything."""
        again = time.monotonic() + self._random.uniform(*self._severity.pause_seconds)
        while not until():
            self._tend()
            if time.monotonic() >= again:
                self._strike()
                again = time.monotonic() + self._random.uniform(*self._severity.pause_seconds)
            time.sleep(0.05)
        for _, mend in self._due:
            mend()
        self._due.clear()
        for server in (*self._product.servers.values(), self._product.program):
            await_ready(server)

    def _tend(self) -> None:
        now = time.monotonic()
        due = [mend for at, mend in self._due if at <= now]
        self._due = [(at, mend) for at, mend in self._due if at > now]
        for mend in due:
            mend()
        for server in self._product.servers.values():  # a server that ended by itself, or could not start again
            if server not in self._hurt and not server.is_running():
                server.launch()
        for pids in self._product.processes().values():
            self.seen |= {pid: _started(pid) for pid in pids if pid not in self.seen}

    def _strike(self) -> None:
        processes = {name: pids for name, pids in self._product.processes().items() if pids}
        whole = {name: server for name, server in self._product.servers.items() if server not in self._hurt}
        names = [name for name in (*processes, *whole) if self._severity.only in (None, name)]
        if not names:
            return
        name = self._random.choices(names, [WEIGHTS[name] for name in names])[0]
        kills = self._random.random() < self._severity.kill_share
        self.faults[f"{name} {'SIGKILL' if kills else 'SIGSTOP'}"] += 1
        if name in whole:
            self._hurt_server(whole[name], kills=kills)
        else:
            self._hurt_process(self._random.choice(processes[name]), kills=kills)

    def _hurt_server(self, server: Server, *, kills: bool) -> None:
        self._hurt.add(server)
        if kills:
            server.kill()
            self._later(DOWN_SECONDS, lambda: self._restart(server))
        else:
            server.freeze()
            self._later(self._severity.freeze_seconds, lambda: self._thaw(server))

    def _restart(self, server: Server) -> None:
        server.launch()
        self._hurt.discard(server)

    def _thaw(self, server: Server) -> None:
        server.thaw()
        self._hurt.discard(server)

    def _hurt_process(self, pid: int, *, kills: bool) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL if kills else signal.SIGSTOP)
        if not kills:
            born = _started(pid)
            self._later(self._severity.freeze_seconds, lambda: _continue(pid, born))

    def _later(self, span: tuple[float, float], mend: Callable[[], None]) -> None:
        self._due.append((time.monotonic() + self._random.uniform(*span), mend))


def still_alive(seen: Mapping[int, str]) -> list[int]:
    """Those of these processes that live yet; a pid that was given again has another time of birth."""
    return [pid for pid, born in seen.items() if born and _started(pid) == born]


def _continue(pid: int, born: str) -> None:
    if born and _started(pid) == born:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def _started(pid: int) -> str:
    """When a process was born, in the kernel's ticks (proc(5), field 22); empty when it is gone."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] == "Z" else fields[19]
    return ""
