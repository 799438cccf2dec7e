"""A server program as a child process that cannot outlive its parent."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar

HOST = "127.0.0.1"
# Of util-linux, which every Debian has. A function to call between fork and exec would do the same, but then Python
# forks, and gRPC's handlers for a fork hang the child now and then in a process that has used gRPC.
DIES_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL")


class MissingProgram(Exception):
    """The server program is not installed; the message says which package has it."""


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on now, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((HOST, 0))
        return [one.getsockname()[1] for one in sockets]


class Server:
    """One server with a directory and ports of its own, which survive `kill` and `start`.

    Subclasses name their programs and say when they are ready. All methods block. The programs die with the thread
    that started them (that is how the kernel counts parents), so start them from the main thread.
    """

    name: ClassVar[str]
    port_count: ClassVar[int] = 1
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    start_seconds: ClassVar[float] = 60.0

    def __init__(self, directory: Path, ports: Sequence[int] | None = None) -> None:
        self.directory = directory
        self.ports = list(ports) if ports is not None else free_ports(self.port_count)
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def port(self) -> int:
        return self.ports[0]

    def start(self) -> None:
        """Returns when the server answers; raises `MissingProgram`, or `RuntimeError` with the end of its log."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.launch()
        deadline = time.monotonic() + self.start_seconds
        while not self.is_ready():
            if self._processes[-1].poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"{self.name} did not start; the end of its log:\n{self._log_tail()}")
            time.sleep(0.05)
        self.prepare()

    def launch(self) -> None:
        raise NotImplementedError

    def is_ready(self) -> bool:
        raise NotImplementedError

    def prepare(self) -> None:
        """What a fresh server needs before its first client."""

    def stop(self) -> None:
        """Ends it cleanly, by force after ten seconds."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Returns when every thread has stopped: on a busy machine some run on for a while."""
        process = self._processes[-1]
        process.send_signal(signal.SIGSTOP)
        while not all(_is_stopped(thread) for thread in Path(f"/proc/{process.pid}/task").iterdir()):
            time.sleep(0.005)

    def thaw(self) -> None:
        self._processes[-1].send_signal(signal.SIGCONT)

    def is_running(self) -> bool:
        return bool(self._processes) and self._processes[-1].poll() is None

    def run(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """Starts a program; the last one started is the server, those before it its helpers."""
        with (self.directory / "log").open("ab") as log:
            process = subprocess.Popen(
                [*DIES_WITH_PARENT, *command],
                cwd=self.directory,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._processes.append(process)

    def _end(self, how: signal.Signals) -> None:
        for process in reversed(self._processes):
            if process.poll() is None:
                process.send_signal(how)
                process.send_signal(signal.SIGCONT)
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        self._processes = []

    def _log_tail(self) -> str:
        return (self.directory / "log").read_text(errors="replace")[-2000:]


def _is_stopped(thread: Path) -> bool:
    # proc(5): the state follows the command's name, which is in parentheses
    return (thread / "stat").read_text().rpartition(")")[2].split()[0] in "TtZX"
