"""`python -m services.production [--workers N]`: every service and role as its own process on this host, behind Envoy.

The supervisor restarts what dies. A dead worker's leases are freed at once, so that its tasks need not wait for them to
run out. Kubernetes does the same with pods; this is for one machine, and for trying the production shape.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from shared.errors import ConfigurationError, LastFrameError, Unavailable
from shared.jobs.ledger import Ledger
from shared.runtime.process import worker_name
from shared.runtime.settings import Settings, load_settings
from shared.runtime.telemetry import configure_logs
from shared.runtime.wiring import open_backends

log = structlog.get_logger(__name__)

FEATURES = ("frames", "stitch", "audio", "assembly", "probe")
PR_SET_PDEATHSIG = 1  # <sys/prctl.h>
RESTART_PAUSES_SECONDS = (0.1, 0.5, 2.0, 5.0)
STEADY_SECONDS = 10.0  # a process that lived this long starts again without a pause
READY_SECONDS = 60.0


@dataclass(frozen=True)
class Role:
    """One process: a module, its arguments, and the gRPC port it serves health (and an api) on."""

    name: str
    command: tuple[str, ...]
    port: int
    environment: Mapping[str, str]
    worker_feature: str | None = None


def roles(settings: Settings, workers: int) -> list[Role]:
    """All processes but the edge first, since Envoy waits for none. `workers` is of each feature."""
    planned: list[Role] = []
    addresses: dict[str, str] = {}
    ports = iter(_free_ports((1 + workers) * len(FEATURES) + 1))
    for feature in FEATURES:
        api, *own = (next(ports) for _ in range(1 + workers))
        addresses[f"EDGE_{feature.upper()}"] = f"127.0.0.1:{api}"
        planners = {"LASTFRAME_PLANNER_ADDRESS": ",".join(f"127.0.0.1:{port}" for port in own)}
        planned.append(Role(f"{feature}-api", (f"services.{feature}", "api"), api, planners))
        planned += [Role(f"{feature}-worker", (f"services.{feature}", "worker"), port, {}, feature) for port in own]
    gateway = next(ports)
    addresses |= {"EDGE_TASKS": f"127.0.0.1:{gateway}", "EDGE_SERVER": f"127.0.0.1:{gateway}"}
    planned.append(Role("gateway", ("services.gateway", "api"), gateway, {}))
    edge = {
        **addresses,
        "EDGE_LISTEN": settings.bind_address,
        "EDGE_DIR": str(settings.data_dir.absolute() / "edge"),
        "EDGE_ACCESS_LOG": "/dev/null",
        "EDGE_GRACE_SECONDS": "2",  # then watchers are cut off, and with them the calls that hold up the api roles
    }
    planned.append(Role("edge", ("services.gateway.edge",), settings.port, edge))
    return planned


class Supervisor:
    """Keeps the roles running until asked to stop."""

    def __init__(self, settings: Settings, ledger: Ledger, workers: int) -> None:
        self._settings = settings
        self._ledger = ledger
        self._workers = workers
        self._stop = asyncio.Event()
        key = ",".join(f"{name}={key}" for name, key in settings.plain_keys().items())
        self._environment = {**os.environ, "LASTFRAME_API_KEYS": key}

    def request_stop(self) -> None:
        self._stop.set()

    async def run(self) -> None:
        shutil.rmtree(self._settings.data_dir / "scratch", ignore_errors=True)
        planned = roles(self._settings, self._workers)
        async with asyncio.TaskGroup() as group:
            keepers = [group.create_task(self._keep(role)) for role in planned]
            await self._ready(self._settings.port)
            if not self._stop.is_set():
                print(f"ready http://127.0.0.1:{self._settings.port}", flush=True)  # noqa: T201 - the terminal
            await self._stop.wait()
            await asyncio.gather(*keepers)

    async def _keep(self, role: Role) -> None:
        """Runs one role again and again; ends when asked to stop and the process has drained."""
        quick_deaths = 0
        while not self._stop.is_set():
            began = time.monotonic()
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                *role.command,
                env={**self._environment, "LASTFRAME_RPC_PORT": str(role.port), **role.environment},
                preexec_fn=_die_with_parent,
                start_new_session=True,
            )
            status = await self._ended(process)
            if role.worker_feature is not None:
                await self._free(worker_name(role.worker_feature, process.pid))
            if self._stop.is_set():
                return
            quick_deaths = 0 if time.monotonic() - began > STEADY_SECONDS else quick_deaths + 1
            log.warning("role_ended", role=role.name, status=status)
            with contextlib.suppress(TimeoutError):
                pause = RESTART_PAUSES_SECONDS[min(quick_deaths, len(RESTART_PAUSES_SECONDS) - 1)]
                await asyncio.wait_for(self._stop.wait(), pause)

    async def _ended(self, process: asyncio.subprocess.Process) -> int:
        ended = asyncio.create_task(process.wait())
        asked = asyncio.create_task(self._stop.wait())
        await asyncio.wait((ended, asked), return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if not ended.done():
            process.terminate()
            try:
                await asyncio.wait_for(asyncio.shield(ended), self._settings.drain_seconds + 30)
            except TimeoutError:
                process.kill()
        return await ended

    async def _free(self, worker: str) -> None:
        """Gives a dead worker's tasks to others, and its scratch back."""
        shutil.rmtree(self._settings.data_dir / "scratch" / worker, ignore_errors=True)
        with contextlib.suppress(Unavailable):
            await self._ledger.reoffer(await self._ledger.store.release_worker(worker))

    async def _ready(self, port: int) -> None:
        """Returns when the health page answers 200 through the edge."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READY_SECONDS):
                while not self._stop.is_set() and not await _answers(port):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.2)


async def _answers(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        status = await reader.readline()
        writer.close()
    except OSError:
        return False
    return b" 200 " in status


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


async def _run(settings: Settings, workers: int) -> None:
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    async with open_backends(settings) as backends:
        supervisor = Supervisor(settings, backends.ledger, workers)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, supervisor.request_stop)
        await supervisor.run()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, default=1, choices=range(1, 65), metavar="N", help="of each feature")
    workers = parser.parse_args().workers
    settings = load_settings()
    configure_logs(settings.log_level)
    try:
        asyncio.run(_run(settings, workers))
    except (ConfigurationError, LastFrameError) as error:
        print(f"lastframe: {error}", file=sys.stderr)  # noqa: T201 - said to the operator
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
