"""Names of uploads, and what the names of results do with them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from google.api.httpbody_pb2 import HttpBody
from lastframe.server.v1 import uploads_pb2

from services.gateway.uploads import AT_ONCE, AT_ONCE_OF_ONE_KEY, CONTENT_TYPES, UploadsService, extension_of
from shared.backends.embedded import media_server
from shared.backends.embedded.file_objects import FileObjects
from shared.backends.unguessable_names import UnguessableNames
from shared.errors import Overloaded
from shared.jobs.retention import delete_expired_uploads
from shared.rpc.call import Call, set_current_call
from shared.rpc.keys import Caller
from shared.uploads import expiry_of, new_upload_name
from shared.urls import OutboundPolicy

NOW = datetime(2026, 11, 22, 12, 0, 0, 500_000, tzinfo=UTC)


def test_a_name_tells_its_expiry_and_nothing_else() -> None:
    name, expires_at = new_upload_name("mp4", NOW)
    assert expires_at == datetime(2026, 11, 23, 12, tzinfo=UTC)
    assert expiry_of(name) == expires_at
    assert name != new_upload_name("mp4", NOW)[0]
    policy = OutboundPolicy(own_results_url="http://media/")
    assert policy.own_result(f"http://media/{name}") == name


@pytest.mark.parametrize(
    "name", ["68932ab1f918707cd6188d5f.mp4", "upload-1-a.mp4", "upload-9999999999-0.mp4", "upload-x"]
)
def test_other_names_have_none(name: str) -> None:
    assert expiry_of(name) is None


def test_every_type_that_is_taken_is_served_as_it_is_stored() -> None:
    assert CONTENT_TYPES.items() <= media_server.CONTENT_TYPES.items()


@pytest.mark.parametrize(
    ("filename", "content_type", "extension"),
    [
        ("a.MOV", "", "mov"),
        ("a.html", "video/webm; codecs=vp9", "webm"),
        ("", "audio/mpeg", "mp3"),
        ("", "video/mp4", "mp4"),
        ("a.svg", "image/svg+xml", "bin"),
        ("", "", "bin"),
    ],
)
def test_the_extension(filename: str, content_type: str, extension: str) -> None:
    assert extension_of(filename, content_type) == extension


async def test_what_is_due_is_deleted_also_beside_derived_names(tmp_path: Path) -> None:
    inner = FileObjects(tmp_path / "media", "http://media")
    objects = UnguessableNames(inner, "secret")
    await objects.open()
    scratch = tmp_path / "scratch"
    scratch.write_bytes(b"x")
    early, _ = new_upload_name("mp4", NOW - timedelta(hours=24))
    late, _ = new_upload_name("mp4", NOW)
    for name in (late, early):
        await objects.put(scratch, name, "video/mp4")
    result = await objects.put(scratch, "68932ab1f918707cd6188d5f.jpg", "image/jpeg")
    assert await delete_expired_uploads(objects, NOW) == 1
    assert await objects.names("upload-", 10) == [late]
    # A derived name, as retention reads it from the result's URL, names the same object.
    await objects.delete(result.rpartition("/")[2])
    assert await objects.names("", 10) == [late]


async def test_only_so_many_at_once_and_not_all_of_one_key(tmp_path: Path) -> None:
    objects = FileObjects(tmp_path / "media", "http://media")
    await objects.open()
    service = UploadsService(objects, max_bytes=1000, scratch=tmp_path / "scratch")
    go_on = asyncio.Event()

    async def pieces() -> AsyncIterator[uploads_pb2.UploadFileRequest]:
        yield uploads_pb2.UploadFileRequest(file=HttpBody(data=b"x"))
        await go_on.wait()

    async def upload(key: str) -> uploads_pb2.UploadedFile:
        set_current_call(Call(Caller(key)))
        return await service.UploadFile(pieces(), None)

    running = [asyncio.create_task(upload("alice")) for _ in range(AT_ONCE_OF_ONE_KEY)]
    await asyncio.sleep(0.05)
    with pytest.raises(Overloaded, match="This key has 8 uploads"):
        await upload("alice")
    running += [asyncio.create_task(upload("bob")) for _ in range(AT_ONCE - AT_ONCE_OF_ONE_KEY)]
    await asyncio.sleep(0.05)
    with pytest.raises(Overloaded, match="There are 16 uploads"):
        await upload("carol")
    go_on.set()
    assert len({stored.url for stored in await asyncio.gather(*running)}) == AT_ONCE
    assert (await upload("alice")).size_bytes == 1
