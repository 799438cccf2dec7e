"""A real Envoy in front of canned services, one for all the tests of this folder."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest_asyncio
from aiohttp import web

from services.gateway.edge.launcher import EdgeProcess
from tests.support.fake_services import FakeServices, fake_services

PICTURE = bytes(range(256)) * 40


@dataclass(frozen=True)
class Edge:
    process: EdgeProcess
    services: FakeServices
    access_log: Path

    @property
    def port(self) -> int:
        return self.process.port

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"


def free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.asynccontextmanager
async def media_server(directory: Path) -> AsyncIterator[str]:
    """Serves `directory` under /media/, with Range, as the embedded suite does."""
    application = web.Application()
    application.router.add_static("/media/", directory)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def edge(tmp_path_factory) -> AsyncIterator[Edge]:
    directory = tmp_path_factory.mktemp("edge")
    media = directory / "media"
    media.mkdir()
    (media / "frame.jpg").write_bytes(PICTURE)
    access_log = directory / "access.log"
    async with fake_services() as services, media_server(media) as media_address:
        variables = {
            "PORT": str(free_port()),
            "MEDIA": media_address,
            "ACCESS_LOG": str(access_log),
            "SUBMIT_TIMEOUT": "1s",
            **services.addresses(),
        }
        async with EdgeProcess(directory / "run", variables, concurrency=1, log=directory / "envoy.log") as process:
            yield Edge(process, services, access_log)
