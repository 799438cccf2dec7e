"""The production shape against FastAPI + Celery 5, on the same RabbitMQ, Redis and MongoDB, in one run.

    apt-get install nghttp2-client redis-server rabbitmq-server
    python -m bench.production [--seconds 2] [--rounds 3] [--jobs 400]

Two tables. Submits a second at 1, 16 and 64 in flight (h2load, as in bench.submit): ours is one MongoDB write that a
majority has on its disk, and a publish that RabbitMQ confirms from a quorum queue, which the answer does not wait for
(the store's sweeper repeats one that is lost) but whose cost counts; Celery on RabbitMQ confirms the
same kind of publish and has no task record; Celery on Redis has neither. No worker runs meanwhile. A job that does
nothing, from the submit until the status says completed, one at a time, both polled over HTTP every 2 ms. Then jobs a
second with 1, 2 and 4 worker processes: a job that does nothing, and the length of a small real file.

CPU is of all processes of a side, servers included, h2load and the poller not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from http.client import HTTPConnection
from pathlib import Path

import aio_pika
import pymongo
import redis
from lastframe.probe.v1 import probe_pb2

from bench.submit import IN_FLIGHT, Round, Target, enough_for, load
from bench.support.meter import ProcessTree
from bench.support.peers import CACHE
from bench.support.production import Role, Stack, celery, clean_environment, edge, running, running_stack, tree
from bench.support.range_server import range_server
from bench.support.suite import HEADERS, HOST, KEY
from bench.support.table import median, percentile, print_table, ratio
from deploy.stack.process import Server
from deploy.stack.servers import Rabbit
from shared.backends.rabbit_topology import queue_name
from tests.support.clips import ClipRecipe, make_clip

GRPC_METHOD = "/lastframe.probe.v1.ProbeService/MeasureLength"
POLL_SECONDS = 0.002
WORKERS = (1, 2, 4)
JOB_SECONDS = 120.0
STABLE_SECONDS = 0.3
CELERY_START_SECONDS = 4.0


class Celery:
    """One of the two ways to run the peer."""

    def __init__(self, stack: Stack, directory: Path, name: str, *, on_rabbit: bool) -> None:
        self.name = name
        self._stack = stack
        self._on_rabbit = on_rabbit
        self._directory = directory / ("celery-rabbit" if on_rabbit else "celery-redis")
        self._broker = stack.rabbit.url if on_rabbit else stack.redis.url

    def programs(self, workers: int) -> list[Server]:
        api, hands = celery(self._directory, self._stack, self._broker, workers)
        return [api, *hands]

    def queued(self) -> int:
        if not self._on_rabbit:
            with redis.Redis(port=self._stack.redis.port) as client:
                return int(client.llen("celery"))
        return stable(lambda: asyncio.run(queue_length(self._stack.rabbit, "peer")))

    def done(self) -> int:
        with redis.Redis(port=self._stack.redis.port) as client:
            return sum(1 for _ in client.scan_iter("celery-task-meta-*", count=10_000))

    def clear(self) -> None:
        with redis.Redis(port=self._stack.redis.port) as client:
            client.flushall()
        asyncio.run(purge(self._stack.rabbit, "peer"))

    def servers(self) -> list[Server]:
        return [self._stack.rabbit, self._stack.redis] if self._on_rabbit else [self._stack.redis]


class Ours:
    """The probe feature's api and workers, the gateway and Envoy."""

    name = "ours"

    def __init__(self, stack: Stack, directory: Path) -> None:
        self._stack = stack
        self._directory = directory / "ours"
        self.api = Role(self._directory / "api", ["services.probe", "api"], stack.settings)
        self.gateway = Role(self._directory / "gateway", ["services.gateway", "api"], stack.settings)
        self.edge = edge(self._directory / "edge", self.api, self.gateway)

    def front(self) -> list[Server]:
        return [self.api, self.gateway, self.edge]

    def workers(self, module: str, count: int) -> list[Server]:
        settings = {**self._stack.settings, "LASTFRAME_WORKER_SLOTS": "4"}
        words = [module, "worker"]
        return [Role(self._directory / f"{module}-{number}", words, settings) for number in range(count)]

    def stored(self, **which: str) -> int:
        with pymongo.MongoClient(self._stack.mongo.url) as client:
            return int(client.get_default_database()["tasks"].count_documents(which))

    def done(self) -> int:
        return self.stored(status="completed")

    def clear(self) -> None:
        with pymongo.MongoClient(self._stack.mongo.url) as client:
            client.get_default_database()["tasks"].delete_many({})
        asyncio.run(purge(self._stack.rabbit, queue_name("probe")))

    def servers(self) -> list[Server]:
        return [self._stack.mongo, self._stack.rabbit, self._stack.redis]


async def queue_length(rabbit: Rabbit, name: str) -> int:
    async with await aio_pika.connect(rabbit.url) as connection, connection.channel() as channel:
        try:
            return int((await channel.declare_queue(name, passive=True)).declaration_result.message_count or 0)
        except aio_pika.exceptions.ChannelNotFoundEntity:
            return 0


