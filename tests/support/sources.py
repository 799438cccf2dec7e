"""Sources for tests of media steps."""

from __future__ import annotations

from collections.abc import Sequence

from shared.errors import LastFrameError


class CountingSource:
    """Bytes in memory that behave like a remote medium and count what is asked of them.

    Args:
        data: the whole medium.
        says_size: False for a server that never tells the length.
        fails_at: raise `failure` from any read that touches this offset.
    """

    is_local = False

    def __init__(
        self,
        data: bytes,
        *,
        label: str = "video_url",
        says_size: bool = True,
        fails_at: int | None = None,
        failure: LastFrameError | None = None,
    ) -> None:
        self.label = label
        self.size_bytes: int | None = len(data) if says_size else None
        self.requests: list[tuple[int, int]] = []
        self._data = data
        self._fails_at = fails_at
        self._failure = failure

    @property
    def bytes_fetched(self) -> int:
        return sum(length for _, length in self.requests)

    def read_at(self, offset: int, length: int) -> bytes:
        if self._failure is not None and self._fails_at is not None and offset <= self._fails_at < offset + length:
            raise self._failure
        data = self._data[offset : offset + length]
        self.requests.append((offset, len(data)))
        return data

    def prefetch(self, ranges: Sequence[tuple[int, int]]) -> None:
        return None
