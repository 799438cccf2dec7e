"""Things that nobody may touch: a file that notices when it is opened, a listener that notices when it is called."""

from __future__ import annotations

import ctypes
import os
import socket
from contextlib import suppress
from pathlib import Path

_IN_ACCESS, _IN_OPEN, _IN_NONBLOCK = 0x1, 0x20, os.O_NONBLOCK


class Canary:
    """A good video in a folder of its own, watched by inotify, and a listening TCP port on loopback."""

    def __init__(self, folder: Path, body: bytes) -> None:
        self.path = folder / "canary.mp4"
        self.path.write_bytes(body)
        libc = ctypes.CDLL(None, use_errno=True)
        self._watch = libc.inotify_init1(_IN_NONBLOCK)
        assert self._watch >= 0
        assert libc.inotify_add_watch(self._watch, str(self.path).encode(), _IN_ACCESS | _IN_OPEN) >= 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/canary.mp4"

    @property
    def was_opened(self) -> bool:
        """Since the last question."""
        with suppress(BlockingIOError):
            return bool(os.read(self._watch, 65536))
        return False

    @property
    def was_called(self) -> bool:
        """Since the last question."""
        with suppress(BlockingIOError):
            self._listener.accept()[0].close()
            return True
        return False

    def close(self) -> None:
        os.close(self._watch)
        self._listener.close()
