"""Finished results in a directory. Serving them is the suite's file server's work."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import heapq
import os
import secrets
import shutil
from pathlib import Path
from urllib.parse import quote

from shared.backends.names import checked_name
from shared.errors import Conflict, Unavailable

TEMPORARY = ".incoming"


class FileObjects:
    """`ObjectStore` in a directory, with public URLs under `public_base_url`.

    An object appears whole and synced to the disk by one `link`, which also refuses a name that exists.
    """

    def __init__(self, directory: Path, public_base_url: str) -> None:
        self._directory = directory
        self._temporary = directory / TEMPORARY
        self._base = public_base_url.rstrip("/")

    async def open(self) -> None:
        try:
            self._temporary.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable("Results cannot be stored at the moment.") from error
        await asyncio.to_thread(self._sweep)

    async def close(self) -> None:
        return None

    async def put(self, path: Path, name: str, content_type: str, *, written: asyncio.Event | None = None) -> str:
        if written is not None:  # a copy on one machine is quick
            await written.wait()
        try:
            await asyncio.to_thread(self._put, path, checked_name(name))
        except FileExistsError as error:
            raise Conflict("A result with this name exists already.") from error
        except OSError as error:
            raise Unavailable("The result could not be stored.") from error
        return await self.url(name)

    async def url(self, name: str) -> str:
        return f"{self._base}/{quote(checked_name(name))}"

    async def delete(self, name: str) -> None:
        try:
            (self._directory / checked_name(name)).unlink(missing_ok=True)
        except OSError as error:
            raise Unavailable("The result could not be deleted.") from error

    async def names(self, prefix: str, limit: int) -> list[str]:
        try:
            return await asyncio.to_thread(self._names, prefix, limit)
        except OSError as error:
            raise Unavailable("The results could not be listed.") from error

    async def is_up(self) -> bool:
        return os.access(self._temporary, os.W_OK)

    def _put(self, path: Path, name: str) -> None:
        target = self._directory / name
        if target.exists():
            raise FileExistsError(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        incoming = self._temporary / secrets.token_hex(8)
        with incoming.open("xb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)  # for `_sweep` in other processes: its writer lives
            try:
                shutil.copyfile(path, incoming)  # not a link: the job may write its file again
                _sync(incoming)
                os.link(incoming, target)
                _sync(target.parent)
            finally:
                incoming.unlink(missing_ok=True)

    def _names(self, prefix: str, limit: int) -> list[str]:
        files = (path for path in self._directory.rglob("*") if path.is_file())
        names = (path.relative_to(self._directory).as_posix() for path in files)
        return heapq.nsmallest(limit, (n for n in names if n.startswith(prefix) and not n.startswith(TEMPORARY)))

    def _sweep(self) -> None:
        """Removes what crashes left half-written: what nobody holds."""
        for path in self._temporary.iterdir():
            with contextlib.suppress(FileNotFoundError, BlockingIOError), path.open("rb") as left:
                fcntl.flock(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
