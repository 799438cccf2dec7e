"""The life of the Envoy process: start, death, drain, and what callers see meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from pathlib import Path

import aiohttp
import pytest
from grpc_health.v1 import health_pb2

from services.gateway.edge.launcher import EdgeError, EdgeProcess
from tests.edge.conftest import free_port
from tests.support.fake_services import FINISHED, FakeServices, fake_services

FRAMES = "lastframe.frames.v1.FramesService"


def edge_for(services: FakeServices, directory: Path, **variables: str) -> EdgeProcess:
    settings = {"PORT": str(free_port()), **services.addresses(), **variables}
    return EdgeProcess(directory / "run", settings, concurrency=1, log=directory / "envoy.log")


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def until(condition, timeout_seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        found = condition()
        if await found if asyncio.iscoroutine(found) else found:
            return True
        await asyncio.sleep(0.05)
    return False


async def test_envoy_accepts_the_configuration_and_says_nothing_about_it(tmp_path: Path):
    async with fake_services() as services:
        edge = edge_for(services, tmp_path)
        await edge.validate()
        async with edge:
            pass
    assert "deprecated" not in (tmp_path / "envoy.log").read_text().lower()


async def test_a_bad_configuration_is_refused_with_envoy_s_words(tmp_path: Path):
    async with fake_services() as services:
        edge = edge_for(services, tmp_path, READ_TIMEOUT="soon")
        with pytest.raises(EdgeError, match=r"route\.timeout"):
            await edge.validate()
        with pytest.raises(EdgeError, match="ended at start"):
            await edge.start()


async def test_a_port_in_use_is_named_with_the_setting_that_changes_it(tmp_path: Path):
    async with fake_services() as services:
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            holder.listen()
            port = str(holder.getsockname()[1])
            with pytest.raises(EdgeError, match=rf"port {port} .* LASTFRAME_PORT"):
                await edge_for(services, tmp_path, PORT=port).start()


async def test_no_answer_in_time_leaves_no_process(tmp_path: Path):
    async with fake_services() as services:
        await services.health.set("lastframe.server.v1.ServerService", health_pb2.HealthCheckResponse.NOT_SERVING)
        edge = edge_for(services, tmp_path)
        with pytest.raises(EdgeError, match="did not answer"):
            await edge.start(timeout_seconds=1.5)
        assert edge.pid is not None
        assert not is_alive(edge.pid)


async def test_a_crash_ends_the_wait_and_stop_is_safe_afterwards(tmp_path: Path):
    async with fake_services() as services, edge_for(services, tmp_path) as edge:
        waiting = asyncio.create_task(edge.wait())
        os.kill(edge.pid, signal.SIGKILL)
        assert await asyncio.wait_for(waiting, 20) == -signal.SIGKILL
        await edge.stop()


async def test_stop_lets_running_requests_finish(tmp_path: Path):
    async with fake_services() as services, aiohttp.ClientSession() as client:
        edge = edge_for(services, tmp_path)
        await edge.start()
        url = f"http://127.0.0.1:{edge.port}/api/v1/process"
        running = asyncio.create_task(client.post(url, json={"video_url": "https://pause.example/"}))
        assert await until(lambda: services.frames.begun == 1)
        began = time.monotonic()
        await edge.stop(grace_seconds=20)
        assert 0.2 < time.monotonic() - began < 5
        answer = await running
        assert (answer.status, (await answer.json())["task_id"]) == (200, FINISHED)
        assert not is_alive(edge.pid)


async def test_stop_does_not_wait_longer_than_its_grace(tmp_path: Path):
    async with fake_services() as services, aiohttp.ClientSession() as client:
        edge = edge_for(services, tmp_path, SUBMIT_TIMEOUT="60s")
        await edge.start()
        url = f"http://127.0.0.1:{edge.port}/api/v1/process"
        running = asyncio.create_task(client.post(url, json={"video_url": "https://slow.example/"}))
        assert await until(lambda: services.frames.begun == 1)
        began = time.monotonic()
        await edge.stop(grace_seconds=0.3)
        assert time.monotonic() - began < 20, "it waited for a request that takes a minute"
        with pytest.raises(aiohttp.ClientError):
            await running


async def test_a_service_that_is_away_is_503_and_comes_back(tmp_path: Path):
    async with fake_services() as services, aiohttp.ClientSession() as client, edge_for(services, tmp_path) as edge:
        url = f"http://127.0.0.1:{edge.port}"

        async def status(path: str, **body: str) -> int:
            method = "POST" if body else "GET"
            async with client.request(method, url + path, json=body or None) as answer:
                if answer.status == 503:
                    assert set(await answer.json()) == {"detail", "error"}
                return answer.status

        await services.health.set(FRAMES, health_pb2.HealthCheckResponse.NOT_SERVING)

        async def is_away() -> bool:
            return await status("/api/v1/process", video_url="https://a.example/") == 503

        async def is_back() -> bool:
            return await status("/api/v1/process", video_url="https://a.example/") == 200

        assert await until(is_away)
        assert await status(f"/api/v1/status/{FINISHED}") == 200  # the others go on
        await services.health.set(FRAMES, health_pb2.HealthCheckResponse.SERVING)
        assert await until(is_back)


async def test_failures_of_the_only_host_do_not_take_it_away(tmp_path: Path):
    async with fake_services() as services, aiohttp.ClientSession() as client, edge_for(services, tmp_path) as edge:
        url = f"http://127.0.0.1:{edge.port}/api/v1/process"
        for _ in range(8):
            async with client.post(url, json={"video_url": "https://fail.example/unavailable"}) as answer:
                assert (answer.status, (await answer.json())["detail"]) == (503, "The store is away")
        async with client.post(url, json={"video_url": "https://a.example/"}) as answer:
            assert answer.status == 200


PARENT = """
import asyncio, sys
from pathlib import Path
from services.gateway.edge.launcher import EdgeProcess

async def main():
    names = ("FRAMES", "STITCH", "AUDIO", "ASSEMBLY", "PROBE", "TASKS", "SERVER")
    edge = EdgeProcess(Path(sys.argv[1]), {"PORT": sys.argv[2]} | {name: sys.argv[3] for name in names})
    await edge.start()
    print(edge.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_envoy_dies_with_its_parent(tmp_path: Path):
    async with fake_services() as services:
        arguments = (str(tmp_path), str(free_port()), f"127.0.0.1:{services.port}")
        parent = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PARENT, *arguments, stdout=asyncio.subprocess.PIPE
        )
        pid = int(await asyncio.wait_for(parent.stdout.readline(), 60))
        assert is_alive(pid)
        parent.kill()
        await parent.wait()
        assert await until(lambda: not is_alive(pid))


async def test_the_process_of_its_own_serves_and_ends_with_zero_on_sigterm(tmp_path: Path):
    async with fake_services() as services, aiohttp.ClientSession() as client:
        port = free_port()
        environment = {f"EDGE_{name}": address for name, address in services.addresses().items()}
        environment |= {"LASTFRAME_PORT": str(port), "EDGE_LISTEN": "127.0.0.1", "EDGE_DIR": str(tmp_path)}
        edge = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.gateway.edge"),
            env={**os.environ, **environment},
            stdout=asyncio.subprocess.DEVNULL,
        )

        async def serves() -> bool:
            try:
                async with client.get(f"http://127.0.0.1:{port}/health") as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

        assert await until(serves)
        edge.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(edge.wait(), 30) == 0
