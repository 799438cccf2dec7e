"""What both stores agree on beyond the port: delays, and the words for a worker that vanished."""

from __future__ import annotations

import re
from datetime import timedelta

from shared.errors import InvalidRequest
from shared.tasks import Failure

IDEMPOTENCY_SECONDS = 24 * 3600.0
"""How long an idempotency key answers with its first task."""

MAX_PAGE_BYTES = 4 * 1024 * 1024
"""Of stored documents in one page of a listing. A task may have a hundred long URLs: a thousand such tasks would fill
the process's memory, and their message would be too large to send."""

PUBLISH_REPAIR_SECONDS = 3.0
"""How long a pending task may be in nobody's queue before it is offered again: a publish that succeeds needs no
second write, one that was lost is repaired this soon."""

LEASE_LOST = Failure("media_crashed", "The worker stopped before the task was done.")
"""Recorded as a retry when a lease ran out."""

WORKER_LOST = Failure("media_crashed", "Every worker that took this task stopped before it was done.")
"""The end of a task whose last attempt's lease ran out."""


class PageRoom:
    """What still fits into a page of `limit` documents and `MAX_PAGE_BYTES`."""

    def __init__(self, limit: int) -> None:
        self._documents = limit
        self._bytes = MAX_PAGE_BYTES
        self._is_empty = True

    def takes(self, size_bytes: int) -> bool:
        """Whether one more document fits, and then it has; the first always does, or a listing would never go on."""
        if not self._is_empty and (self._documents < 1 or size_bytes > self._bytes):
            return False
        self._is_empty = False
        self._documents -= 1
        self._bytes -= size_bytes
        return True


def publish_repair() -> timedelta:
    return timedelta(seconds=PUBLISH_REPAIR_SECONDS)


def make_cursor(*position: int) -> str:
    """Where a page ended, as opaque text: numbers in hexadecimal, so that it needs no quoting in a URL."""
    return "-".join(f"{number:x}" for number in position)


def read_cursor(cursor: str, length: int) -> list[int]:
    """The numbers of `make_cursor`; raises `InvalidRequest` on text that it did not make."""
    if not re.fullmatch(rf"[0-7]?[0-9a-f]{{1,15}}(-[0-7]?[0-9a-f]{{1,15}}){{{length - 1}}}", cursor):  # 63 bits
        raise InvalidRequest("The cursor is not one that a listing returned.", word="invalid_cursor")
    return [int(number, 16) for number in cursor.split("-")]
