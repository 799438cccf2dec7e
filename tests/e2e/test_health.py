"""`/health` through the edge, on real servers of which one after the other is killed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from google.rpc import status_pb2
from lastframe.server.v1 import server_pb2, server_pb2_grpc

from deploy.stack.process import free_ports
from services.gateway.edge.launcher import EdgeProcess
from services.gateway.feature import gateway_feature
from shared.runtime.settings import Settings
from shared.runtime.wiring import make_rpc_server, open_backends
from tests.support.servers import hurting, mongo_server, rabbit_server, redis_server, s3_server  # noqa: F401  fixtures

pytestmark = pytest.mark.server

CLUSTERS = ("FRAMES", "STITCH", "AUDIO", "ASSEMBLY", "PROBE", "TASKS", "SERVER")
PARTS = {"mongodb", "redis", "rabbitmq", "storage"}


@pytest.fixture
def servers(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    fixtures = {"mongodb": "mongo_server", "redis": "redis_server", "rabbitmq": "rabbit_server", "storage": "s3_server"}
    named = {part: request.getfixturevalue(fixture) for part, fixture in fixtures.items()}
    with ExitStack() as exits:
        for server in named.values():
            exits.enter_context(hurting(server))
        yield named


@pytest.fixture
async def addresses(
    servers: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[str, str]]:
    """Of a gateway on these servers: the edge's URL, and the service's own address."""
    storage = servers["storage"]
    for name, value in storage.environment.items():
        monkeypatch.setenv(name, value)
    settings = Settings(
        data_dir=tmp_path,
        api_keys="ann=key",
        store_url=servers["mongodb"].database_url("health"),
        live_url=servers["redis"].url,
        queue_url=servers["rabbitmq"].url,
        objects_url=storage.url,
        public_media_url=storage.public_base_url,
    )
    async with open_backends(settings) as backends:
        gateway, _ = gateway_feature(settings, backends, None)
        server = make_rpc_server(settings, backends, [gateway], "127.0.0.1:0", plan=None)
        await server.start()
        assert gateway.beside is not None
        watching = asyncio.create_task(gateway.beside())
        variables = dict.fromkeys(CLUSTERS, f"127.0.0.1:{server.port}")
        variables["PORT"] = str(free_ports(1)[0])
        async with EdgeProcess(tmp_path / "edge", variables, concurrency=1, log=tmp_path / "envoy.log") as edge:
            yield f"http://127.0.0.1:{edge.port}", f"127.0.0.1:{server.port}"
        watching.cancel()
        await server.stop(0)


async def health(url: str, wanted: Callable[[int, dict[str, Any]], bool], seconds: float = 60.0) -> dict[str, Any]:
    """The first answer that is wanted; every answer must come within ten seconds."""
    async with aiohttp.ClientSession() as client, asyncio.timeout(seconds):
        while True:
            began = time.monotonic()
            async with client.get(f"{url}/health") as answer:
                status, body = answer.status, await answer.json()
            assert time.monotonic() - began < 10
            if wanted(status, body):
                return body
            await asyncio.sleep(0.2)


def is_healthy(status: int, body: dict[str, Any]) -> bool:
    return status == 200 and body["status"] == "healthy"


@pytest.mark.parametrize("part", ["redis", "rabbitmq", "storage"])
async def test_it_is_degraded_and_serves_without(
    addresses: tuple[str, str], servers: dict[str, Any], part: str
) -> None:
    url, _ = addresses
    before = await health(url, is_healthy)
    assert before["services"] | dict.fromkeys(PARTS, "connected") == before["services"]
    killed = datetime.now(UTC)
    servers[part].kill()
    body = await health(url, lambda status, body: status == 200 and body["status"] == "degraded")
    assert body["services"] | dict.fromkeys(PARTS - {part}, "connected") == body["services"]
    assert body["services"][part] == "disconnected"
    since = {name: datetime.fromisoformat(moment) for name, moment in body["since"].items()}
    assert killed <= since[part] <= datetime.now(UTC)
    assert {name: body["since"][name] for name in PARTS - {part}} == {
        name: before["since"][name] for name in PARTS - {part}
    }
    servers[part].start()
    back = await health(url, is_healthy)
    assert datetime.fromisoformat(back["since"][part]) > since[part]


async def test_without_the_store_it_is_unhealthy_and_says_what_is_up(
    addresses: tuple[str, str], servers: dict[str, Any]
) -> None:
    url, address = addresses
    await health(url, is_healthy)
    killed = datetime.now(UTC).replace(microsecond=0)
    servers["mongodb"].kill()
    body = await health(url, lambda status, _: status == 503)
    assert body.keys() == {"detail", "error", "status", "timestamp", "services", "since"}
    assert (body["status"], body["error"]) == ("unhealthy", "unavailable")
    assert body["detail"] == "The task store is not reachable"
    assert body["services"]["mongodb"] == "disconnected"
    assert body["services"] | {"redis": "connected", "gpu": "unavailable"} == body["services"]
    assert datetime.fromisoformat(body["since"]["mongodb"]) >= killed
    async with grpc.aio.insecure_channel(address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await server_pb2_grpc.ServerServiceStub(channel).GetHealth(server_pb2.GetHealthRequest())
    assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE
    trailers = dict(refusal.value.trailing_metadata() or ())
    details = status_pb2.Status.FromString(trailers["grpc-status-details-bin"]).details  # type: ignore[arg-type]
    told = server_pb2.Unhealthy()
    assert any(detail.Unpack(told) for detail in details)
    assert (told.status, told.services.mongodb) == ("unhealthy", "disconnected")
    servers["mongodb"].start()
    await health(url, is_healthy)
