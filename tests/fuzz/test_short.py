"""A short campaign inside `make test`; the long one is `make fuzz`."""

from __future__ import annotations

from pathlib import Path

from tests.fuzz.campaign import Campaign


async def test_mutated_media_end_and_leave_nothing(tmp_path: Path) -> None:
    report = await Campaign(tmp_path, seed=20261).run(300, seconds=25.0)
    assert report.runs >= 10
    assert sum(report.ends.values()) == report.runs
    assert report.broken == []
    assert report.crashed == []
    assert report.leftovers == []
    assert report.descriptors[0] == report.descriptors[1]
    assert max(report.rss_bytes) - report.rss_bytes[0] < 64 << 20
