"""Real servers for tests, one of each per session. A missing program skips at home and fails under CI."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest

from deploy.stack.process import MissingProgram, Server
from deploy.stack.servers import S3, Mongo, Rabbit, Redis
from tests.support.missing import missing

AnyServer = TypeVar("AnyServer", bound=Server)


def running(server: AnyServer) -> Iterator[AnyServer]:
    """A started server until the end of the loop or fixture that takes it."""
    try:
        server.start()
    except MissingProgram as error:
        missing(str(error))
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    yield from running(Redis(tmp_path_factory.mktemp("redis")))


@pytest.fixture(scope="session")
def mongo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongo]:
    yield from running(Mongo(tmp_path_factory.mktemp("mongo")))


@pytest.fixture(scope="session")
def rabbit_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rabbit]:
    yield from running(Rabbit(tmp_path_factory.mktemp("rabbit")))


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    yield from running(S3(tmp_path_factory.mktemp("s3")))


@contextmanager
def hurting(server: Server) -> Iterator[None]:
    """Whatever a test does to a session's server, the next test finds it running."""
    try:
        yield
    finally:
        if server.is_running():
            server.thaw()
        else:
            server.start()
