"""One suite with four keys in a file (three tenants and an admin) and one server of sources, a session."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from services.keys import add
from tests.support.http_server import NastyServer
from tests.support.suite import RunningSuite


@dataclass(frozen=True)
class Keys:
    """`idle` never submits anything; `root` is the admin's."""

    file: Path
    alice: str
    bob: str
    idle: str
    root: str


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    file = tmp_path_factory.mktemp("keys") / "api-keys"
    return Keys(file, *(add(file, name) for name in ("alice", "bob", "idle", "root")))


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> Iterator[RunningSuite]:
    with RunningSuite(
        tmp_path_factory.mktemp("security") / "suite",
        api_keys=None,
        api_keys_file=str(keys.file),
        admin_keys="root",
        job_deadline_seconds="60",
    ) as running:
        yield running


def ended(suite: RunningSuite, task_id: str, key: str, within_seconds: float = 60.0) -> Any:
    """The task of this key once it has ended."""
    deadline = time.monotonic() + within_seconds
    task: Any = None
    while time.monotonic() < deadline:
        task = suite.get(f"/api/v1/status/{task_id}", key=key)
        if task["status"] in ("completed", "failed"):
            return task
        time.sleep(0.05)
    raise AssertionError(f"no end in {within_seconds} s: {task}")


@pytest.fixture(scope="session")
def sources() -> Iterator[NastyServer]:
    with NastyServer() as server:
        yield server
