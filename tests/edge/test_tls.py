"""Mutual TLS between a real Envoy and a service, and Envoy's metrics."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from lastframe.server.v1 import server_pb2, server_pb2_grpc

from services.gateway.edge.launcher import EdgeProcess
from services.gateway.edge.render import render
from services.gateway.rpcs import load_contract
from shared.rpc.interceptor import Door
from shared.rpc.keys import KeyRing
from shared.rpc.server import RpcServer
from tests.support.certificates import Issuer

ENVOY = "URI:spiffe://lastframe/ns/lastframe/sa/envoy"


class Root(server_pb2_grpc.ServerServiceServicer):
    async def GetRoot(self, request: Any, context: Any) -> Any:
        return server_pb2.Root(service="behind TLS")


@asynccontextmanager
async def service(certificates: Path) -> AsyncIterator[RpcServer]:
    server = RpcServer(
        "127.0.0.1:0",
        Door(lambda: KeyRing(())),
        [lambda server: server_pb2_grpc.add_ServerServiceServicer_to_server(Root(), server)],
        [name for names in load_contract().features.values() for name in names],
        tls_directory=certificates,
        health_address="127.0.0.1:0",
    )
    await server.start()
    try:
        yield server
    finally:
        await server.stop(0)


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def variables(server: RpcServer, certificates: Path) -> dict[str, str]:
    features = {feature.upper(): f"localhost:{server.port}" for feature in load_contract().features}
    return {**features, "PORT": free_port(), "TLS_DIR": str(certificates), "DNS_LOOKUP_FAMILY": "V4_ONLY"}


async def get(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.text()


async def test_calls_pass_and_a_renewed_certificate_is_taken(tmp_path: Path) -> None:
    issuer = Issuer(tmp_path / "issuer")
    mine = issuer.issue(tmp_path / "service", "serverAuth", "DNS:localhost")
    envoys = tmp_path / "envoy"
    issuer.issue(envoys, "clientAuth", ENVOY)
    async with service(mine) as server:
        async with EdgeProcess(tmp_path / "edge", variables(server, envoys), concurrency=1) as edge:
            status, text = await get(f"http://127.0.0.1:{edge.port}/")
            assert (status, "behind TLS" in text) == (200, True)
        # Another issuer's altogether, so that an old pair cannot be what still works.
        renewed = Issuer(tmp_path / "renewed")
        renewed.issue(mine, "serverAuth", "DNS:localhost")
        renewed.issue(envoys, "clientAuth", ENVOY)
        async with EdgeProcess(tmp_path / "edge2", variables(server, envoys), concurrency=1) as edge:
            assert (await get(f"http://127.0.0.1:{edge.port}/"))[0] == 200


@pytest.mark.parametrize(
    ("usage", "names", "what"),
    [("serverAuth", ENVOY, "no client's certificate"), ("clientAuth", ENVOY, "another issuer's")],
)
async def test_callers_that_are_refused(tmp_path: Path, usage: str, names: str, what: str) -> None:
    issuer = Issuer(tmp_path / "issuer")
    mine = issuer.issue(tmp_path / "service", "serverAuth", "DNS:localhost")
    foreign = Issuer(tmp_path / "foreign") if what == "another issuer's" else issuer
    caller = foreign.issue(tmp_path / "caller", usage, names)
    (caller / "ca.crt").write_bytes((mine / "ca.crt").read_bytes())
    async with service(mine) as server:
        edge = EdgeProcess(tmp_path / "edge", variables(server, caller), concurrency=1)
        await edge.start(await_services=False)
        try:
            assert (await get(f"http://127.0.0.1:{edge.port}/"))[0] == 503
        finally:
            await edge.stop()


async def test_a_service_under_another_name_is_not_believed(tmp_path: Path) -> None:
    issuer = Issuer(tmp_path / "issuer")
    other = issuer.issue(tmp_path / "service", "serverAuth", "DNS:frames-api")
    envoys = issuer.issue(tmp_path / "envoy", "clientAuth", ENVOY)
    async with service(other) as server:
        edge = EdgeProcess(tmp_path / "edge", variables(server, envoys), concurrency=1)
        await edge.start(await_services=False)
        try:
            assert (await get(f"http://127.0.0.1:{edge.port}/"))[0] == 503
        finally:
            await edge.stop()


async def test_plain_calls_are_refused_and_plain_health_is_answered(tmp_path: Path) -> None:
    mine = Issuer(tmp_path / "issuer").issue(tmp_path / "service", "serverAuth", "DNS:localhost")
    async with service(mine) as server:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.health_port}") as channel:
            answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await server_pb2_grpc.ServerServiceStub(channel).GetRoot(server_pb2.GetRootRequest(), timeout=5)
            assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
            assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
        await server.set_serving(False)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.health_port}") as channel:
            answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
            assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING


async def test_envoys_metrics_and_nothing_else_of_its_admin_port(tmp_path: Path) -> None:
    port, features = free_port(), {feature.upper(): "127.0.0.1:9" for feature in load_contract().features}
    found = {**features, "PORT": free_port(), "METRICS_PORT": port, "ADMIN_PORT": free_port()}
    edge = EdgeProcess(tmp_path / "edge", found, concurrency=1)
    await edge.start(await_services=False)
    try:
        status, text = await get(f"http://127.0.0.1:{port}/metrics")
        assert status == 200 and "envoy_http_downstream_rq_total" in text
        assert (await get(f"http://127.0.0.1:{port}/quitquitquit"))[0] == 404
        assert edge.pid is not None
    finally:
        await edge.stop()


def test_metrics_need_a_fixed_admin_port() -> None:
    features = {feature.upper(): "127.0.0.1:9" for feature in load_contract().features}
    with pytest.raises(ValueError, match="ADMIN_PORT"):
        render({**features, "DESCRIPTORS": "edge.binpb", "METRICS_PORT": "9464"})