async def purge(rabbit: Rabbit, name: str) -> None:
    async with await aio_pika.connect(rabbit.url) as connection, connection.channel() as channel:
        try:
            await (await channel.get_queue(name)).purge()
        except aio_pika.exceptions.ChannelNotFoundEntity:
            return


def stable(count: Callable[[], int]) -> int:
    """A quorum queue tells its length a little late."""
    last, since = count(), time.monotonic()
    while time.monotonic() - since < STABLE_SECONDS:
        time.sleep(0.05)
        if (now := count()) != last:
            last, since = now, time.monotonic()
    return last


def submits(stack: Stack, directory: Path, url: str, seconds: float, rounds: int) -> None:
    ours = Ours(stack, directory)
    peers = [
        Celery(stack, directory, "FastAPI + Celery, RabbitMQ quorum, confirmed", on_rabbit=True),
        Celery(stack, directory, "FastAPI + Celery, Redis in memory", on_rabbit=False),
    ]
    fronts = [peer.programs(0)[0] for peer in peers]
    with running(*ours.front(), *fronts):
        targets = our_targets(ours, directory, url)
        for peer, front in zip(peers, fronts, strict=True):
            sides = tuple(tree(server) for server in (front, *peer.servers()))
            flags = json_flags(directory, "peer", {"video_url": url})
            address = f"http://{HOST}:{front.port}/api/v1/process"
            targets.append(Target(peer.name, address, flags, sides, peer.queued, peer.clear))
        results: dict[tuple[str, int], list[Round]] = {}
        for in_flight in IN_FLIGHT:
            sizes = [enough_for(target, in_flight, seconds) for target in targets]
            for _ in range(rounds):
                for target, requests in zip(targets, sizes, strict=True):
                    one = load(target, in_flight, requests, directory / "h2load.log")
                    results.setdefault((target.name, in_flight), []).append(one)
        ours.clear()
    rows = [row(results, target.name, in_flight) for in_flight in IN_FLIGHT for target in targets]
    columns = ("in flight", "submits by", "a second", "Celery confirmed = 1", "p50 ms", "p99 ms", "CPU µs a submit")
    print_table("Accepted submits", (*columns, "of it"), rows)


def our_targets(ours: Ours, directory: Path, url: str) -> list[Target]:
    request = probe_pb2.MeasureLengthRequest(media_url=url).SerializeToString()
    frame = directory / "request.grpc"
    frame.write_bytes(b"\0" + len(request).to_bytes(4, "big") + request)  # gRPC's length-prefixed message
    grpc_flags = ("-d", str(frame), "-H", "content-type: application/grpc", "-H", "te: trailers")
    grpc_flags = (*grpc_flags, "-H", f"authorization: Bearer {KEY}")
    rest_flags = json_flags(directory, "ours", {"media_url": url})
    behind = tuple(tree(server) for server in (ours.api, *ours.servers()))
    through = (*behind, tree(ours.edge))
    front = f"http://{HOST}:{ours.edge.port}"
    return [
        Target("ours: REST through Envoy", f"{front}/api/v1/length", rest_flags, through, ours.stored, ours.clear),
        Target("ours: gRPC through Envoy", f"{front}{GRPC_METHOD}", grpc_flags, through, ours.stored, ours.clear),
        Target(
            "ours: gRPC to the service",
            f"http://{HOST}:{ours.api.port}{GRPC_METHOD}",
            grpc_flags,
            behind,
            ours.stored,
            ours.clear,
        ),
    ]


def json_flags(directory: Path, name: str, body: dict[str, str]) -> tuple[str, ...]:
    path = directory / f"{name}.json"
    path.write_text(json.dumps(body))
    return ("--h1", "-d", str(path), "-H", "Content-Type: application/json", "-H", f"Authorization: Bearer {KEY}")


def row(results: dict[tuple[str, int], list[Round]], name: str, in_flight: int) -> tuple[object, ...]:
    rounds = results[name, in_flight]
    base = next(found for (other, at), found in results.items() if "confirmed" in other and at == in_flight)
    per_second = median([one.per_second for one in rounds])
    cpu = {part: median([one.cpu_microseconds.get(part, 0.0) for one in rounds]) for part in rounds[0].cpu_microseconds}
    return (
        in_flight,
        name,
        f"{per_second:.0f}",
        ratio(per_second, median([one.per_second for one in base])),
        f"{median([one.p50_milliseconds for one in rounds]):.1f}",
        f"{median([one.p99_milliseconds for one in rounds]):.1f}",
        f"{sum(cpu.values()):.0f}",
        ", ".join(f"{part} {spent:.0f}" for part, spent in cpu.items() if spent >= 1),
    )


