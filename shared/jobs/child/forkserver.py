"""The fork server: a small process with the codecs loaded, which forks a child whenever the pool asks.

It is started by exec with an environment of its own, so that no secret of the service is in any child's memory, and
it has one thread, so that forking is safe. (`multiprocessing`'s fork server inherits the environment, imports the
parent's `__main__` into every child and cannot be stopped.) It holds the only process handles: a process id is
signalled by the one who has not yet reaped it, so never another process of the same number.

Messages on its control socket (SOCK_SEQPACKET, JSON): from the pool `{"spawn": id}` with two descriptors and
`{"kill": id}`; to the pool `{"ready": true}`, `{"failed": reason}` and `{"exit": id, "status": wait status}`.
The end of the control socket ends the server and all its children.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys

from shared.jobs.child.main import run_child

FORK_FAILED = -1
"""In place of a wait status: the machine would not give another process."""


class ForkServer:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ, None)
        self._processes: dict[int, tuple[int, int]] = {}  # child id: process id, pidfd

    def serve(self) -> None:
        """Until the pool closes its end."""
        try:
            while True:
                for key, _ in self._selector.select():
                    if key.data is not None:
                        self._reap(key.data)
                    elif not self._obey():
                        return
        finally:
            for _, pidfd in self._processes.values():
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)

    def _obey(self) -> bool:
        text, descriptors, _, _ = socket.recv_fds(self._control, 4096, 2)
        if not text:
            return False
        message = json.loads(text)
        if "spawn" in message:
            self._spawn(message["spawn"], *descriptors)
        elif message["kill"] in self._processes:
            signal.pidfd_send_signal(self._processes[message["kill"]][1], signal.SIGKILL)
        return True

    def _spawn(self, child: int, connection: int, stderr: int) -> None:
        server = os.getpid()
        try:
            process = os.fork()
        except OSError:
            self._tell({"exit": child, "status": FORK_FAILED})
        else:
            if process == 0:
                run_child(connection, stderr, server)
            pidfd = os.pidfd_open(process)
            self._processes[child] = process, pidfd
            self._selector.register(pidfd, selectors.EVENT_READ, child)
        finally:
            os.close(connection)
            os.close(stderr)

    def _reap(self, child: int) -> None:
        process, pidfd = self._processes.pop(child)
        self._selector.unregister(pidfd)
        os.close(pidfd)
        _, status = os.waitpid(process, 0)
        self._tell({"exit": child, "status": status})

    def _tell(self, message: dict[str, object]) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._control.send(json.dumps(message).encode())


def main() -> None:
    """`python -m shared.jobs.child DESCRIPTOR MODULE…`: the control socket, what to load."""
    control = socket.socket(fileno=int(sys.argv[1]))
    try:
        for module in sys.argv[2:]:
            importlib.import_module(module)
    except Exception as error:
        control.send(json.dumps({"failed": f"{type(error).__name__}: {error}"[:2000]}).encode())
        return
    # What lives now lives as long as the server: keep the collector from touching, and so copying, its pages.
    gc.collect()
    gc.freeze()
    control.send(json.dumps({"ready": True}).encode())
    ForkServer(control).serve()
