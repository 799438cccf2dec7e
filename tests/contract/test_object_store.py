"""What every object store promises, asked of each one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from shared.errors import Conflict
from tests.contract.conftest import Objects


def a_file(tmp_path: Path, content: bytes, name: str = "scratch.bin") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


async def test_an_object_is_read_back_at_its_url(objects: Objects, tmp_path: Path) -> None:
    content = bytes(range(256)) * 40
    url = await objects.store.put(a_file(tmp_path, content), "ab12.jpg", "image/jpeg")
    assert url == await objects.store.url("ab12.jpg")
    assert url.startswith(objects.public_base_url + "/")
    assert objects.read("ab12.jpg") == content


async def test_names_are_quoted_in_urls(objects: Objects, tmp_path: Path) -> None:
    name = "folder/my clip (1)+2.mp4"
    url = await objects.store.put(a_file(tmp_path, b"x"), name, "video/mp4")
    assert url.split("?")[0].endswith("/folder/my%20clip%20%281%29%2B2.mp4")
    assert objects.read(name) == b"x"


async def test_a_name_is_written_once(objects: Objects, tmp_path: Path) -> None:
    await objects.store.put(a_file(tmp_path, b"first"), "a.mp3", "audio/mpeg")
    with pytest.raises(Conflict):
        await objects.store.put(a_file(tmp_path, b"second"), "a.mp3", "audio/mpeg")
    assert objects.read("a.mp3") == b"first"


async def test_of_concurrent_writers_one_wins_whole(objects: Objects, tmp_path: Path) -> None:
    contents = [bytes([number]) * 200_000 for number in range(6)]
    paths = [a_file(tmp_path, content, f"s{number}") for number, content in enumerate(contents)]
    answers = await asyncio.gather(
        *(objects.store.put(path, "race.bin", "application/octet-stream") for path in paths), return_exceptions=True
    )
    assert [type(answer) for answer in answers].count(Conflict) == 5
    winner = next(number for number, answer in enumerate(answers) if isinstance(answer, str))
    assert objects.read("race.bin") == contents[winner]


async def test_delete_makes_the_name_free(objects: Objects, tmp_path: Path) -> None:
    await objects.store.put(a_file(tmp_path, b"first"), "a.mp4", "video/mp4")
    await objects.store.delete("a.mp4")
    await objects.store.delete("a.mp4")
    await objects.store.put(a_file(tmp_path, b"second"), "a.mp4", "video/mp4")
    assert objects.read("a.mp4") == b"second"


async def test_an_empty_file_is_an_object(objects: Objects, tmp_path: Path) -> None:
    await objects.store.put(a_file(tmp_path, b""), "empty.bin", "application/octet-stream")
    assert objects.read("empty.bin") == b""


@pytest.mark.parametrize("name", ["../up", "/abs", "a/../b", "", ".hidden", "a//b", "a\nb", "a" * 600])
async def test_a_name_cannot_leave_its_folder(objects: Objects, tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        await objects.store.put(a_file(tmp_path, b"x"), name, "video/mp4")


async def test_the_scratch_file_stays_the_jobs_own(objects: Objects, tmp_path: Path) -> None:
    path = a_file(tmp_path, b"result")
    await objects.store.put(path, "a.wav", "audio/wav")
    path.unlink()
    assert objects.read("a.wav") == b"result"


async def test_names_are_listed_in_order(objects: Objects, tmp_path: Path) -> None:
    for name in ("upload-2.mp4", "other.mp4", "upload-10.mp4", "upload-1.mp4"):
        await objects.store.put(a_file(tmp_path, b"x"), name, "video/mp4")
    assert await objects.store.names("upload-", 10) == ["upload-1.mp4", "upload-10.mp4", "upload-2.mp4"]
    assert await objects.store.names("upload-", 2) == ["upload-1.mp4", "upload-10.mp4"]
    assert await objects.store.names("absent", 10) == []


async def test_a_file_may_grow_until_it_is_written(objects: Objects, tmp_path: Path) -> None:
    path, written = tmp_path / "grows.mp4", asyncio.Event()
    put = asyncio.create_task(objects.store.put(path, "grows.mp4", "video/mp4", written=written))
    await asyncio.sleep(0.05)
    path.write_bytes(b"begun anew")
    await asyncio.sleep(0.3)
    assert await objects.store.names("", 10) == []
    path.write_bytes(b"first and last")
    written.set()
    assert await put == await objects.store.url("grows.mp4")
    assert objects.read("grows.mp4") == b"first and last"


async def test_a_growing_file_that_is_given_up_leaves_nothing(objects: Objects, tmp_path: Path) -> None:
    written = asyncio.Event()
    put = asyncio.create_task(objects.store.put(a_file(tmp_path, b"x"), "a.mp4", "video/mp4", written=written))
    await asyncio.sleep(0.05)
    put.cancel()
    await asyncio.wait([put])
    written.set()
    assert put.cancelled()
    assert await objects.store.names("", 10) == []


async def test_it_is_up(objects: Objects) -> None:
    assert await objects.store.is_up()
