"""A real Envoy in front of canned services, one a test module."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest_asyncio

from services.gateway.edge.launcher import EdgeProcess
from shared.backends.embedded.media_server import MediaServer
from tests.support.fake_services import FakeServices, fake_services

PICTURE = bytes(range(256)) * 40
PICTURE_NAME = "68932ab1f918707cd6188d5f.jpg"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def is_error(self, status: int, word: str) -> bool:
        """Whether this is the API's one shape of an error, and says just this."""
        return (
            self.status == status
            and self.headers["content-type"].startswith("application/json")
            and set(self.json) == {"detail", "error"}
            and self.json["error"] == word
            and bool(self.json["detail"])
        )


@dataclass(frozen=True)
class Edge:
    process: EdgeProcess
    services: FakeServices
    access_log: Path
    client: aiohttp.ClientSession

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.process.port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    async def call(self, method: str, path: str, **options: Any) -> Reply:
        async with self.client.request(method, self.url + path, **options) as answer:
            return Reply(answer.status, answer.headers, await answer.read())

    async def submit(self, video_url: str, **options: Any) -> Reply:
        return await self.call("POST", "/api/v1/process", json={"video_url": video_url}, **options)

    async def raw(self, request: bytes) -> Reply:
        """Sends bytes that no HTTP library would, and reads until the edge closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.process.port)
        writer.write(request)
        answer = await asyncio.wait_for(reader.read(), 20)
        writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        return Reply(int(status.split()[1]), dict(line.lower().split(": ", 1) for line in lines), body)


def free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def edge(tmp_path_factory) -> AsyncIterator[Edge]:
    directory = tmp_path_factory.mktemp("edge")
    media_directory = directory / "media"
    media_directory.mkdir()
    (media_directory / PICTURE_NAME).write_bytes(PICTURE)
    access_log = directory / "access.log"
    media = MediaServer(media_directory)
    async with fake_services() as services, aiohttp.ClientSession() as client:
        media_port = await media.start()
        variables = {
            "PORT": str(free_port()),
            "MEDIA": f"127.0.0.1:{media_port}",
            "ACCESS_LOG": str(access_log),
            "SUBMIT_TIMEOUT": "1s",
            "BODY_IDLE_TIMEOUT": "1.5s",
            **services.addresses(),
        }
        async with EdgeProcess(directory / "run", variables, concurrency=1, log=directory / "envoy.log") as process:
            yield Edge(process, services, access_log, client)
        await media.stop()
