"""The production shape for benches: real servers, and those of the product's processes that a bench needs."""

from __future__ import annotations

import http.client
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bench.support.meter import ProcessTree
from bench.support.peers import peers_python, python_path
from bench.support.suite import HOST, KEY
from deploy.stack.process import Server
from deploy.stack.servers import S3, Mongo, Rabbit, Redis


@dataclass(frozen=True)
class Stack:
    """The servers that the product and its peers share."""

    mongo: Mongo
    redis: Redis
    rabbit: Rabbit
    s3: S3

    @property
    def settings(self) -> dict[str, str]:
        return {
            "LASTFRAME_STORE_URL": self.mongo.url,
            "LASTFRAME_LIVE_URL": self.redis.url,
            "LASTFRAME_QUEUE_URL": self.rabbit.url,
            "LASTFRAME_OBJECTS_URL": self.s3.url,
            "LASTFRAME_PUBLIC_MEDIA_URL": self.s3.public_base_url,
            **self.s3.environment,
        }


@contextmanager
def running_stack(directory: Path) -> Iterator[Stack]:
    stack = Stack(
        Mongo(directory / "mongodb"), Redis(directory / "redis"), Rabbit(directory / "rabbitmq"), S3(directory / "s3")
    )
    with ExitStack() as exits:
        for server in (stack.mongo, stack.redis, stack.rabbit, stack.s3):
            exits.callback(server.stop)
            server.start()
        yield stack


class Program(Server):
    """A Python program as a server of its own."""

    name: ClassVar[str] = "program"

    def __init__(self, directory: Path, words: list[str], environment: Mapping[str, str], *, python: str = "") -> None:
        super().__init__(directory)
        self._words = [python or sys.executable, "-m", *words]
        self.environment = dict(environment)

    def launch(self) -> None:
        self.run(self._words, self.environment)

    def is_ready(self) -> bool:
        return True

    @property
    def processes(self) -> ProcessTree:
        return tree(self)


class Role(Program):
    """`python -m services.<feature> api|worker`, ready when its gRPC health says so."""

    stop_signal: ClassVar[signal.Signals] = signal.SIGKILL  # nothing is left to finish

    def __init__(self, directory: Path, words: list[str], settings: Mapping[str, str]) -> None:
        own = {
            "LASTFRAME_API_KEYS": f"bench={KEY}",
            "LASTFRAME_ALLOW_PRIVATE_SOURCES": "1",
            "LASTFRAME_LOG_LEVEL": "error",
            "LASTFRAME_DRAIN_SECONDS": "0",
            "LASTFRAME_RATE_LIMIT_PER_SECOND": "0",
            "LASTFRAME_MAX_TASKS_PER_KEY": "0",
            "LASTFRAME_DATA_DIR": str(directory / "data"),
        }
        super().__init__(directory, words, {"PYTHONPATH": python_path()["PYTHONPATH"], **own, **settings})
        self.environment["LASTFRAME_RPC_PORT"] = str(self.port)

    def is_ready(self) -> bool:
        with grpc.insecure_channel(f"{HOST}:{self.port}") as channel, suppress(grpc.RpcError):
            reply = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=1)
            return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)
        return False


class Http(Program):
    """A program that answers HTTP on its port."""

    stop_signal: ClassVar[signal.Signals] = signal.SIGKILL

    def is_ready(self) -> bool:
        with closing(http.client.HTTPConnection(HOST, self.port, timeout=2)) as connection, suppress(OSError):
            connection.request("GET", "/")
            return connection.getresponse().status < 500
        return False


def edge(directory: Path, api: Role, gateway: Role) -> Http:
    """Envoy before one feature's api and the gateway; the other features are not there."""
    features = dict.fromkeys(("FRAMES", "STITCH", "AUDIO", "ASSEMBLY", "PROBE"), api.port)
    addresses = {f"EDGE_{name}": f"{HOST}:{port}" for name, port in features.items()}
    addresses |= dict.fromkeys(("EDGE_TASKS", "EDGE_SERVER"), f"{HOST}:{gateway.port}")
    program = Http(directory, ["services.gateway.edge"], {"PYTHONPATH": python_path()["PYTHONPATH"], **addresses})
    program.environment |= {
        "LASTFRAME_PORT": str(program.port),
        "EDGE_LISTEN": HOST,
        "EDGE_DIR": str(directory / "edge"),
        "EDGE_ACCESS_LOG": "/dev/null",
    }
    return program


def celery(directory: Path, stack: Stack, broker: str, workers: int) -> tuple[Http, list[Program]]:
    """FastAPI behind uvicorn and so many Celery workers of one process each, on this broker."""
    environment = {"PEER_REDIS": stack.redis.url, "PEER_BROKER": broker, "PEER_KEY": KEY, "PEER_ALLOW_PRIVATE": "1"}
    environment["PYTHONPATH"] = str(Path(__file__).parent)
    python = str(peers_python())
    api = Http(directory / "api", [], environment, python=python)
    api._words += ["uvicorn", "celery_service:app", "--host", HOST, "--port", str(api.port), "--no-access-log"]
    api._words += ["--log-level", "warning"]
    words = ["celery", "-A", "celery_service:queue", "worker", "--pool", "prefork", "--concurrency", "1"]
    words += ["--loglevel", "ERROR", "--without-gossip", "--without-mingle"]
    flags = [[*words, "--hostname", f"w{number}@bench"] for number in range(workers)]
    return api, [
        Program(directory / f"worker-{number}", one, environment, python=python) for number, one in enumerate(flags)
    ]


def tree(server: Server) -> ProcessTree:
    return ProcessTree(server._processes[-1].pid)


@contextmanager
def running(*servers: Server) -> Iterator[None]:
    with ExitStack() as exits:
        for server in servers:
            exits.callback(server.stop)
            server.start()
        yield


def clean_environment() -> None:
    """The bench's own settings must not leak into the product's."""
    for name in [name for name in os.environ if name.startswith("LASTFRAME_")]:
        del os.environ[name]
