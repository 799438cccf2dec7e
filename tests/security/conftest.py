"""One suite with three keys in a file (two tenants and an admin) and one server of sources, a session."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.keys import add
from tests.security.suite import RunningSuite, running_suite
from tests.support.http_server import NastyServer


@dataclass(frozen=True)
class Keys:
    file: Path
    alice: str
    bob: str
    root: str


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    file = tmp_path_factory.mktemp("keys") / "api-keys"
    return Keys(file, *(add(file, name) for name in ("alice", "bob", "root")))


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> Iterator[RunningSuite]:
    with running_suite(
        tmp_path_factory.mktemp("suite"),
        api_keys_file=str(keys.file),
        admin_keys="root",
        allow_private_sources="1",
        job_deadline_seconds="60",
    ) as running:
        yield running


@pytest.fixture(scope="session")
def sources() -> Iterator[NastyServer]:
    with NastyServer() as server:
        yield server
