"""The pool's handle on its fork server, and on each child that came out of it."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

SERVER_LOST = -2
"""In place of a wait status: the fork server died, and its children with it."""
START_TIMEOUT_SECONDS = 60.0
_STOP_TIMEOUT_SECONDS = 5.0
_MAX_STDERR_BYTES = 64 << 10

_PASSED_ON = ("LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "NVIDIA_VISIBLE_DEVICES",
              "NVIDIA_DRIVER_CAPABILITIES")  # fmt: skip

logger = logging.getLogger(__name__)


class Child:
    """One forked process, idle or at work. Whoever took it from the server closes it."""

    def __init__(self, number: int, connection: socket.socket, stderr: int) -> None:
        self.number = number
        self.connection = connection
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._stderr = stderr

    def read_stderr(self) -> str:
        """What it wrote and the pipe could hold; once, before `close`."""
        with contextlib.suppress(BlockingIOError):
            return os.read(self._stderr, _MAX_STDERR_BYTES).decode(errors="replace").strip()
        return ""

    def close(self) -> None:
        self.connection.close()
        os.close(self._stderr)


class ForkServerHandle:
    """Starts the server, asks for children, learns how they ended. Single use: a lost server is replaced."""

    def __init__(self, preload: Sequence[str]) -> None:
        self._preload = tuple(preload)
        self._children: dict[int, Child] = {}
        self._count = 0
        self._backlog: collections.deque[tuple[bytes, tuple[int, ...]]] = collections.deque()
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    @property
    def alive(self) -> bool:
        return self._control is not None

    async def start(self) -> None:
        """Returns when the modules are loaded.

        Raises:
            RuntimeError: a module could not be loaded, or not in time.
        """
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        control.setblocking(False)
        self._control = control
        asyncio.get_running_loop().add_reader(control, self._hear)
        with theirs:
            self._process = await asyncio.to_thread(self._execute, theirs.fileno())
        try:
            async with asyncio.timeout(START_TIMEOUT_SECONDS):
                await self._ready
        except BaseException as error:
            await self.stop()
            if isinstance(error, TimeoutError):
                raise RuntimeError(f"the media fork server was not ready in {START_TIMEOUT_SECONDS:g} s") from error
            raise

    def _execute(self, descriptor: int) -> subprocess.Popen[bytes]:
        environment = {
            "LANG": "C.UTF-8",
            "PATH": os.defpath,
            "PYTHONPATH": os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path),
            "PYTHONDONTWRITEBYTECODE": "1",
            # Each further arena reserves 64 MiB of addresses, each BLAS thread a stack: RLIMIT_AS counts both.
            "MALLOC_ARENA_MAX": "2",
            "OPENBLAS_NUM_THREADS": "1",
            **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        }
        return subprocess.Popen(  # noqa: S603 - our own interpreter and module names
            [sys.executable, "-P", "-m", "shared.jobs.child", str(descriptor), *self._preload],
            pass_fds=[descriptor],
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # a terminal's Ctrl-C is for the service, which then drains
        )

    def spawn(self) -> Child:
        """A new child, usable at once: what is written to it before it lives waits in its socket."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        read_end, write_end = os.pipe()
        os.set_blocking(read_end, False)
        os.set_blocking(write_end, False)
        self._count += 1
        child = Child(self._count, ours, read_end)
        self._children[child.number] = child
        if not self.alive:
            child.exited.set_result(SERVER_LOST)
        self._post({"spawn": child.number}, theirs.detach(), write_end)
        return child

    def kill(self, child: Child) -> None:
        """SIGKILL, if it still lives."""
        if not child.exited.done():
            self._post({"kill": child.number})

    async def stop(self) -> None:
        """End the server and all children; returns when the process is gone."""
        self._lose()
        if self._process is not None:
            process, self._process = self._process, None
            await asyncio.to_thread(_wait_or_kill, process)

    def _post(self, message: dict[str, int], *descriptors: int) -> None:
        self._backlog.append((json.dumps(message).encode(), descriptors))
        self._flush()

    def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        while self._backlog:
            text, descriptors = self._backlog[0]
            if self._control is not None:
                try:
                    socket.send_fds(self._control, [text], descriptors)
                except BlockingIOError:
                    loop.add_writer(self._control, self._flush)
                    return
                except OSError:
                    self._lose()
                    return
            self._backlog.popleft()
            for descriptor in descriptors:
                os.close(descriptor)
        if self._control is not None:
            loop.remove_writer(self._control)

    def _hear(self) -> None:
        assert self._control is not None
        try:
            text = self._control.recv(8192)
        except BlockingIOError:
            return
        except OSError:
            text = b""
        if not text:
            self._lose()
            return
        message = json.loads(text)
        if "exit" in message:
            if (child := self._children.pop(message["exit"], None)) and not child.exited.done():
                child.exited.set_result(message["status"])
        elif "failed" in message:
            self._settle(RuntimeError(f"the media fork server could not load its modules: {message['failed']}"))
        else:
            self._settle(None)

    def _settle(self, error: Exception | None) -> None:
        if self._ready.done():
            return
        if error is None:
            self._ready.set_result(None)
        else:
            self._ready.set_exception(error)

    def _lose(self) -> None:
        """The control socket is at its end: so are the server and, by its hand or the kernel's, its children."""
        if self._control is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._control)
        loop.remove_writer(self._control)
        self._control.close()
        self._control = None
        self._flush()
        for child in self._children.values():
            if not child.exited.done():
                child.exited.set_result(SERVER_LOST)
        self._children.clear()
        self._settle(RuntimeError("the media fork server ended while it started"))


def _wait_or_kill(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        logger.warning("the media fork server did not end in time and was killed")
        process.kill()
        process.wait()
