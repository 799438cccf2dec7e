"""Backends behind shared/ports.py, chosen by URL. Drivers are imported only by the process that uses them."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from shared.errors import ConfigurationError
from shared.ports import GpuMeter, JobQueue, LiveState, ObjectStore, TaskStore
from shared.tasks import Pool

STORE = "LASTFRAME_STORE_URL"
QUEUE = "LASTFRAME_QUEUE_URL"
LIVE = "LASTFRAME_LIVE_URL"
OBJECTS = "LASTFRAME_OBJECTS_URL"


def make_store(url: str, *, data_directory: Path) -> TaskStore:
    """`sqlite:` (a file in the data directory), `sqlite:///path/to/file`, or `mongodb://host/database`.

    Like its siblings below it raises `ConfigurationError` on a URL that cannot mean anything here.
    """
    match _scheme(url):
        case "sqlite":
            from shared.backends.embedded.sqlite_store import SqliteStore

            return SqliteStore(_path(url, STORE) or data_directory / "lastframe.db")
        case "mongodb" | "mongodb+srv":
            from shared.backends.mongo import MongoStore

            return MongoStore(url)
    raise _unknown(STORE, url, "sqlite: or mongodb://host/database")


def make_queue(url: str, *, data_directory: Path, pool: Pool = "cpu") -> JobQueue:
    """`sqlite:` (tasks are claimed from the store, a doorbell in the data directory wakes workers) or
    `amqp://user:password@host/`, whose queues for `pool` this process consumes."""
    match _scheme(url):
        case "sqlite":
            from shared.backends.embedded.local_queue import LocalQueue

            return LocalQueue(_path(url, QUEUE) or data_directory / "queue")
        case "amqp" | "amqps":
            from shared.backends.rabbit import RabbitQueue

            return RabbitQueue(url, pool)
    raise _unknown(QUEUE, url, "sqlite: or amqp://user:password@host/")


def make_live(url: str) -> LiveState:
    """`memory:` or `redis://host:6379/0`."""
    match _scheme(url):
        case "memory":
            from shared.backends.embedded.memory_live import MemoryLive

            return MemoryLive()
        case "redis" | "rediss":
            from shared.backends.redis_live import RedisLive

            return RedisLive(url)
    raise _unknown(LIVE, url, "memory: or redis://host:6379/0")


def make_objects(url: str, *, data_directory: Path, public_base_url: str) -> ObjectStore:
    """`file:` (a folder in the data directory), `file:///path`, or `s3://bucket?endpoint=https://…&region=auto`.

    `public_base_url` is where clients find the objects; it is never made from an endpoint.
    """
    match _scheme(url):
        case "file":
            from shared.backends.embedded.file_objects import FileObjects

            return FileObjects(_path(url, OBJECTS) or data_directory / "media", public_base_url)
        case "s3":
            from shared.backends.s3 import S3Objects

            return S3Objects(url, public_base_url)
    raise _unknown(OBJECTS, url, "file: or s3://bucket?endpoint=https://host&region=auto")


def make_gpu_meter() -> GpuMeter:
    """Reads the machine's NVIDIA GPUs; answers None where there are none."""
    from shared.backends.nvml import NvmlMeter

    return NvmlMeter()


def _scheme(url: str) -> str:
    return urlsplit(url).scheme.lower()


def _path(url: str, variable: str) -> Path | None:
    parts = urlsplit(url)
    if parts.netloc:
        raise ConfigurationError(
            f"{variable}: {url!r} names a host where a path is meant. Write three slashes: {parts.scheme}:///path."
        )
    return Path(unquote(parts.path)) if parts.path else None


def _unknown(variable: str, url: str, known: str) -> ConfigurationError:
    # The URL may hold a password, so only its scheme is repeated.
    return ConfigurationError(f"{variable}: {_scheme(url) or 'empty'!r} is not a scheme known here. Set it to {known}.")
