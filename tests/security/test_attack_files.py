"""Hostile files against every kind of job: each ends with a sentence, in bounded time and memory, and touches nothing.

Here the jobs run in real decoder children, without the web around them; test_attacks_over_rest.py goes the whole way.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import av
import av.error
import pytest
import pytest_asyncio

from shared.errors import LastFrameError
from shared.jobs.child import ChildPool
from shared.media.container import open_container
from shared.media.source import FileSource
from tests.security.attack_files import KINDS, Attack, every_attack, honest, references
from tests.security.canary import Canary
from tests.security.jobs import PRELOAD, Bench

DEADLINE_SECONDS = 600.0
MAX_DURATION_SECONDS = 20.0
"""What the lying clocks may cost: they are worked on like honest media of this length."""
MAX_PARENT_GROWTH_BYTES = 64 << 20

NAMES = [attack.name for attack in every_attack(Path("/tmp/canary.mp4"), "http://127.0.0.1:1/canary.mp4")]
REFERENCES = [attack.name for attack in references(Path("/tmp/canary.mp4"), "http://127.0.0.1:1/canary.mp4")]
BLAMELESS = re.compile(r"[^/\\]*")
"""No path, no URL."""
INTERNALS = re.compile(r"Traceback|\.py\b|0x[0-9a-f]{6}|127\.0\.0\.1|Error\b|Errno|av\.|libav|None")


@pytest.fixture(scope="module")
def canary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Canary]:
    made = Canary(tmp_path_factory.mktemp("canary"), honest())
    yield made
    made.close()


@pytest.fixture(scope="module")
def attacks(canary: Canary) -> dict[str, Attack]:
    return {attack.name: attack for attack in every_attack(canary.path, canary.url)}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[ChildPool]:
    pool = ChildPool(preload=PRELOAD, warm=2, sandbox="best-effort")
    await pool.start()
    yield pool
    await pool.stop()


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def assert_is_a_sentence(error: LastFrameError) -> None:
    assert 10 < len(error.detail) <= 300, error.detail
    assert BLAMELESS.fullmatch(error.detail), error.detail
    assert not INTERNALS.search(error.detail), error.detail
    assert error.word not in ("internal_error", "media_crashed", "processing_timeout"), error.detail
    assert not error.retryable


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.asyncio(loop_scope="module")
async def test_every_job_ends_with_a_sentence(
    name: str, attacks: dict[str, Attack], pool: ChildPool, bench: Bench, canary: Canary
) -> None:
    attack = attacks[name]
    path = bench.folder / f"hostile.{attack.extension}"
    path.write_bytes(attack.body)
    at_once = asyncio.Semaphore(2)
    grown_from = resident_bytes()

    async def outcome(kind: str) -> LastFrameError | None:
        async with at_once:
            try:
                await bench.run(
                    pool,
                    kind,
                    path,
                    deadline_seconds=DEADLINE_SECONDS,
                    max_duration_seconds=MAX_DURATION_SECONDS,
                )
            except LastFrameError as error:
                return error
        return None

    outcomes = dict(zip(KINDS, await asyncio.gather(*map(outcome, KINDS)), strict=True))
    finished = {kind for kind, error in outcomes.items() if error is None}
    assert finished <= attack.finishes
    for error in outcomes.values():
        if error is not None:
            assert_is_a_sentence(error)
    assert not canary.was_opened
    assert not canary.was_called
    assert resident_bytes() - grown_from < MAX_PARENT_GROWTH_BYTES


@pytest.mark.parametrize("name", REFERENCES)
def test_no_reference_is_followed_even_without_a_sandbox(
    name: str, attacks: dict[str, Attack], canary: Canary, tmp_path: Path
) -> None:
    """In this process nothing is confined: what holds here is the whitelist of demuxers and protocols alone."""
    attack = attacks[name]
    path = tmp_path / f"hostile.{attack.extension}"
    path.write_bytes(attack.body)
    source = FileSource(path)
    try:
        with open_container(source) as container:
            pictures = sum(1 for _ in container.decode(video=0))
    except LastFrameError:
        pictures = 0
    source.close()
    assert pictures == 0
    assert not canary.was_opened
    assert not canary.was_called


@pytest.mark.parametrize("name", ["hls-file", "concat-path", "mov-dref-alias"])
def test_an_open_libav_does_follow_them(name: str, attacks: dict[str, Attack], canary: Canary, tmp_path: Path) -> None:
    """The same files with libav's own guards off: what is refused above is a real attack and not a typing error."""
    attack = attacks[name]
    path = tmp_path / f"hostile.{attack.extension}"
    path.write_bytes(attack.body)
    options = {
        "safe": "0",
        "allowed_extensions": "ALL",
        "extension_picky": "0",
        "enable_drefs": "1",
        "use_absolute_path": "1",
    }
    with contextlib.suppress(av.error.FFmpegError), av.open(str(path), options=options) as container:
        next(container.decode(video=0), None)
    assert canary.was_opened


def test_the_canaries_sing(canary: Canary) -> None:
    """A canary that notices nothing would prove nothing."""
    canary.path.read_bytes()
    assert canary.was_opened
    assert not canary.was_opened
    host, port = canary.url.split("/")[2].split(":")
    with socket.create_connection((host, int(port))):
        time.sleep(0.05)
        assert canary.was_called
    assert not canary.was_called


@pytest.mark.asyncio(loop_scope="module")
async def test_a_name_that_begins_with_a_dash_is_a_name(pool: ChildPool, bench: Bench) -> None:
    for name in ("-i", "-rf --help.mp4", "|id", "%d.mp4", "pipe:0"):
        path = bench.folder / name
        path.write_bytes(honest())
        for kind in ("length", "last_frame", "audio_stitch"):
            await bench.run(pool, kind, path, deadline_seconds=DEADLINE_SECONDS)
