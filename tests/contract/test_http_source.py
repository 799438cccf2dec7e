"""Users' URLs as sources, against a server that misbehaves to order and a DNS server of the tests' own."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from shared.backends.http import FIRST_READ_BYTES, HttpSource, HttpSourceOpener
from shared.backends.outbound import Outbound
from shared.errors import LastFrameError, LimitExceeded, SourceUnavailable
from shared.ports import SourceLimits
from shared.urls import OutboundPolicy
from tests.support.http_server import NastyServer, Resource

LIMITS = SourceLimits(
    max_input_bytes=50_000_000,
    connect_timeout_seconds=2,
    first_byte_timeout_seconds=1,
    stall_timeout_seconds=1,
    total_timeout_seconds=20,
)
BODY = random.Random(7).randbytes(5_000_000)


@pytest.fixture(scope="module")
def running() -> Iterator[NastyServer]:
    with NastyServer() as server:
        yield server


@pytest.fixture
def server(running: NastyServer) -> NastyServer:
    running.forget()
    return running


@asynccontextmanager
async def opened(url: str, spool: Path, limits: SourceLimits = LIMITS) -> AsyncIterator[HttpSource]:
    opener = HttpSourceOpener(Outbound(OutboundPolicy(allow_private=True)))
    try:
        source = await opener.open(
            url, label="video_urls[3]", limits=limits, error_word="invalid_video_url", spool_directory=spool
        )
        try:
            yield source
        finally:
            await source.close()
    finally:
        await opener.close()
        assert list(spool.iterdir()) == [] or {path.name for path in spool.iterdir()} == {"whole"}


async def failure(url: str, spool: Path, limits: SourceLimits = LIMITS, *, read: bool = False) -> LastFrameError:
    with pytest.raises(LastFrameError) as caught:
        async with opened(url, spool, limits) as source:
            if read:
                await source.download(spool / "whole")
    assert caught.value.input_name == "video_urls[3]"
    assert "127.0.0.1" not in caught.value.detail and str(spool) not in caught.value.detail
    return caught.value


# --- what it costs ---------------------------------------------------------------------------------------------


async def test_head_and_tail_of_a_big_file_cost_what_they_must(server: NastyServer, tmp_path: Path) -> None:
    async with opened(server.serve("/clip.mp4", BODY), tmp_path) as source:
        assert source.size_bytes == len(BODY)
        assert await source.read_at(0, 32_768) == BODY[:32_768]
        await source.prefetch([(len(BODY) - 300_000, 300_000)])
        assert await source.read_at(len(BODY) - 300_000, 1_000_000) == BODY[-300_000:]
        assert source.bytes_fetched == FIRST_READ_BYTES + 300_000
    assert [seen.range for seen in server.seen] == ["bytes=0-65535", "bytes=4700000-4999999"]
    assert server.connections == 1
    assert {seen.headers["accept-encoding"] for seen in server.seen} == {"identity"}
    assert server.seen[1].headers["if-range"].startswith('"')


async def test_repeated_and_random_reads_are_right_and_no_byte_comes_twice(server: NastyServer, tmp_path: Path) -> None:
    dice = random.Random(11)
    async with opened(server.serve("/clip.mp4", BODY), tmp_path) as source:
        for _ in range(300):
            offset, length = dice.randrange(len(BODY) + 10_000), dice.choice([1, 500, 32_768, 65_536, 300_000])
            assert await source.read_at(offset, length) == BODY[offset : offset + length]
        assert source.bytes_fetched <= len(BODY)
    assert server.bytes_sent <= len(BODY)


async def test_a_read_that_waits_for_a_prefetch_asks_for_nothing_itself(server: NastyServer, tmp_path: Path) -> None:
    async with opened(server.serve("/clip.mp4", BODY, latency_seconds=0.05), tmp_path) as source:
        prefetch = asyncio.create_task(source.prefetch([(2_000_000, 500_000), (4_000_000, 500_000)]))
        await asyncio.sleep(0.01)
        reads = [source.read_at(offset, 32_768) for offset in (2_000_000, 2_400_000, 4_100_000)]
        assert await asyncio.gather(*reads) == [BODY[at : at + 32_768] for at in (2_000_000, 2_400_000, 4_100_000)]
        await prefetch
        assert source.bytes_fetched == FIRST_READ_BYTES + 1_000_000
    assert len(server.seen) == 3


async def test_near_runs_share_a_request_and_far_ones_do_not(server: NastyServer, tmp_path: Path) -> None:
    async with opened(server.serve("/clip.mp4", BODY), tmp_path) as source:
        await source.prefetch([(1_000_000, 10_000), (1_100_000, 10_000), (3_000_000, 5), (9_000_000, 5)])
        assert source.bytes_fetched == FIRST_READ_BYTES + 110_000 + 5
    assert len(server.seen) == 3


async def test_small_files_are_taken_whole(server: NastyServer, tmp_path: Path) -> None:
    body = BODY[:500_000]
    async with opened(server.serve("/clip.mp4", body), tmp_path) as source:
        await source.prefetch([(450_000, 10), (200_000, 10)])
        assert await source.read_at(400_000, 10) == body[400_000:400_010]
        assert await source.read_at(100_000, 10) == body[100_000:100_010]
    assert len(server.seen) == 2


async def test_reads_beyond_the_end_are_empty_and_free(server: NastyServer, tmp_path: Path) -> None:
    async with opened(server.serve("/clip.mp4", b"abc"), tmp_path) as source:
        assert (source.size_bytes, await source.read_at(0, 10)) == (3, b"abc")
        assert await source.read_at(3, 10) == await source.read_at(10**15, 1) == await source.read_at(0, 0) == b""
    assert len(server.seen) == 1


# --- servers that cannot range -----------------------------------------------------------------------------------


@pytest.mark.parametrize("known_length", [True, False])
async def test_a_server_without_range_is_spooled_from_the_answer_it_gave(
    server: NastyServer, tmp_path: Path, known_length: bool
) -> None:
    url = server.serve("/clip.mp4", BODY, ranges=False, known_length=known_length)
    async with opened(url, tmp_path) as source:
        assert source.size_bytes == len(BODY) and source.is_local
        assert await source.read_at(4_000_000, 70_000) == BODY[4_000_000:4_070_000]
    assert len(server.seen) == 1


async def test_a_range_without_a_total_is_asked_again_without_range(server: NastyServer, tmp_path: Path) -> None:
    async with opened(server.serve("/clip.mp4", BODY, known_length=False), tmp_path) as source:
        assert source.size_bytes == len(BODY)
        assert await source.read_at(4_999_990, 70_000) == BODY[-10:]
    assert [seen.range for seen in server.seen] == ["bytes=0-65535", None]


async def test_a_body_without_length_that_ends_with_the_connection(server: NastyServer, tmp_path: Path) -> None:
    url = server.serve("/clip.mp4", raw=b"HTTP/1.0 200 OK\r\n\r\n" + BODY[:200_000])
    async with opened(url, tmp_path) as source:
        assert await source.read_at(0, 300_000) == BODY[:200_000]


async def test_a_server_that_stops_to_range_midway_is_spooled(server: NastyServer, tmp_path: Path) -> None:
    async with opened(server.serve("/clip.mp4", BODY, ranges_until=1), tmp_path) as source:
        assert await source.read_at(3_000_000, 10) == BODY[3_000_000:3_000_010]
        assert await source.read_at(1_000_000, 10) == BODY[1_000_000:1_000_010]
    assert len(server.seen) == 2


async def test_a_server_that_gives_less_than_asked_is_asked_again(server: NastyServer, tmp_path: Path) -> None:
    async with opened(server.serve("/clip.mp4", BODY, most_per_answer=1_000_000), tmp_path) as source:
        assert await source.download(tmp_path / "whole") == len(BODY)
    assert (tmp_path / "whole").read_bytes() == BODY


# --- downloads ---------------------------------------------------------------------------------------------------


async def test_download_continues_from_what_has_come(server: NastyServer, tmp_path: Path) -> None:
    fractions: list[float] = []
    async with opened(server.serve("/clip.mp4", BODY), tmp_path) as source:
        assert not source.is_local
        assert await source.download(tmp_path / "whole", fractions.append) == len(BODY)
        assert source.is_local and source.bytes_fetched == len(BODY)
        assert await source.read_at(123, 5) == BODY[123:128]
    assert (tmp_path / "whole").read_bytes() == BODY
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    assert [seen.range for seen in server.seen] == ["bytes=0-65535", "bytes=65536-4999999"]


async def test_a_broken_download_is_resumed_by_range(server: NastyServer, tmp_path: Path) -> None:
    url = server.serve("/clip.mp4", BODY, drop_after=[10**9, 1_500_000, 1_000_000, 70_000, 0])
    async with opened(url, tmp_path) as source:
        assert await source.download(tmp_path / "whole") == len(BODY)
        assert source.bytes_fetched == len(BODY)
    assert (tmp_path / "whole").read_bytes() == BODY
    assert len(server.seen) == 6


async def test_a_broken_answer_without_range_is_asked_for_again(server: NastyServer, tmp_path: Path) -> None:
    for known_length in (True, False):
        url = server.serve("/clip.mp4", BODY, ranges=False, known_length=known_length, drop_after=[3_000_000])
        async with opened(url, tmp_path) as source:
            assert await source.download(tmp_path / "whole") == len(BODY)
        assert (tmp_path / "whole").read_bytes() == BODY


async def test_a_server_that_always_breaks_is_given_up(server: NastyServer, tmp_path: Path) -> None:
    url = server.serve("/clip.mp4", BODY, ranges=False, drop_after=[1_000_000] * 50)
    error = await failure(url, tmp_path)
    assert (error.detail, error.retryable) == ("the connection to the server broke", True)
    assert len(server.seen) <= 5


# --- answers that are errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "detail", "retryable"),
    [
        (401, "the server answered 401 Unauthorized", False),
        (403, "the server answered 403 Forbidden", False),
        (404, "the server answered 404 Not Found", False),
        (204, "the server answered 204 No Content", False),
        (304, "the server answered 304 Not Modified", False),
        (408, "the server answered 408 Request Timeout", True),
        (429, "the server answered 429 Too Many Requests", True),
        (501, "the server answered 501 Not Implemented", False),
        (503, "the server answered 503 Service Unavailable", True),
        (799, "the server answered 799", True),
    ],
)
async def test_error_answers(
    server: NastyServer,
    tmp_path: Path,
    status: int,
    detail: str,
    retryable: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shared.backends.http.RETRY_PAUSES_SECONDS", (0.0,))
    error = await failure(server.serve("/x", status=status), tmp_path)
    assert isinstance(error, SourceUnavailable)
    assert (error.word, error.detail, error.retryable) == ("invalid_video_url", detail, retryable)


async def test_a_passing_error_is_overcome(server: NastyServer, tmp_path: Path) -> None:
    async with opened(server.serve("/clip.mp4", BODY, statuses=[503, 200, 500]), tmp_path) as source:
        assert await source.read_at(2_000_000, 4) == BODY[2_000_000:2_000_004]


async def test_an_empty_file(server: NastyServer, tmp_path: Path) -> None:
    for ranges in (True, False):
        error = await failure(server.serve("/x", b"", ranges=ranges), tmp_path)
        assert (error.detail, error.retryable) == ("the file at this URL is empty", False)


async def test_compressed_bodies_are_refused(server: NastyServer, tmp_path: Path) -> None:
    for coding in ("gzip", "br", "zstd", "deflate, gzip"):
        url = server.serve("/x", b"\x1f\x8b" * 100, headers=[("Content-Encoding", coding)])
        assert "compressed" in (await failure(url, tmp_path)).detail
    url = server.serve("/x", b"plain", headers=[("Content-Encoding", "aws-chunked")])
    async with opened(url, tmp_path) as source:
        assert await source.read_at(0, 9) == b"plain"


@pytest.mark.parametrize(
    "raw",
    [
        b"\x00\x01\x02 nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(5000)) + b"\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nabcdefg",
        b"HTTP/1.1 206 OK\r\nContent-Range: bytes 0-9/5\r\nContent-Length: 10\r\n\r\n0123456789",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n",
        b"",
    ],
)
async def test_nonsense_is_an_error_and_no_crash(
    server: NastyServer, tmp_path: Path, raw: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.backends.http.RETRY_PAUSES_SECONDS", (0.0,))
    error = await failure(server.serve("/x", raw=raw), tmp_path)
    assert isinstance(error, SourceUnavailable)


async def test_a_range_that_is_not_the_one_asked_for(server: NastyServer, tmp_path: Path) -> None:
    def shift(resource: Resource, request: int) -> None:
        resource.shift_range_by = 7 if request else 0

    error = await failure(server.serve("/x", BODY, change=shift), tmp_path, read=True)
    assert error.detail == "the server answered with other bytes than those asked for"


# --- changes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["other bytes", "shorter", "longer", "gone short", "no etag, shorter", "modified"])
async def test_a_file_that_changes_between_ranges_is_noticed(server: NastyServer, tmp_path: Path, how: str) -> None:
    def change(resource: Resource, request: int) -> None:
        if request == 0:
            return
        resource.body = {"shorter": BODY[:-1], "longer": BODY + b"x", "gone short": BODY[:100_000]}.get(
            how, BODY[:-1] if how == "no etag, shorter" else BODY[::-1]
        )
        if how == "modified":
            resource.headers = [("Last-Modified", "Tue, 03 Feb 2026 10:00:00 GMT")]

    url = server.serve(
        "/clip.mp4",
        BODY,
        change=change,
        etag=how not in ("no etag, shorter", "modified"),
        headers=[("Last-Modified", "Mon, 02 Feb 2026 10:00:00 GMT")] if how == "modified" else (),
    )
    async with opened(url, tmp_path) as source:
        with pytest.raises(SourceUnavailable) as caught:
            await source.read_at(4_000_000, 100)
    assert (caught.value.word, caught.value.retryable) == ("source_changed", True)


# --- limits of size and time -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "most_sent"),
    [
        ({}, 65_536),
        ({"ranges": False}, 5_000_000),
        ({"ranges": False, "known_length": False}, 5_000_000),
        ({"endless": True, "ranges": False}, 8_000_000),
    ],
)
async def test_a_file_that_is_too_large_is_cut_early(
    server: NastyServer, tmp_path: Path, behaviour: dict[str, object], most_sent: int
) -> None:
    limits = SourceLimits(max_input_bytes=1_000_000)
    error = await failure(server.serve("/big", BODY, **behaviour), tmp_path, limits)
    assert isinstance(error, LimitExceeded)
    assert (error.word, error.detail) == ("file_too_large", "the file is larger than the limit of 1 MB")
    assert server.bytes_sent <= most_sent


async def test_a_file_that_is_exactly_as_large_as_allowed(server: NastyServer, tmp_path: Path) -> None:
    for ranges in (True, False):
        limits = SourceLimits(max_input_bytes=len(BODY))
        async with opened(server.serve("/x", BODY, ranges=ranges), tmp_path, limits) as source:
            assert await source.download(tmp_path / "whole") == len(BODY)


@pytest.mark.parametrize(
    ("behaviour", "detail"),
    [
        ({"latency_seconds": 30}, "the server did not answer in time"),
        (
            {"raw": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 5000, "raw_drip_seconds": 0.1},
            "the server did not answer in time",
        ),
        ({"ranges": False, "stall_after": 70_000}, "the server stopped sending"),
        ({"ranges": False, "drip_seconds": 0.02}, "the server sends too slowly"),
        ({"ranges": False, "drip_seconds": 0.02, "known_length": False}, "the server sends too slowly"),
        ({"ranges": False, "bytes_per_second": 40_000}, "the transfer took longer than 5 s"),
    ],
)
async def test_slow_servers_are_cut(
    server: NastyServer, tmp_path: Path, behaviour: dict[str, object], detail: str
) -> None:
    limits = SourceLimits(50_000_000, 2.0, 1.5, 1.5, 5.0)
    began = time.monotonic()
    error = await failure(server.serve("/slow", BODY, **behaviour), tmp_path, limits)
    assert (error.detail, error.retryable) == (detail, True)
    assert time.monotonic() - began < 20


async def test_a_cancelled_read_leaves_the_source_usable(server: NastyServer, tmp_path: Path) -> None:
    url = server.serve("/clip.mp4", BODY)
    async with opened(url, tmp_path) as source:
        server.resources["/clip.mp4"].latency_seconds = 30
        task = asyncio.create_task(source.read_at(3_000_000, 10))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        server.resources["/clip.mp4"].latency_seconds = 0
        assert await source.read_at(3_000_000, 10) == BODY[3_000_000:3_000_010]


async def test_nothing_stays_open(server: NastyServer, tmp_path: Path) -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    url = server.serve("/clip.mp4", BODY)
    bad = server.serve("/bad", BODY, ranges=False, drop_after=[1000] * 99)
    async with opened(url, tmp_path):
        pass
    before = open_files()
    for _ in range(10):
        async with opened(url, tmp_path) as source:
            await source.read_at(1_000_000, 10)
    await failure(bad, tmp_path)
    await asyncio.sleep(0.1)
    assert open_files() <= before
    assert os.listdir(tmp_path) == []


# --- redirects ---------------------------------------------------------------------------------------------------


async def test_redirects_are_followed_once_and_ranges_go_to_the_target(server: NastyServer, tmp_path: Path) -> None:
    server.serve("/real.mp4", BODY)
    server.redirect("/b", "/real.mp4?sig=a%2Fb%3D", 307)
    async with opened(server.redirect("/a", server.url("/b"), 301), tmp_path) as source:
        assert await source.read_at(4_000_000, 10) == BODY[4_000_000:4_000_010]
    assert [seen.target for seen in server.seen] == ["/a", "/b", "/real.mp4?sig=a%2Fb%3D", "/real.mp4?sig=a%2Fb%3D"]


async def test_an_expired_target_is_asked_for_anew(server: NastyServer, tmp_path: Path) -> None:
    server.serve("/real.mp4", BODY, statuses=[200, 403])
    async with opened(server.redirect("/a", "/real.mp4"), tmp_path) as source:
        assert await source.read_at(4_000_000, 10) == BODY[4_000_000:4_000_010]
    assert [seen.target for seen in server.seen] == ["/a", "/real.mp4", "/real.mp4", "/a", "/real.mp4"]


async def test_endless_redirects(server: NastyServer, tmp_path: Path) -> None:
    error = await failure(server.redirect("/loop", "/loop"), tmp_path)
    assert error.detail == "the server redirected more than 5 times"
    assert len(server.seen) == 6


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:127.0.0.1]/",
        "http://0xa9fea9fe/",
        "file:///etc/passwd",
        "ftp://example.com/x",
        "gopher://example.com/",
        "data:text/plain,x",
        "http://user:secret@example.com/",
        "//[fe80::1]/",
        "http://[::1",
        "",
    ],
)
async def test_a_redirect_is_judged_as_the_url_was(server: NastyServer, tmp_path: Path, target: str) -> None:
    error = await failure(server.redirect("/r", target), tmp_path)
    assert error.retryable is False
    assert "redirect" in error.detail
    assert "secret" not in error.detail
