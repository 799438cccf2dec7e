"""Send a file to S3 in parts, and the parts of a growing file before it is whole."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import ClientError as HttpError
from botocore.exceptions import BotoCoreError, ClientError

PART_BYTES = 8 * 1024 * 1024  # S3 wants 5 MiB or more, and at most 10,000 parts
PARALLEL_PARTS = 4  # R2 slows down uploads of more parts at once
LOOK_SECONDS = 0.2
AWAY = (BotoCoreError, ClientError, HttpError, OSError, TimeoutError)


@dataclass(frozen=True)
class _Sent:
    digest: bytes
    part: dict[str, Any]


async def grown(path: Path, size: int, written: asyncio.Event | None) -> None:
    """Waits until the file has `size` bytes, or is `written` (None: it is)."""
    while not await _is_written(written) and _size_so_far(path) < size:
        pass


async def send_parts(
    client: Any, upload: dict[str, Any], path: Path, part_bytes: int, written: asyncio.Event | None
) -> list[dict[str, Any]]:
    """Sends the file as the parts of an open multipart upload; returns what completes it.

    Until the file is `written` (None: it is), the second part and further ones are sent as they fill up. Whoever writes
    may come back to them (an index in front of the samples, a step begun anew), or sending may have failed: at the end
    each is read again, and sent again unless it is still what was sent.
    """
    parallel = asyncio.Semaphore(PARALLEL_PARTS)

    async def send(number: int, early: asyncio.Task[_Sent] | None = None) -> _Sent:
        sent: _Sent | None = None
        if early is not None:
            with contextlib.suppress(*AWAY):
                sent = await early
        async with parallel:
            body = await asyncio.to_thread(_read, path, (number - 1) * part_bytes, part_bytes)
            digest = await asyncio.to_thread(_digest, body) if written else b""
            if sent is not None and sent.digest == digest:
                return sent
            answer = await client.upload_part(**upload, PartNumber=number, Body=body)
        return _Sent(digest, {"PartNumber": number, "ETag": answer["ETag"]})

    early: dict[int, asyncio.Task[_Sent]] = {}
    last: list[asyncio.Task[_Sent]] = []
    try:
        while not await _is_written(written):
            for number in range(2 + len(early), _size_so_far(path) // part_bytes + 1):
                early[number] = asyncio.create_task(send(number))
        count = -(-(await asyncio.to_thread(path.stat)).st_size // part_bytes)
        last = [asyncio.create_task(send(number, early.get(number))) for number in range(1, count + 1)]
        return [sent.part for sent in await asyncio.gather(*last)]
    finally:
        for task in (*early.values(), *last):  # after a failure none may arrive behind the abort
            task.cancel()
        await asyncio.gather(*early.values(), *last, return_exceptions=True)


async def _is_written(written: asyncio.Event | None) -> bool:
    """Whether it is, after a moment's wait where it is not."""
    if written is None:
        return True
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LOOK_SECONDS):
            await written.wait()
    return written.is_set()


def _size_so_far(path: Path) -> int:
    """0 of what is no plain file (yet): a confined child writes it."""
    try:
        status = path.lstat()
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def _read(path: Path, offset: int, length: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(length)


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()
