"""Results under names that nobody can work out from a task's id."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
from pathlib import Path, PurePosixPath

from shared.ports import ObjectStore
from shared.uploads import expiry_of

NAME_CHARACTERS = 40  # of hexadecimal: 160 bits
_DERIVED = re.compile(rf"[0-9a-f]{{{NAME_CHARACTERS}}}\.[a-z0-9]+")


class UnguessableNames:
    """An `ObjectStore` that stores under `HMAC-SHA256(secret, name)` and keeps the extension.

    Task ids stand in logs, webhooks and support tickets; with plain names whoever reads one can fetch the result.
    The derived name is the same for every worker that has the secret, so that a successor finds and deletes what its
    predecessor left. A derived name, read back from a result's URL, stays what it is (no task's id is so long), and so
    does an upload's, which is random already and has to tell its expiry.
    """

    def __init__(self, inner: ObjectStore, secret: str) -> None:
        self._inner = inner
        self._secret = secret.encode()

    async def open(self) -> None:
        await self._inner.open()

    async def close(self) -> None:
        await self._inner.close()

    async def put(self, path: Path, name: str, content_type: str, *, written: asyncio.Event | None = None) -> str:
        return await self._inner.put(path, self._derived(name), content_type, written=written)

    async def url(self, name: str) -> str:
        return await self._inner.url(self._derived(name))

    async def delete(self, name: str) -> None:
        await self._inner.delete(self._derived(name))

    async def names(self, prefix: str, limit: int) -> list[str]:
        return await self._inner.names(prefix, limit)

    async def is_up(self) -> bool:
        return await self._inner.is_up()

    def _derived(self, name: str) -> str:
        if _DERIVED.fullmatch(name) or expiry_of(name) is not None:
            return name
        mac = hmac.new(self._secret, name.encode(), hashlib.sha256).hexdigest()
        return mac[:NAME_CHARACTERS] + PurePosixPath(name).suffix
