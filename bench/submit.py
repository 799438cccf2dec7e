"""Submits a second: Envoy's REST and gRPC against FastAPI + Celery on Redis, in the same run.

    apt-get install nghttp2-client redis-server
    python -m bench.submit [--seconds 3] [--rounds 3]

The load is h2load (C, HTTP/1.1 for JSON, HTTP/2 for gRPC frames) at 1, 16 and 64 requests in flight, one kept
connection each; rounds are interleaved. One server process of Python on each side: the suite's (with Envoy before
it) and one uvicorn worker (uvloop, httptools). Same request, validation and bearer check.

Only submits are measured: the suite may run one job at a time and its first job's source never answers; of Celery no
worker is started. What a submit is worth differs, so there are two Celery rows: Redis as it is usually run, which
loses accepted tasks when it is killed; and Redis with `appendfsync always`, which like the suite has every accepted
task on the disk before it answers.

CPU is of all processes of a side, from /proc, h2load's not among them.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import redis
from lastframe.frames.v1 import frames_pb2

from bench.support.meter import ProcessTree
from bench.support.peers import CACHE, peers_python
from bench.support.range_server import range_server
from bench.support.suite import HOST, KEY, Suite, running_suite
from bench.support.table import median, percentile, print_table, ratio
from deploy.stack.process import free_ports
from deploy.stack.servers import Redis

GRPC_METHOD = "/lastframe.frames.v1.FramesService/ExtractLastFrame"
IN_FLIGHT = (1, 16, 64)
SETTINGS = {
    "MAX_CONCURRENT_TASKS": "1",
    # The limits of one key's calls and waiting tasks, which the other service has not.
    "RATE_LIMIT_PER_SECOND": "0",
    "MAX_TASKS_PER_KEY": "0",
}


@dataclass(frozen=True)
class Target:
    """Where to submit and how.

    Attributes:
        flags: of h2load.
        processes: the trees whose CPU a submit costs.
        accepted: how many tasks the service has, for the proof that every answer was a task.
        prepare: called before each of its rounds.
    """

    name: str
    url: str
    flags: tuple[str, ...]
    processes: tuple[ProcessTree, ...]
    accepted: Callable[[], int]
    prepare: Callable[[], object] = nullcontext


@dataclass(frozen=True)
class Round:
    per_second: float
    p50_milliseconds: float
    p99_milliseconds: float
    cpu_microseconds: dict[str, float]


def load(target: Target, in_flight: int, requests: int, log: Path) -> Round:
    """One round; every answer must be a success, and every one a task."""
    target.prepare()
    log.unlink(missing_ok=True)
    before, had = _cpu(target), target.accepted()
    per_second = _h2load(target, in_flight, "-n", str(requests), "--log-file", str(log))
    spent, made = _cpu(target), target.accepted() - had
    rows = [line.split("\t") for line in log.read_text().splitlines()]  # begin, status, microseconds
    if made != requests or any(row[1] != "200" for row in rows):
        raise RuntimeError(f"{target.name}: {made} tasks of {requests} requests")
    latencies = [int(row[2]) / 1000 for row in rows]
    cpu = {name: (seconds - before.get(name, 0.0)) / requests * 1e6 for name, seconds in spent.items()}
    return Round(per_second, median(latencies), percentile(latencies, 99), cpu)


def enough_for(target: Target, in_flight: int, seconds: float) -> int:
    """How many requests make a round of about so many seconds; also the warm-up."""
    target.prepare()
    return max(in_flight, round(_h2load(target, in_flight, "-D", "1") * seconds))


def _h2load(target: Target, in_flight: int, *how_long: str) -> float:
    """Answers a second."""
    command = ["h2load", *how_long, "-c", str(in_flight), "-t", "1", "-m", "1", *target.flags, target.url]
    text = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    found = re.search(r"([\d.]+) req/s.*? (\d+) failed, (\d+) errored, (\d+) timeout", text, re.DOTALL)
    if found is None or found[2] != "0" or found[3] != "0" or found[4] != "0":
        raise RuntimeError(f"{target.name}: {text}")
    return float(found[1])


def _cpu(target: Target) -> dict[str, float]:
    total: dict[str, float] = {}
    for tree in target.processes:
        for name, seconds in tree.cpu_seconds_by_name().items():
            total[name] = total.get(name, 0.0) + seconds
    return total


@contextmanager
def celery_service(broker: Redis, directory: Path) -> Iterator[tuple[int, int]]:
    """Its port and process id."""
    port = free_ports(1)[0]
    environment = {**os.environ, "PEER_REDIS": broker.url, "PEER_KEY": KEY, "PEER_ALLOW_PRIVATE": "1"}
    words = ["-m", "uvicorn", "celery_service:app", "--host", HOST, "--port", str(port), "--no-access-log"]
    words += ["--log-level", "warning", "--app-dir", str(Path(__file__).parent / "support")]
    with (directory / "uvicorn.log").open("wb") as log:
        process = subprocess.Popen([peers_python(), *words], env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((directory / "uvicorn.log").read_text())
            time.sleep(0.1)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


def _answers(port: int) -> bool:
    connection = HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/docs")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def our_targets(suite: Suite, directory: Path, source_url: str) -> list[Target]:
    request = frames_pb2.ExtractLastFrameRequest(video_url=source_url).SerializeToString()
    frame = directory / "request.grpc"
    frame.write_bytes(b"\0" + len(request).to_bytes(4, "big") + request)  # gRPC's length-prefixed message
    grpc_flags = (
        *("-d", str(frame), "-H", "content-type: application/grpc", "-H", "te: trailers"),
        *("-H", f"authorization: Bearer {KEY}"),
    )
    sides = (suite.processes,)

    def accepted() -> int:
        return int(suite.request("GET", "/api/v1/server/stats")["tasks"]["total"])

    edge, service = f"http://{HOST}:{suite.port}", f"http://{HOST}:{suite.rpc_port}"
    rest_flags = json_flags(directory, source_url)
    return [
        Target("ours: REST through Envoy", f"{edge}/api/v1/process", rest_flags, sides, accepted),
        Target("ours: gRPC through Envoy", f"{edge}{GRPC_METHOD}", grpc_flags, sides, accepted),
        Target("ours: gRPC to the service", f"{service}{GRPC_METHOD}", grpc_flags, sides, accepted),
    ]


def json_flags(directory: Path, source_url: str) -> tuple[str, ...]:
    body = directory / "request.json"
    body.write_text(f'{{"video_url": "{source_url}"}}')
    return ("--h1", "-d", str(body), "-H", "Content-Type: application/json", "-H", f"Authorization: Bearer {KEY}")


def celery_targets(broker: Redis, port: int, pid: int, directory: Path, source_url: str) -> list[Target]:
    client = redis.Redis(HOST, broker.port)
    sides = (ProcessTree(pid), ProcessTree(broker._processes[-1].pid))

    def durable(is_durable: bool) -> Callable[[], object]:
        def prepare() -> None:
            client.config_set("appendfsync", "always")
            client.config_set("appendonly", "yes" if is_durable else "no")
            while client.info("persistence")["aof_rewrite_in_progress"]:
                time.sleep(0.05)

        return prepare

    def accepted() -> int:
        return int(client.llen("celery"))

    url, flags = f"http://{HOST}:{port}/api/v1/process", json_flags(directory, source_url)
    return [
        Target("FastAPI + Celery, Redis in memory", url, flags, sides, accepted, durable(False)),
        Target("FastAPI + Celery, Redis synced", url, flags, sides, accepted, durable(True)),
    ]


def print_results(results: dict[tuple[str, int], list[Round]], targets: list[Target]) -> None:
    rows: list[tuple[object, ...]] = []
    for in_flight in IN_FLIGHT:
        base = results[targets[-2].name, in_flight]
        for target in targets:
            rounds = results[target.name, in_flight]
            cpu = {
                name: median([one.cpu_microseconds.get(name, 0.0) for one in rounds])
                for name in rounds[0].cpu_microseconds
            }
            rows.append(
                (
                    in_flight,
                    target.name,
                    f"{median([one.per_second for one in rounds]):.0f}",
                    ratio(median([one.per_second for one in rounds]), median([one.per_second for one in base])),
                    f"{median([one.p50_milliseconds for one in rounds]):.1f}",
                    f"{median([one.p99_milliseconds for one in rounds]):.1f}",
                    f"{sum(cpu.values()):.0f}",
                    ", ".join(f"{name} {microseconds:.0f}" for name, microseconds in cpu.items() if microseconds >= 1),
                )
            )
    columns = ("in flight", "submits by", "a second", "in memory = 1", "p50 ms", "p99 ms", "CPU µs a submit", "of it")
    print_table("Accepted submits", columns, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="of one round, about")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if shutil.which("h2load") is None:
        sys.exit("h2load is not installed; the package nghttp2-client has it")
    CACHE.mkdir(exist_ok=True)
    results: dict[tuple[str, int], list[Round]] = {}
    with (
        tempfile.TemporaryDirectory(dir=CACHE) as folder,  # one disk for both sides
        range_server(Path(folder)) as source,
        running_suite(**SETTINGS) as suite,
    ):
        directory, held = Path(folder), source.url("hold.mp4")
        broker = Redis(directory / "redis")
        broker.start()
        try:
            with celery_service(broker, directory) as (port, pid):
                targets = our_targets(suite, directory, held) + celery_targets(broker, port, pid, directory, held)
                for in_flight in IN_FLIGHT:
                    sizes = [enough_for(target, in_flight, options.seconds) for target in targets]
                    for _ in range(options.rounds):
                        for target, requests in zip(targets, sizes, strict=True):
                            done = load(target, in_flight, requests, directory / "h2load.log")
                            results.setdefault((target.name, in_flight), []).append(done)
        finally:
            broker.stop()
    print_results(results, targets)


if __name__ == "__main__":
    main()
