"""Users' URLs as random-access sources: judged, pinned, bounded, and no dearer than the bytes that are read.

One keep-alive connection a source. Ranged GETs fill a sparse file; a server that cannot range gives its one answer
into the same file before `open` returns. So after `open` the length is always known, and no byte comes twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from yarl import URL

from shared.backends.http_answer import (
    ContentRange,
    Version,
    compression,
    is_retryable_status,
    status_phrase,
)
from shared.backends.outbound import Outbound, explain
from shared.backends.spool import Spool
from shared.errors import LimitExceeded, SourceUnavailable, Unavailable
from shared.ports import SourceLimits
from shared.urls import UrlRefused, WebUrl, parse, parse_redirect

FIRST_READ_BYTES = 64 * 1024  # size, Range support, the file's type and usually all of a header in one request
SMALL_FILE_BYTES = 512 * 1024  # taken whole: another request of 40 ms costs as much at 12.5 MB/s
MERGE_GAP_BYTES = 128 * 1024  # prefetch runs nearer than this share a request
MIN_BYTES_PER_SECOND = 1024  # over each stall timeout; below it a body is a slow drip
RETRY_PAUSES_SECONDS = (0.25, 1.0)  # after a broken connection or a 5xx without progress

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_EXPIRED = frozenset({401, 403, 404, 410})  # what a signed redirect target answers when its time is over


class _Broken(SourceUnavailable):
    """Worth asking again at once: the connection broke, or the server said 5xx or 429."""


class HttpSourceOpener:
    """The `SourceOpener` for http(s) URLs."""

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound

    async def open(
        self,
        url: str,
        *,
        label: str,
        limits: SourceLimits,
        error_word: str = "invalid_media_url",
        spool_directory: Path,
    ) -> HttpSource:
        """Connects, learns the length, and fetches the first 64 KiB (all of it, where the server cannot range).

        Args:
            label: the request field; errors carry it as `input_name`.
            error_word: the word of the errors that blame the URL.
            spool_directory: existing scratch of the job; needs room for `limits.max_input_bytes`.

        Returns:
            A source that the caller closes.

        Raises:
            SourceUnavailable: refused, unreachable, answered with an error, too slow (see `shared.errors`).
            LimitExceeded: longer than `limits.max_input_bytes`, known before or while the body streams.
        """
        try:
            judged = parse(url, self._outbound.policy)
        except UrlRefused as error:
            raise SourceUnavailable(f"the URL {error}", word=error_word, input_name=label) from error
        source = HttpSource(
            self._outbound,
            judged,
            label=label,
            limits=limits,
            error_word=error_word,
            spool=Spool(spool_directory),
        )
        try:
            await source.start()
        except BaseException:
            await source.close()
            raise
        return source

    async def close(self) -> None:
        await self._outbound.close()


class HttpSource:
    """One opened URL; made by `HttpSourceOpener.open`. Calls may overlap; requests never do."""

    def __init__(
        self, outbound: Outbound, url: WebUrl, *, label: str, limits: SourceLimits, error_word: str, spool: Spool
    ) -> None:
        self.label = label
        self.url = url.text
        self.size_bytes: int | None = None
        self.bytes_fetched = 0
        self._policy = outbound.policy
        self._session = outbound.session()
        self._origin = url
        self._location = url  # where redirects led
        self._limits = limits
        self._error_word = error_word
        self._spool = spool
        self._version = Version()
        self._network_seconds = 0.0
        self._lock = asyncio.Lock()

    @property
    def is_local(self) -> bool:
        """True when every byte has come: a small file, a body that was spooled, a finished download."""
        return self.size_bytes is not None and not self._spool.missing(0, self.size_bytes)

    async def start(self) -> None:
        """The first request; called once, by the opener."""
        async with self._lock:
            await self._persist(self._first_request)

    async def read_at(self, offset: int, length: int) -> bytes:
        """Bytes `[offset, offset + length)`, shorter only at the end of the file, `b""` beyond it.

        Fetches what is asked and missing, no read-ahead: the reader plans (`shared.media.byte_file`). A file of up
        to 512 KiB is taken whole by the first read that misses.

        Raises:
            SourceUnavailable: also with the word `source_changed`, when the file is not the one that was opened.
        """
        size = self._size()
        stop = min(offset + length, size)
        if offset < 0 or stop <= offset:
            return b""
        if self._spool.missing(offset, stop):
            async with self._lock:
                await self._fill(*self._whole_if_small(offset, stop))
        return self._spool.read(offset, stop - offset)

    async def prefetch(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Fetches exactly these `(offset, length)` runs, near ones in one request. Raises as `read_at`."""
        size = self._size()
        async with self._lock:
            runs: list[tuple[int, int]] = []
            for offset, length in sorted(ranges):
                for start, stop in self._spool.missing(max(0, offset), min(offset + length, size)):
                    if runs and start - runs[-1][1] <= MERGE_GAP_BYTES:
                        runs[-1] = (runs[-1][0], max(stop, runs[-1][1]))
                    else:
                        runs.append((start, stop))
            for start, stop in runs:
                await self._fill(*self._whole_if_small(start, stop))

    async def download(self, path: Path, on_progress: Callable[[float], None] | None = None) -> int:
        """The whole file under `path`; what already came is not fetched again, a broken transfer is resumed.

        The new file and this source may share their bytes on disk: do not write into it while the source is open.

        Returns:
            Its length in bytes.
        """
        size = self._size()
        async with self._lock:
            await self._fill(0, size, on_progress)
        await asyncio.to_thread(self._spool.hand_over, path)
        return size

    async def close(self) -> None:
        await self._session.close()
        self._spool.close()

    def _size(self) -> int:
        assert self.size_bytes is not None, "start() learns the length"
        return self.size_bytes

    def _whole_if_small(self, start: int, stop: int) -> tuple[int, int]:
        size = self._size()
        return (0, size) if size <= SMALL_FILE_BYTES else (start, stop)

    async def _persist(self, step: Callable[[], Awaitable[None]]) -> None:
        """Runs `step` until it ends, again after each break; gives up after three breaks without progress."""
        pauses = list(RETRY_PAUSES_SECONDS)
        while True:
            before = self._spool.filled_bytes
            try:
                return await step()
            except _Broken:
                if self._spool.filled_bytes - before >= FIRST_READ_BYTES:
                    pauses = list(RETRY_PAUSES_SECONDS)
                if not pauses:
                    raise
                await asyncio.sleep(pauses.pop(0))

    async def _first_request(self) -> None:
        self._spool.clear()
        async with self._answer((0, FIRST_READ_BYTES)) as answer:
            found = ContentRange.read(answer.headers)
            self._version = Version.read(answer.headers)
            if answer.status == 206 and found is not None and found.start == 0 and found.total is not None:
                self._check_limit(found.total)
                await self._receive(answer, 0, found.stop)
                self.size_bytes = found.total
                return
            if answer.status == 200:
                await self._receive_all(answer)
                return
        # 206 without a length or with nonsense, or 416 from a server that dislikes the range: ask plainly.
        async with self._answer(None) as answer:
            if answer.status != 200:
                raise self._failure(f"the server answered {status_phrase(answer.status)}")
            self._version = Version.read(answer.headers)
            await self._receive_all(answer)

    async def _receive_all(self, answer: aiohttp.ClientResponse) -> None:
        """Keeps a 200 answer as the whole file."""
        if answer.content_length is not None:
            self._check_limit(answer.content_length)
        size = await self._receive(answer, 0, None)
        if self.size_bytes is not None and size != self.size_bytes:
            raise self._changed()
        if size == 0:
            raise self._failure("the file at this URL is empty")
        self.size_bytes = size

    async def _fill(self, start: int, stop: int, on_progress: Callable[[float], None] | None = None) -> None:
        """Makes `[start, stop)` present in the spool. Holds the lock."""

        async def fetch_gaps() -> None:
            while gaps := self._spool.missing(start, stop):
                await self._fetch(*gaps[0], on_progress)

        await self._persist(fetch_gaps)

    async def _fetch(self, start: int, stop: int, on_progress: Callable[[float], None] | None) -> None:
        size = self._size()
        async with self._answer((start, stop)) as answer:
            if self._version.differs_from(Version.read(answer.headers)):
                raise self._changed()
            if answer.status == 416:
                raise self._changed()
            if answer.status == 200:  # the same version, but this time all of it
                if answer.content_length not in (None, size):
                    raise self._changed()
                await self._receive_all(answer)
                return
            found = ContentRange.read(answer.headers)
            if found is None or found.start != start:
                raise self._failure("the server answered with other bytes than those asked for")
            if found.total not in (None, size):
                raise self._changed()
            await self._receive(answer, start, min(stop, found.stop), on_progress)

    @asynccontextmanager
    async def _answer(self, wanted: tuple[int, int] | None) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer with status 200, 206 or 416, plain and uncompressed; all other outcomes raise.

        Time spent in here is what `total_timeout_seconds` bounds.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        headers = {}
        if wanted is not None:
            headers["Range"] = f"bytes={wanted[0]}-{wanted[1] - 1}"
            if self._version.if_range is not None and self.size_bytes is not None:
                headers["If-Range"] = self._version.if_range
        try:
            async with asyncio.timeout(self._limits.total_timeout_seconds - self._network_seconds) as total:
                answer = await self._follow(headers)
                async with answer:
                    if answer.status not in (200, 206, 416):
                        raise self._refusal(answer.status)
                    coding = compression(answer.headers)
                    if coding is not None:
                        raise self._failure("the server sent a compressed body, which was not asked for")
                    yield answer
        except TimeoutError as error:
            if total.expired():
                seconds = self._limits.total_timeout_seconds
                raise self._failure(f"the transfer took longer than {seconds:g} s", retryable=True) from error
            detail, _ = explain(error)
            raise self._failure(detail, retryable=True) from error
        except (aiohttp.ClientError, OSError) as error:
            detail, retryable = explain(error)
            if not retryable:
                raise self._failure(detail) from error
            raise _Broken(detail, word=self._error_word, input_name=self.label, retryable=True) from error
        finally:
            self._network_seconds += loop.time() - began

    async def _follow(self, headers: dict[str, str]) -> aiohttp.ClientResponse:
        """GETs the URL and, judged one by one, where its redirects lead."""
        url, redirects, from_start = self._location, 0, self._location is self._origin
        while True:
            answer = await self._get(url, headers)
            if answer.status in _EXPIRED and not from_start:
                answer.close()
                url, redirects, from_start = self._origin, 0, True
                continue
            if answer.status not in _REDIRECTS:
                self._location = url
                return answer
            answer.close()
            redirects += 1
            if redirects > self._limits.max_redirects:
                raise self._failure(f"the server redirected more than {self._limits.max_redirects} times")
            try:
                url = parse_redirect(url, answer.headers.get("Location", ""), self._policy)
            except UrlRefused as error:
                raise self._failure(f"the target of a redirect {error}") from error

    async def _get(self, url: WebUrl, headers: dict[str, str]) -> aiohttp.ClientResponse:
        limits = self._limits
        timeout = aiohttp.ClientTimeout(total=None, connect=limits.connect_timeout_seconds)
        async with asyncio.timeout(limits.connect_timeout_seconds + limits.first_byte_timeout_seconds):
            return await self._session.get(
                URL(url.text, encoded=True), headers=headers, timeout=timeout, allow_redirects=False
            )

    async def _receive(
        self,
        answer: aiohttp.ClientResponse,
        start: int,
        stop: int | None,
        on_progress: Callable[[float], None] | None = None,
    ) -> int:
        """Streams a body into the spool from `start` up to `stop` (None: to its end); returns where it ended."""
        offset = start
        async for chunk in self._chunks(answer):
            data = chunk if stop is None else chunk[: stop - offset]
            self._check_limit(offset + len(data))
            try:
                self._spool.write(offset, data)
            except OSError as error:
                raise Unavailable("no room is left for temporary files", input_name=self.label) from error
            offset += len(data)
            self.bytes_fetched += len(data)
            if on_progress is not None and self.size_bytes:
                on_progress(min(1.0, self._spool.filled_bytes / self.size_bytes))
            if offset == stop:
                break
        if offset == start and stop is not None:
            raise _Broken("the server sent no bytes", word=self._error_word, input_name=self.label, retryable=True)
        return offset

    async def _chunks(self, answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        """The body as it comes; raises when nothing comes for the stall timeout, or a mere drip."""
        loop = asyncio.get_running_loop()
        patience = self._limits.stall_timeout_seconds
        window_began, window_bytes = loop.time(), 0
        while True:
            try:
                async with asyncio.timeout(patience):
                    chunk = await answer.content.readany()
            except TimeoutError as error:
                raise self._failure("the server stopped sending", retryable=True) from error
            if not chunk:
                return
            yield chunk
            window_bytes += len(chunk)
            elapsed = loop.time() - window_began
            if elapsed >= patience:
                if window_bytes < MIN_BYTES_PER_SECOND * elapsed:
                    raise self._failure("the server sends too slowly", retryable=True)
                window_began, window_bytes = loop.time(), 0

    def _check_limit(self, size: int) -> None:
        limit = self._limits.max_input_bytes
        if size > limit:
            raise LimitExceeded(
                f"the file is larger than the limit of {limit / 1_000_000:g} MB",
                word="file_too_large",
                input_name=self.label,
            )

    def _refusal(self, status: int) -> SourceUnavailable:
        detail = f"the server answered {status_phrase(status)}"
        if is_retryable_status(status):
            return _Broken(detail, word=self._error_word, input_name=self.label, retryable=True)
        return self._failure(detail)

    def _changed(self) -> SourceUnavailable:
        return SourceUnavailable(
            "the file at this URL changed while it was read",
            word="source_changed",
            input_name=self.label,
            retryable=True,
        )

    def _failure(self, detail: str, *, retryable: bool = False) -> SourceUnavailable:
        return SourceUnavailable(detail, word=self._error_word, input_name=self.label, retryable=retryable)
