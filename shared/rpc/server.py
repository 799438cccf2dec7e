"""Builds the grpc.aio server that every service runs on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection

from shared.rpc.interceptor import Door
from shared.rpc.tls import server_credentials

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
MAX_METADATA_BYTES = 192 * 1024
"""Three times what the edge takes: it adds the path of a REST call once more. Above gRPC's own soft limit of 8 KiB a
growing share of calls would be refused, as if they were too many (RESOURCE_EXHAUSTED)."""

OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", 16 * 1024 * 1024),
    ("grpc.max_metadata_size", MAX_METADATA_BYTES),
    ("grpc.absolute_max_metadata_size", MAX_METADATA_BYTES),
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
)

Register = Callable[[grpc.aio.Server], None]


class RpcServer:
    """A grpc.aio server with health and reflection.

    Args:
        address: `host:port`; port 0 picks a free one.
        register: functions that add servicers.
        service_names: full names, for health and reflection.
        tls_directory: demand mutual TLS with the certificates there (`shared/rpc/tls.py`).
        health_address: also answer health, and only that, without TLS there: the kubelet's gRPC probes speak none.
    """

    def __init__(
        self,
        address: str,
        door: Door,
        register: Sequence[Register],
        service_names: Sequence[str],
        *,
        tls_directory: Path | None = None,
        health_address: str | None = None,
    ) -> None:
        self._server = grpc.aio.server(interceptors=[door], options=OPTIONS)
        self._names = tuple(service_names)
        self._health = HealthServicer()
        for add in register:
            add(self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection((*self._names, reflection.SERVICE_NAME), self._server)
        if tls_directory is None:
            self.port = self._server.add_insecure_port(address)
        else:
            self.port = self._server.add_secure_port(address, server_credentials(tls_directory))
        self._health_server: grpc.aio.Server | None = None
        if health_address is not None:
            self._health_server = grpc.aio.server()
            health_pb2_grpc.add_HealthServicer_to_server(self._health, self._health_server)
            self.health_port = self._health_server.add_insecure_port(health_address)

    async def start(self) -> None:
        await self._server.start()
        if self._health_server is not None:
            await self._health_server.start()
        await self.set_serving(True)

    async def set_serving(self, serving: bool) -> None:
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", *self._names):
            await self._health.set(name, status)

    async def stop(self, grace_seconds: float) -> None:
        """Refuses new calls, lets running ones finish within the grace."""
        await self._server.stop(grace_seconds)
        if self._health_server is not None:
            await self._health_server.stop(0)
