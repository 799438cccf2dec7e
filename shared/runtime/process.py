"""One role of one feature as a process: what `python -m services.<feature> api|worker` runs."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import structlog
import uvloop

from shared.errors import ConfigurationError, LastFrameError
from shared.jobs.sandbox import SandboxUnavailable
from shared.jobs.sweeper import sweep_forever
from shared.runtime.feature import Feature
from shared.runtime.settings import Settings, load_settings
from shared.runtime.telemetry import configure_logs, export_traces, serve_metrics
from shared.runtime.wiring import (
    Backends,
    WorkerRole,
    make_remote_planner,
    make_rpc_server,
    make_worker_server,
    open_backends,
)

log = structlog.get_logger(__name__)

RPC_GRACE_SECONDS = 20.0
FeatureMaker = Callable[[Settings, Backends], Feature]


def main(feature: Feature | FeatureMaker) -> int:
    """Runs a role until SIGTERM; returns the exit status. A feature without jobs has only the api role."""
    parser = argparse.ArgumentParser()
    parser.add_argument("role", nargs="?", default="api", choices=("api", "worker"))
    role = parser.parse_args().role
    settings = load_settings()
    configure_logs(settings.log_level)
    serve_metrics(settings.metrics_port)
    export_traces(settings.otlp_endpoint, f"lastframe-{role}")
    try:
        return uvloop.run(_run(settings, feature, role))
    except (ConfigurationError, SandboxUnavailable, LastFrameError) as error:
        print(f"lastframe: {error}", file=sys.stderr)  # noqa: T201 - said to the operator
        return 1


async def _run(settings: Settings, feature: Feature | FeatureMaker, role: str) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with open_backends(settings) as backends:
        made = feature if isinstance(feature, Feature) else feature(settings, backends)
        serve = _serve_api if role == "api" else _serve_worker
        return await serve(settings, backends, made, stop)


async def _serve_api(settings: Settings, backends: Backends, feature: Feature, stop: asyncio.Event) -> int:
    address = f"{settings.rpc_bind_address}:{settings.rpc_port}"
    plan = make_remote_planner(settings, feature)
    server = make_rpc_server(settings, backends, [feature], address, plan=plan, exposed=True)
    await server.start()
    log.info("serving", feature=feature.name, role="api", port=server.port)
    status = await _until(stop, _beside(feature, backends))
    await server.set_serving(False)
    await server.stop(RPC_GRACE_SECONDS)
    return status


async def _beside(feature: Feature, backends: Backends) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(sweep_forever(backends.ledger, backends.objects))
        if feature.beside is not None:
            group.create_task(feature.beside())


async def _serve_worker(settings: Settings, backends: Backends, feature: Feature, stop: asyncio.Event) -> int:
    worker = WorkerRole(settings, backends, [feature], worker=worker_name(feature.name, os.getpid()), threads=2)
    await worker.start()
    server = make_worker_server(settings, feature, worker.plan)
    await server.start()
    log.info("serving", feature=feature.name, role="worker", worker=worker.worker, port=server.port)
    try:
        return await _work(settings, worker, stop)
    finally:
        await server.set_serving(False)
        await worker.stop()
        await server.stop(0)


def worker_name(feature: str, pid: int) -> str:
    """A worker process's name in leases and scratch. The pid tells two workers of one host apart, and lets the
    host's supervisor free what a dead one held; the dot keeps one name from being the prefix of another."""
    return f"{feature}-{socket.gethostname()}-{pid}."


async def _work(settings: Settings, worker: WorkerRole, stop: asyncio.Event) -> int:
    work = asyncio.create_task(worker.run())
    asked = asyncio.create_task(stop.wait())
    await asyncio.wait((work, asked), return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    if not work.done():
        await worker.drain(settings.drain_seconds)
        await work
        return 0
    work.result()
    return 1


async def _until(stop: asyncio.Event, background: Coroutine[Any, Any, None]) -> int:
    """0 once asked to stop; the background's exception when that ends first."""
    task = asyncio.create_task(background)
    asked = asyncio.create_task(stop.wait())
    await asyncio.wait((task, asked), return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    if task.done():
        task.result()
        return 1
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return 0
