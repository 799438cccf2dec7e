"""A doorbell for the processes of one machine: unix datagram sockets in one directory.

Whoever listens binds a socket of its own there; ringing sends one datagram to each. Nothing is kept: a lost ring
costs a listener at most its own next look.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import Callable
from pathlib import Path

MAX_SOCKET_PATH = 100  # sockaddr_un holds 108 bytes
SUFFIX = ".bell"


class Doorbell:
    """Rings and hears rings in one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._directory_fd: int | None = None
        self._sender: socket.socket | None = None
        self._bells: dict[str, socket.socket] = {}

    def open(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        self._directory_fd = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sender.setblocking(False)

    def close(self) -> None:
        for name in list(self._bells):
            self.silence(name)
        if self._sender is not None:
            self._sender.close()
            self._sender = None
        if self._directory_fd is not None:
            os.close(self._directory_fd)
            self._directory_fd = None

    def listen(self, on_ring: Callable[[bytes], None]) -> str:
        """Calls `on_ring` with the word of each ring, on the running loop; returns the name to `silence` it by."""
        name = f"{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"
        bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        bell.setblocking(False)
        bell.bind(self._address(name))
        self._bells[name] = bell
        asyncio.get_running_loop().add_reader(bell, _hear, bell, on_ring)
        return name

    def silence(self, name: str) -> None:
        bell = self._bells.pop(name, None)
        if bell is None:
            return
        with contextlib.suppress(RuntimeError):  # the loop may be closed already
            asyncio.get_running_loop().remove_reader(bell)
        bell.close()
        (self._directory / name).unlink(missing_ok=True)

    def ring(self, word: bytes) -> None:
        """Tells every listener; one whose buffer is full has rings enough, one that died is swept away."""
        if self._sender is None:
            return
        for bell in self._directory.glob(f"*{SUFFIX}"):
            try:
                self._sender.sendto(word, self._address(bell.name))
            except BlockingIOError:
                continue
            except (ConnectionRefusedError, FileNotFoundError):
                bell.unlink(missing_ok=True)
            except OSError:
                continue

    def _address(self, name: str) -> str:
        path = str(self._directory / name)
        if len(os.fsencode(path)) <= MAX_SOCKET_PATH:
            return path
        return f"/proc/self/fd/{self._directory_fd}/{name}"


def _hear(bell: socket.socket, on_ring: Callable[[bytes], None]) -> None:
    while True:
        try:
            on_ring(bell.recv(64))
        except OSError:  # empty
            return
