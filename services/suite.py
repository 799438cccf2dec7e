"""The whole suite on one machine: every service and role in one process, Envoy in front, embedded backends."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import structlog

from services.assembly.feature import FEATURE as ASSEMBLY
from services.audio.feature import FEATURE as AUDIO
from services.frames.feature import FEATURE as FRAMES
from services.gateway.edge.launcher import EdgeProcess
from services.gateway.feature import gateway_feature
from services.gateway.server import ServerService
from services.probe.feature import FEATURE as PROBE
from services.stitch.feature import FEATURE as STITCH
from shared.runtime.feature import Feature
from shared.runtime.settings import Settings
from shared.runtime.wiring import Backends, WorkerRole, make_media_server, make_rpc_server, open_backends

log = structlog.get_logger(__name__)

FEATURES: Sequence[Feature] = (FRAMES, STITCH, AUDIO, ASSEMBLY, PROBE)
WORKER = "suite."  # the dot keeps one worker's name from being the prefix of another's
RPC_GRACE_SECONDS = 2.0


class DataDirectoryInUse(RuntimeError):
    """Another suite runs on this data directory."""


class Suite:
    """Starts, serves until asked to stop or a part breaks, drains, stops."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stop = asyncio.Event()
        self._stop_now = asyncio.Event()

    def request_stop(self) -> None:
        """Lets running jobs finish; asked again, gives them back for the next start."""
        if self._stop.is_set():
            self._stop_now.set()
        self._stop.set()

    async def run(self) -> int:
        """Returns the exit status: 0 after a requested stop, 1 when a part broke."""
        self._settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _exclusive(self._settings.data_dir):
            async with open_backends(self._settings) as backends:
                return await self._serve(backends)

    async def _serve(self, backends: Backends) -> int:
        settings = self._settings
        worker = WorkerRole(settings, backends, FEATURES, worker=WORKER, threads=os.cpu_count() or 2)
        media = make_media_server(settings)
        async with contextlib.AsyncExitStack() as stack:
            await worker.start()
            stack.push_async_callback(worker.stop)
            media_port = await media.start()
            stack.push_async_callback(media.stop)
            gateway, server_service = gateway_feature(settings, backends, worker.sandbox)
            server_service.has_video_engine = worker.accelerators.nvdec
            rpc = make_rpc_server(settings, backends, [*FEATURES, gateway], "127.0.0.1:0", plan=worker.plan)
            await rpc.start()
            stack.push_async_callback(rpc.stop, RPC_GRACE_SECONDS)
            edge = self._edge(rpc.port, media_port)
            await edge.start()
            stack.push_async_callback(edge.stop)
            self._announce()
            return await self._until_stopped(worker, edge, server_service)

    async def _until_stopped(self, worker: WorkerRole, edge: EdgeProcess, server_service: ServerService) -> int:
        work = asyncio.create_task(worker.run(), name="worker")
        health = asyncio.create_task(server_service.health.run(), name="health")
        crash = asyncio.create_task(edge.wait(), name="edge")
        stop = asyncio.create_task(self._stop.wait(), name="stop")
        await asyncio.wait((work, crash, stop), return_when=asyncio.FIRST_COMPLETED)
        broken = [task.get_name() for task in (work, crash) if task.done()]
        for name in broken:
            log.error("part_broke", part=name)
        server_service.draining = True
        await edge.stop(grace_seconds=RPC_GRACE_SECONDS)
        if not work.done():
            await self._drain(worker, 0.0 if broken else self._settings.drain_seconds)
        for task in (crash, stop, health):
            task.cancel()
        results = await asyncio.gather(work, crash, stop, health, return_exceptions=True)
        if isinstance(results[0], Exception):
            log.error("worker_broke", exc_info=results[0])
        return 1 if broken else 0

    async def _drain(self, worker: WorkerRole, grace_seconds: float) -> None:
        drain = asyncio.create_task(worker.drain(grace_seconds))
        asked_again = asyncio.create_task(self._stop_now.wait())
        await asyncio.wait((drain, asked_again), return_when=asyncio.FIRST_COMPLETED)
        if not drain.done():
            await worker.drain(0.0)
        asked_again.cancel()
        await drain

    def _edge(self, rpc_port: int, media_port: int) -> EdgeProcess:
        address = f"127.0.0.1:{rpc_port}"
        variables = {
            "PORT": str(self._settings.port),
            "LISTEN": self._settings.bind_address,
            "MEDIA": f"127.0.0.1:{media_port}",
        }
        for feature in ("FRAMES", "STITCH", "AUDIO", "ASSEMBLY", "PROBE", "TASKS", "SERVER"):
            variables[feature] = address
        directory = self._settings.data_dir / "edge"
        return EdgeProcess(directory, variables, log=directory / "envoy.log")

    def _announce(self) -> None:
        port = self._settings.port
        _say(f"ready http://127.0.0.1:{port}")
        key = next(iter(self._settings.plain_keys().values()), "$LAST_FRAME_API_KEY")
        for_people = sys.stdout.isatty() or bool(os.environ.get("LASTFRAME_SHOW_KEY"))
        was_made_here = not self._settings.api_keys and self._settings.api_keys_file is None
        if for_people or was_made_here:
            _say(f"API key: {key}")
        if for_people:
            _say(f"Console: http://127.0.0.1:{port}/console")
            _say(f"API reference: http://127.0.0.1:{port}/docs")
            _say("Try it:")
            _say(
                f"  curl -X POST http://127.0.0.1:{port}/api/v1/process -H 'Authorization: Bearer {key}' "
                "-H 'Content-Type: application/json' -d '{\"video_url\": \"https://example.com/video.mp4\"}'"
            )


@contextlib.contextmanager
def _exclusive(directory: Path) -> Iterator[None]:
    """Holds the data directory's lock, so that no second suite frees this one's leases and sweeps its scratch."""
    with (directory / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataDirectoryInUse(
                f"another suite is running on {directory}; stop it or set LASTFRAME_DATA_DIR to another directory"
            ) from None
        yield


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the operator's terminal


async def run_suite(settings: Settings) -> int:
    suite = Suite(settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, suite.request_stop)
    return await suite.run()
