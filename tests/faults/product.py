"""The running product as the faults see it: what can be hurt, and what the insides say when all is over."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import pymongo
import redis

from deploy.stack.process import Server
from deploy.stack.servers import S3, Mongo, Rabbit, Redis
from shared.backends.rabbit_link import Link
from shared.backends.rabbit_topology import DEAD, DELAYS_SECONDS, FEATURES, delay_name, queue_name
from tests.faults.client import KEY
from tests.support.suite import ROOT, descendants

SETTINGS = {
    "API_KEYS": f"faults={KEY}",
    "ALLOW_PRIVATE_SOURCES": "1",
    "LOG_LEVEL": "warning",
    "RATE_LIMIT_PER_SECOND": "0",
    "MAX_TASKS_PER_KEY": "0",
    "WORKER_SLOTS": "6",
    "WEBHOOK_RETRY_SECONDS": ",".join(["1", "2", "3", *["5"] * 20]),
}
STOP_SECONDS = 60.0


@dataclass(frozen=True)
class Ending:
    """How a task ended, as the store has it.

    Attributes:
        fence: of the worker that settled it.
        times: how often it was ended, by the store's own history.
        attempts: how often a worker began it, as far as it is charged.
    """

    status: str
    fence: int
    times: int
    attempts: int


@dataclass
class Leftovers:
    """What should be gone when all tasks have ended."""

    scratch: list[str] = field(default_factory=list)
    queued: dict[str, int] = field(default_factory=dict)
    dead_letters: int = 0
    active: int = 0
    objects: set[str] = field(default_factory=set)


class Program(Server):
    """One of the product's own programs; `without` takes a part of it out (a negative control)."""

    name = "product"
    start_seconds = 120.0

    def __init__(self, directory: Path, words: list[str], settings: dict[str, str], without: str | None) -> None:
        super().__init__(directory)
        self._command = [sys.executable, "-m", *(("tests.faults.without", without) if without else ()), *words]
        own = {**SETTINGS, "PORT": str(self.port), "DATA_DIR": str(directory / "data")}
        self._environment = {f"LASTFRAME_{name}": value for name, value in own.items()} | settings

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self._processes[-1].pid

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    def launch(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.run(self._command, {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'protos'}", **self._environment})

    def is_ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        return False

    def stop(self) -> None:
        """A clean stop may wait for running jobs."""
        if self.is_running():
            process: subprocess.Popen[bytes] = self._processes[-1]
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
        super().stop()


class Embedded:
    """The suite in one process, on its own files; whoever runs it starts it again when it ends."""

    def __init__(self, directory: Path, without: str | None) -> None:
        self.program = Program(directory / "suite", ["services"], {}, without)
        self.servers: dict[str, Server] = {"suite": self.program}
        self._data = directory / "suite" / "data"

    def start(self) -> None:
        self.program.start()
        with contextlib.closing(self._database()) as database:
            # The history that says how often each task was ended.
            database.execute(
                "create table ends (task_id text);"
                "create trigger ended after update of completed_at on tasks when new.completed_at is not null"
                " and new.completed_at is not old.completed_at"
                " begin insert into ends values (new.task_id); end"
            )

    def processes(self) -> dict[str, list[int]]:
        found = descendants(self.program.pid) if self.program.is_running() else set()
        return {"decoder": [pid for pid in found if "shared.jobs.child" in _command(pid)], "envoy": _named(found)}

    def endings(self) -> dict[str, Ending]:
        with contextlib.closing(self._database()) as database:
            times = dict(database.execute("select task_id, count(*) from ends group by task_id"))
            rows = "select task_id, status, fence, json_extract(document, '$.attempt') from tasks"
            return {
                task_id: Ending(status, fence, times.get(task_id, 0), attempts)
                for task_id, status, fence, attempts in database.execute(rows)
            }

    def leftovers(self) -> Leftovers:
        media = self._data / "media"
        return Leftovers(
            scratch=_attempts(self._data / "scratch"),
            objects={path.name for path in media.iterdir() if path.is_file()},
        )

    def stop(self) -> None:
        self.program.stop()

    def _database(self) -> apsw.Connection:
        database = apsw.Connection(str(self._data / "lastframe.db"))
        database.set_busy_timeout(10_000)
        return database


class Production:
    """Every role a process of its own, on real servers."""

    def __init__(self, directory: Path, without: str | None, workers: int) -> None:
        self._redis, self._mongo = Redis(directory / "redis"), Mongo(directory / "mongodb")
        self._rabbit, self._s3 = Rabbit(directory / "rabbitmq"), S3(directory / "s3")
        self.servers: dict[str, Server] = {
            "redis": self._redis,
            "mongod": self._mongo,
            "rabbitmq": self._rabbit,
            "s3": self._s3,
        }
        settings = {
            "LASTFRAME_STORE_URL": self._mongo.url,
            "LASTFRAME_LIVE_URL": self._redis.url,
            "LASTFRAME_QUEUE_URL": self._rabbit.url,
            "LASTFRAME_OBJECTS_URL": self._s3.url,
            "LASTFRAME_PUBLIC_MEDIA_URL": self._s3.public_base_url,
            **self._s3.environment,
        }
        words = ["services.production", "--workers", str(workers)]
        self.program = Program(directory / "production", words, settings, without)
        self._data = directory / "production" / "data"

    def start(self) -> None:
        for server in (*self.servers.values(), self.program):
            server.start()

    def processes(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {"api": [], "worker": [], "decoder": [], "envoy": []}
        for pid in descendants(self.program.pid):
            command = _command(pid)
            if "shared.jobs.child" in command:
                found["decoder"].append(pid)
            elif "gateway.edge" in command or "/envoy " in command:
                found["envoy"].append(pid)
            elif found_role := re.search(r"services\.\w+ (api|worker)", command):
                found[found_role[1]].append(pid)
        return found

    def endings(self) -> dict[str, Ending]:
        times: Counter[str] = Counter()
        with pymongo.MongoClient(self._mongo.url) as client:
            history = client["local"]["oplog.rs"]
            first = history.find_one({"ns": "lastframe.tasks"}, sort=[("$natural", 1)])
            if first is not None and first["op"] != "i":
                raise RuntimeError("the oplog was too small to hold the whole history")
            for entry in history.find({"ns": "lastframe.tasks", "op": "u"}):
                times[entry["o2"]["_id"]] += _sets_the_end(entry["o"])
            return {
                task["_id"]: Ending(task["status"], task["fence"], times[task["_id"]], task["attempt"])
                for task in client["lastframe"]["tasks"].find()
            }

    def leftovers(self) -> Leftovers:
        names = {path["Key"] for page in self._pages() for path in page.get("Contents", ())}
        queued = asyncio.run(_lengths(self._rabbit.url))
        dead = queued.pop(DEAD)
        with redis.Redis(port=self._redis.port) as client:
            active = int(client.scard("active_tasks"))
        scratch = _attempts(self._data / "scratch")
        return Leftovers(
            scratch, {name: count for name, count in queued.items() if count}, dead, active, names - {".ready"}
        )

    def stop(self) -> None:
        for server in (self.program, *reversed(self.servers.values())):
            server.stop()

    def _pages(self) -> Any:
        return self._s3.client().get_paginator("list_objects_v2").paginate(Bucket=self._s3.bucket)


def _sets_the_end(change: dict[str, Any]) -> bool:
    """Whether an oplog entry (a delta, or a whole document) writes a time of end."""
    delta = change.get("diff")
    if delta is None:
        return change.get("completed_at") is not None
    return any((delta.get(part) or {}).get("completed_at") is not None for part in ("i", "u"))


async def _lengths(url: str) -> dict[str, int]:
    link = await Link.connect(url, confirms=False)
    try:
        lengths: dict[str, int] = {}
        for name in (DEAD, *map(queue_name, FEATURES), *map(delay_name, DELAYS_SECONDS)):
            queue = await link.channel.declare_queue(name, passive=True)
            lengths[name] = queue.declaration_result.message_count or 0
        return lengths
    finally:
        await link.close()


def _named(pids: set[int]) -> list[int]:
    return [pid for pid in pids if "/envoy " in _command(pid)]


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def _attempts(scratch: Path) -> list[str]:
    """The directories of attempts, below those of their workers."""
    return [str(path) for path in scratch.glob("*/*")]


def await_ready(server: Server, seconds: float = 120.0) -> None:
    """Returns when a server that was hurt answers again; starts it when it is not there."""
    deadline = time.monotonic() + seconds
    while not server.is_ready():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{server.name} did not come back")
        if not server.is_running():
            server.launch()
        time.sleep(0.2)
