"""The S3 store alone: what clients see at its URLs, big files, and a server that refuses, stalls or is gone."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from botocore.exceptions import ClientError

from deploy.stack.process import free_ports
from deploy.stack.servers import S3
from shared.backends.s3 import S3Objects
from shared.backends.s3_parts import send_parts
from shared.errors import ConfigurationError, Conflict, Unavailable
from tests.support.servers import hurting

pytestmark = pytest.mark.server

MEBIBYTE = 1024 * 1024
KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}


@pytest.fixture
def server(s3_server: S3) -> Iterator[S3]:
    with hurting(s3_server):
        yield s3_server


@pytest.fixture
async def store(server: S3) -> AsyncIterator[S3Objects]:
    store = S3Objects(server.url, server.public_base_url, part_bytes=5 * MEBIBYTE, environment=server.environment)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """An object name of the test's own in the shared bucket."""
    return f"{request.node.name}.mp4".replace("[", "-").replace("]", "")


def big_file(tmp_path: Path, size: int = 12 * MEBIBYTE + 345, seed: int = 1) -> tuple[Path, bytes]:
    content = (seed.to_bytes(2, "big") + bytes(range(251))) * (size // 253 + 1)
    path = tmp_path / f"big{seed}"
    path.write_bytes(content[:size])
    return path, content[:size]


async def fetch(url: str, **headers: str) -> tuple[int, Any, bytes]:
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
        return response.status, response.headers, await response.read()


async def test_anyone_can_read_the_public_url_with_its_type_and_ranges(
    store: S3Objects, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"0123456789")
    url = await store.put(path, name, "video/mp4")
    status, headers, body = await fetch(url)
    assert (status, body, headers["Content-Type"]) == (200, b"0123456789", "video/mp4")
    assert headers["Cache-Control"] == "public, max-age=31536000, immutable"
    status, headers, body = await fetch(url, Range="bytes=2-4")
    assert (status, body, headers["Content-Range"]) == (206, b"234", "bytes 2-4/10")


async def test_a_big_file_goes_in_parts_and_arrives_whole(store: S3Objects, tmp_path: Path, name: str) -> None:
    path, content = big_file(tmp_path)
    status, headers, body = await fetch(await store.put(path, name, "video/mp4"))
    assert status == 200
    assert headers["Content-Type"] == "video/mp4"
    assert "-" in headers["ETag"]  # of parts
    assert body == content


async def test_a_big_file_does_not_replace_another(store: S3Objects, server: S3, tmp_path: Path, name: str) -> None:
    first, content = big_file(tmp_path, seed=1)
    second, _ = big_file(tmp_path, seed=2)
    url = await store.put(first, name, "video/mp4")
    with pytest.raises(Conflict):
        await store.put(second, name, "video/mp4")
    assert (await fetch(url))[2] == content
    assert not server.client().list_multipart_uploads(Bucket=server.bucket).get("Uploads")


async def test_a_name_that_is_taken_while_parts_are_sent_is_not_replaced(
    store: S3Objects, server: S3, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = big_file(tmp_path)

    async def send_slowly(*arguments: Any) -> Any:
        parts = await send_parts(*arguments)
        server.client().put_object(Bucket=server.bucket, Key=name, Body=b"first")
        return parts

    monkeypatch.setattr("shared.backends.s3.send_parts", send_slowly)
    with pytest.raises(Conflict):
        await store.put(path, name, "video/mp4")
    assert (await fetch(await store.url(name)))[2] == b"first"
    assert not server.client().list_multipart_uploads(Bucket=server.bucket).get("Uploads")


class Growing:
    """A file of which three parts are there, on its way into the store; `sent` has the number of each part sent."""

    def __init__(self, store: S3Objects, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path, self.content = big_file(tmp_path, 15 * MEBIBYTE)
        self.sent: list[int] = []
        self.written = asyncio.Event()
        upload_part = store._client.upload_part

        async def send(**fields: Any) -> Any:
            answer = await upload_part(**fields)
            self.sent.append(fields["PartNumber"])
            return answer

        monkeypatch.setattr(store._client, "upload_part", send)
        self.put = asyncio.create_task(store.put(self.path, name, "video/mp4", written=self.written))

    async def until_sent(self, *numbers: int) -> None:
        async with asyncio.timeout(20):
            while sorted(self.sent) != list(numbers):
                await asyncio.sleep(0.02)

    async def end(self, content: bytes) -> bytes:
        self.path.write_bytes(content)
        self.written.set()
        return (await fetch(await self.put))[2]


@pytest.fixture
async def growing(
    store: S3Objects, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Growing]:
    growing = Growing(store, tmp_path, name, monkeypatch)
    await growing.until_sent(2, 3)
    yield growing
    growing.put.cancel()
    await asyncio.wait([growing.put])


async def test_parts_are_sent_while_the_file_grows(store: S3Objects, growing: Growing, name: str) -> None:
    assert (await fetch(await store.url(name)))[0] == 404
    content = b"index" + growing.content[5:] + b"the end"
    assert await growing.end(content) == content
    assert sorted(growing.sent) == [1, 2, 3, 4]


async def test_a_part_that_changed_after_it_was_sent_is_sent_again(growing: Growing) -> None:
    content = growing.content[: 7 * MEBIBYTE] + b"moved" + growing.content[7 * MEBIBYTE :]
    assert await growing.end(content) == content
    assert sorted(growing.sent) == [1, 2, 2, 3, 3, 4]


async def test_a_file_that_ends_shorter_than_it_was_is_stored_as_it_ended(growing: Growing) -> None:
    content = growing.content[: 8 * MEBIBYTE]
    assert await growing.end(content) == content


@pytest.mark.parametrize("growing_ends", ["cancelled", "cut off"])
async def test_a_growing_file_that_is_given_up_leaves_no_upload(
    store: S3Objects, server: S3, growing: Growing, name: str, growing_ends: str
) -> None:
    if growing_ends == "cancelled":
        growing.put.cancel()
    else:
        growing.path.unlink()
        growing.written.set()
    with pytest.raises((asyncio.CancelledError, Unavailable)):
        await growing.put
    assert not server.client().list_multipart_uploads(Bucket=server.bucket).get("Uploads")
    assert (await fetch(await store.url(name)))[0] == 404


async def test_a_part_that_could_not_be_sent_early_is_sent_at_the_end(
    store: S3Objects, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = asyncio.Event()
    upload_part = store._client.upload_part

    async def fail_once(**fields: Any) -> Any:
        if not failed.is_set():
            failed.set()
            raise TimeoutError
        return await upload_part(**fields)

    monkeypatch.setattr(store._client, "upload_part", fail_once)
    growing = Growing(store, tmp_path, name, monkeypatch)
    await failed.wait()
    assert await growing.end(growing.content) == growing.content


async def test_of_two_big_files_at_once_one_is_there_whole(store: S3Objects, tmp_path: Path, name: str) -> None:
    files = [big_file(tmp_path, seed=seed) for seed in (1, 2)]
    answers = await asyncio.gather(*(store.put(path, name, "video/mp4") for path, _ in files), return_exceptions=True)
    assert {type(answer) for answer in answers} <= {str, Conflict}
    kept = (await fetch(await store.url(name)))[2]
    writer = [content for _, content in files].index(kept)
    assert isinstance(answers[writer], str)  # whoever was refused left nothing


async def test_a_write_refused_for_one_under_way_is_tried_again(
    store: S3Objects, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"x")

    async def refuse(**_: Any) -> Any:
        answer = {"Error": {"Code": "ConditionalRequestConflict"}, "ResponseMetadata": {"HTTPStatusCode": 409}}
        raise ClientError(answer, "PutObject")

    with monkeypatch.context() as patched:
        patched.setattr(store._client, "put_object", refuse)
        with pytest.raises(Unavailable):  # not Conflict: nothing has the name
            await store.put(path, name, "video/mp4")
    await store.put(path, name, "video/mp4")


async def test_a_repeat_of_our_own_lost_answer_is_no_conflict(
    store: S3Objects, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"once")
    put_object = store._client.put_object

    async def put_twice(**fields: Any) -> Any:
        await put_object(**fields)
        return await put_object(**fields)  # as the client library does when an answer is lost

    monkeypatch.setattr(store._client, "put_object", put_twice)
    assert (await fetch(await store.put(path, name, "video/mp4")))[2] == b"once"


async def test_a_presigned_url_opens_a_private_bucket_for_its_time(server: S3, tmp_path: Path, name: str) -> None:
    url = f"s3://private?endpoint={server.endpoint}&region=auto&presign=1"
    server.client().create_bucket(Bucket="private")
    store = S3Objects(url, "https://unused.example", environment=server.environment)
    await store.open()
    path = tmp_path / "x"
    path.write_bytes(b"secret")
    signed = await store.put(path, name, "video/mp4")
    assert (await fetch(signed))[::2] == (200, b"secret")
    assert (await fetch(signed.split("?")[0]))[0] == 403
    await asyncio.sleep(2.1)
    assert (await fetch(signed))[0] == 403
    await store.close()


async def test_wrong_keys_are_unavailable(server: S3, tmp_path: Path, name: str) -> None:
    wrong = server.environment | {"AWS_SECRET_ACCESS_KEY": "wrong"}
    store = S3Objects(server.url, server.public_base_url, environment=wrong)
    await store.open()
    path = tmp_path / "x"
    path.write_bytes(b"x")
    with pytest.raises(Unavailable):
        await store.put(path, name, "video/mp4")
    assert not await store.is_up()
    await store.close()


async def test_no_server_is_unavailable_after_retries(tmp_path: Path) -> None:
    url = f"s3://bucket?endpoint=http://127.0.0.1:{free_ports(1)[0]}"
    store = S3Objects(url, "https://media.example", environment=KEYS)
    await store.open()
    path = tmp_path / "x"
    path.write_bytes(b"x")
    start = time.monotonic()
    with pytest.raises(Unavailable):
        await store.put(path, "x.mp4", "video/mp4")
    with pytest.raises(Unavailable):
        await store.delete("x.mp4")
    assert not await store.is_up()
    assert time.monotonic() - start < 120
    await store.close()


async def test_a_server_that_stalls_for_a_moment_is_waited_for(
    store: S3Objects, server: S3, tmp_path: Path, name: str
) -> None:
    path, content = big_file(tmp_path)
    server.freeze()
    assert not await store.is_up()
    thaw = threading.Timer(1.0, server.thaw)
    thaw.start()
    url = await store.put(path, name, "video/mp4")
    thaw.join()
    assert (await fetch(url))[2] == content


@pytest.mark.parametrize(
    "url",
    ["s3://", "s3://bucket/folder", "s3://bucket?endpiont=https://x", "s3://bucket?presign=soon"],
)
def test_a_url_that_is_wrong_names_the_variable(url: str) -> None:
    with pytest.raises(ConfigurationError, match="LASTFRAME_OBJECTS_URL"):
        S3Objects(url, "https://media.example", environment=KEYS)


def test_missing_keys_are_named() -> None:
    with pytest.raises(ConfigurationError, match="AWS_ACCESS_KEY_ID"):
        S3Objects("s3://bucket", "https://media.example", environment={})


async def test_an_endpoint_that_is_no_url_names_the_variable() -> None:
    with pytest.raises(ConfigurationError, match="LASTFRAME_OBJECTS_URL"):
        await S3Objects("s3://bucket?endpoint=nonsense", "https://media.example", environment=KEYS).open()
