"""Results under names that nobody can work out from a task's id."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path, PurePosixPath

from shared.ports import ObjectStore

NAME_CHARACTERS = 40  # of hexadecimal: 160 bits


class UnguessableNames:
    """An `ObjectStore` that stores under `HMAC-SHA256(secret, name)` and keeps the extension.

    Task ids stand in logs, webhooks and support tickets; with plain names whoever reads one can fetch the result.
    The derived name is the same for every worker that has the secret, so that a successor finds and deletes what its
    predecessor left.
    """

    def __init__(self, inner: ObjectStore, secret: str) -> None:
        self._inner = inner
        self._secret = secret.encode()

    async def open(self) -> None:
        await self._inner.open()

    async def close(self) -> None:
        await self._inner.close()

    async def put(self, path: Path, name: str, content_type: str) -> str:
        return await self._inner.put(path, self._derived(name), content_type)

    async def url(self, name: str) -> str:
        return await self._inner.url(self._derived(name))

    async def delete(self, name: str) -> None:
        await self._inner.delete(self._derived(name))

    async def is_up(self) -> bool:
        return await self._inner.is_up()

    def _derived(self, name: str) -> str:
        mac = hmac.new(self._secret, name.encode(), hashlib.sha256).hexdigest()
        return mac[:NAME_CHARACTERS] + PurePosixPath(name).suffix
