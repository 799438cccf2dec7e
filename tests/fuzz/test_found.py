"""Inputs that a campaign once found: each broke something then, and ends properly now, in every kind of job."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from shared.errors import LastFrameError, MediaCrashed
from shared.jobs.child import ChildPool
from tests.security.attack_files import KINDS
from tests.security.jobs import PRELOAD, Bench

FOUND = sorted(Path(__file__).with_name("found").iterdir())


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.stem)
async def test_it_ends_properly_now(path: Path, tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    pool = ChildPool(preload=PRELOAD, warm=1, sandbox="best-effort")
    await pool.start()
    try:
        for kind in KINDS:
            with contextlib.suppress(LastFrameError):
                try:
                    await bench.run(pool, kind, path, deadline_seconds=20, max_duration_seconds=15)
                except MediaCrashed as error:
                    raise AssertionError(f"{kind}: {error}") from error
    finally:
        await pool.stop()
