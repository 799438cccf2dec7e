"""What a crash leaves in the directory of results, and who may sweep it."""

from __future__ import annotations

import fcntl
from pathlib import Path

from shared.backends.embedded.file_objects import FileObjects


async def test_the_half_written_result_of_a_dead_process_is_swept_and_that_of_a_living_one_is_not(
    tmp_path: Path,
) -> None:
    incoming = tmp_path / "media" / ".incoming"
    incoming.mkdir(parents=True)
    (incoming / "dead").write_bytes(b"half")
    with (incoming / "alive").open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        await FileObjects(tmp_path / "media", "http://media").open()
        assert [path.name for path in incoming.iterdir()] == ["alive"]


async def test_a_stored_result_leaves_nothing_half_written(tmp_path: Path) -> None:
    objects = FileObjects(tmp_path / "media", "http://media")
    await objects.open()
    (tmp_path / "result.jpg").write_bytes(b"whole")
    assert await objects.put(tmp_path / "result.jpg", "a.jpg", "image/jpeg") == "http://media/a.jpg"
    assert (tmp_path / "media" / "a.jpg").read_bytes() == b"whole"
    assert list((tmp_path / "media" / ".incoming").iterdir()) == []