def one_by_one(port: int, path: str, body: dict[str, str], count: int) -> list[float]:
    """Seconds from the submit to the status `completed`, of jobs one after the other."""
    connection = HTTPConnection(HOST, port, timeout=30)

    def ask(method: str, where: str, content: str | None = None) -> dict[str, str]:
        connection.request(method, where, content, HEADERS)
        reply = connection.getresponse()
        answer: dict[str, str] = json.loads(reply.read())
        if reply.status != 200:
            raise RuntimeError(f"{where}: {answer}")
        return answer

    taken = []
    for _ in range(count):
        began = time.perf_counter()
        task_id = ask("POST", path, json.dumps(body))["task_id"]
        while ask("GET", f"/api/v1/status/{task_id}")["status"] != "completed":
            time.sleep(POLL_SECONDS)
        taken.append(time.perf_counter() - began)
    connection.close()
    return taken


def jobs_per_second(target: Target, count: int, done: Callable[[], int], log: Path) -> tuple[float, float]:
    """Jobs a second from the first submit to the last end, and CPU seconds a job; 16 submits are in flight."""
    target.prepare()
    log.unlink(missing_ok=True)
    before = cpu_seconds(target.processes)
    began = time.perf_counter()
    load_only(target, count)
    while done() < count:
        if time.perf_counter() - began > JOB_SECONDS:
            raise RuntimeError(f"{target.name}: {done()} of {count} jobs")
        time.sleep(0.05)
    seconds = time.perf_counter() - began
    return count / seconds, (cpu_seconds(target.processes) - before) / count


def load_only(target: Target, count: int) -> None:
    from bench.submit import _h2load

    _h2load(target, 16, "-n", str(count))


def cpu_seconds(trees: Sequence[ProcessTree]) -> float:
    return sum(one.cpu_seconds() for one in trees)


def ends(stack: Stack, directory: Path, url: str, jobs: int) -> None:
    columns = ("by", "worker processes", "a second", "one worker = 1", "CPU ms a job")
    print_table("Jobs a second, and one at a time from submit to completed", (*columns, "p50 ms", "p99 ms"), [])
    log = directory / "h2load.log"
    ours = Ours(stack, directory)
    with running(*ours.front()):
        flags = json_flags(directory, "ours", {"media_url": url})
        address = f"http://{HOST}:{ours.edge.port}/api/v1/length"
        for name, module in (("nothing", "bench.support.noop_worker"), ("a length", "services.probe")):
            base = 0.0
            for workers in WORKERS:
                hands = ours.workers(module, workers)
                with running(*hands):
                    taken = one_by_one(ours.edge.port, "/api/v1/length", {"media_url": url}, jobs // 4)
                    trees = tuple(tree(server) for server in (*ours.front(), *hands, *ours.servers()))
                    target = Target("ours", address, flags, trees, ours.stored, ours.clear)
                    rate, cpu = jobs_per_second(target, jobs, ours.done, log)
                base = base or rate
                show_end(f"ours, REST through Envoy: {name}", workers, rate, base, cpu, taken)
                ours.clear()
    for on_rabbit, name in ((True, "RabbitMQ quorum, confirmed"), (False, "Redis in memory")):
        peer = Celery(stack, directory, name, on_rabbit=on_rabbit)
        api, *crew = peer.programs(max(WORKERS))
        flags = json_flags(directory, "peer", {"video_url": url})
        address = f"http://{HOST}:{api.port}/api/v1/process"
        base = 0.0
        with running(api):
            for workers in WORKERS:
                hands = crew[:workers]
                with running(*hands):
                    one_by_one(api.port, "/api/v1/process", {"video_url": url}, 10)  # a worker is up
                    time.sleep(CELERY_START_SECONDS)  # the others too
                    taken = one_by_one(api.port, "/api/v1/process", {"video_url": url}, jobs // 4)
                    trees = tuple(tree(server) for server in (api, *hands, *peer.servers()))
                    target = Target(name, address, flags, trees, peer.queued, peer.clear)
                    rate, cpu = jobs_per_second(target, jobs, peer.done, log)
                base = base or rate
                show_end(f"FastAPI + Celery, {name}: nothing", workers, rate, base, cpu, taken)
                peer.clear()


def show_end(name: str, workers: int, rate: float, base: float, cpu: float, taken: Sequence[float]) -> None:
    cells = (name, workers, f"{rate:.0f}", ratio(rate, base), f"{cpu * 1e3:.1f}", *milliseconds(taken))
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def milliseconds(taken: Sequence[float]) -> tuple[str, str]:
    return f"{median(taken) * 1e3:.1f}", f"{percentile(taken, 99) * 1e3:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one round of submits, about")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=400)
    parser.add_argument("--only", choices=("submits", "ends"))
    options = parser.parse_args()
    clean_environment()
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        directory = Path(folder)
        make_clip(directory / "tiny.mp4", ClipRecipe(size=(64, 48), frames=6, flash_frame=2))
        with running_stack(directory) as stack, range_server(directory) as source:
            url = source.url("tiny.mp4")
            if options.only != "ends":
                submits(stack, directory, url, options.seconds, options.rounds)
            if options.only != "submits":
                ends(stack, directory, url, options.jobs)


if __name__ == "__main__":
    sys.exit(main())
