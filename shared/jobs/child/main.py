"""The child's life: stand by, take one job, confine itself, run the step, answer, end."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import errno
import faulthandler
import io
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path
from typing import Any

import pydantic_core

from shared.errors import LastFrameError, LimitExceeded, MediaCrashed, Unavailable
from shared.jobs.child import faults, job
from shared.jobs.child.sources import PipeSource, find_source_fault
from shared.jobs.child.wire import MAX_RESULT_BYTES, ChildConnection, ConnectionLost
from shared.jobs.sandbox import Confinement, confine
from shared.media.source import FileSource

PROGRESS_INTERVAL_SECONDS = 0.1
MAX_LOG_CHARACTERS = 16_000
NICENESS = 10
"""Decoding may use every core that is idle, but answers to clients come first."""
_LEAST_FREE_BYTES = 16 << 20
_PR_SET_PDEATHSIG = 1
_STDERR, _SOCKET = 2, 3


def run_child(connection: int, stderr: int, server: int) -> None:
    """The whole life of a freshly forked child. Never returns.

    Args:
        connection: descriptor of its end of the socket pair.
        stderr: descriptor of its end of the log pipe, non-blocking: what the pipe cannot hold is lost.
        server: process id of the fork server; the child dies with it.
    """
    status = 1
    try:
        _isolate(connection, stderr, server)
        _serve(ChildConnection(_SOCKET))
        status = 0
    except (ConnectionLost, BrokenPipeError):
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _isolate(connection: int, stderr: int, server: int) -> None:
    """A session of its own, no descriptor but the socket and stderr, and an end when the fork server ends."""
    os.setsid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server:
        os._exit(0)
    connection, stderr = os.dup(connection), os.dup(stderr)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.dup2(stderr, _STDERR)
    os.dup2(connection, _SOCKET)
    os.closerange(_SOCKET + 1, os.sysconf("SC_OPEN_MAX"))
    os.umask(0o077)
    os.nice(NICENESS)
    # Under autogroup (sched(7)) niceness counts only inside a session, and sessions share the cores evenly: ten
    # decoders would leave the service that feeds them an eleventh. Not in most containers, rationed without privileges.
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(NICENESS))
    sys.stderr = io.TextIOWrapper(_LossyStderr(), errors="replace", write_through=True)
    faulthandler.enable(_STDERR)


class _LossyStderr(io.RawIOBase):
    """A full log pipe must not fail the step that writes to it."""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        with contextlib.suppress(BlockingIOError):
            os.write(_STDERR, data)
        return len(data)


def _serve(connection: ChildConnection) -> None:
    header, packed = connection.receive()
    order = header["run"]
    asking = threading.Lock()
    sources = [
        FileSource(described["path"], described["label"])
        if "path" in described
        else PipeSource(connection, asking, index, described)
        for index, described in enumerate(order["sources"])
    ]
    todo = job.unpack(packed, sources)
    scratch = Path(todo.context.scratch)
    confine(
        Confinement(
            scratch=scratch,
            code=tuple(Path(path) for path in order["code"]),
            memory_bytes=order["memory_bytes"],
            file_bytes=order["file_bytes"],
            cpu_seconds=order["deadline_seconds"] * max(todo.context.threads, 1),
            mode=order["sandbox"],
            accelerator=todo.context.accelerator,
        )
    )
    tempfile.tempdir = str(scratch)
    context = dataclasses.replace(todo.context, progress=_Progress(connection))
    try:
        result = pydantic_core.to_json(todo.step(context, **todo.arguments), fallback=str)
        if len(result) > MAX_RESULT_BYTES:
            raise ValueError(f"a result of {len(result)} bytes")
    except BaseException as error:
        connection.send(_describe(error))
    else:
        connection.send({"result": True}, result)


def _describe(error: BaseException) -> dict[str, Any]:
    fields = faults.to_wire(_named(error))
    log = "".join(traceback.format_exception(error))[-MAX_LOG_CHARACTERS:]
    return {"error": fields, "source_fault": find_source_fault(error), "log": log}


def _named(error: BaseException) -> LastFrameError:
    """The client's word for what a step raised."""
    match error:
        case LastFrameError():
            return error
        case MemoryError():
            return MediaCrashed("the decoder ran out of memory")
        case OSError(errno=errno.EFBIG):
            return LimitExceeded("the result would be larger than the limit for one file")
        case OSError(errno=errno.ENOSPC) if _disk_is_full():
            return Unavailable("the worker has no disk space left")
        case _:
            return MediaCrashed("the media step failed unexpectedly")


def _disk_is_full() -> bool:
    """Codecs use ENOSPC for buffers that are too small, so the disk is asked."""
    state = os.statvfs(".")
    return state.f_bavail * state.f_frsize < _LEAST_FREE_BYTES


class _Progress:
    """Forwards every change of phase, and within a phase ten reports a second."""

    def __init__(self, connection: ChildConnection) -> None:
        self._connection = connection
        self._phase = ""
        self._next_seconds = 0.0

    def __call__(self, phase: str, fraction: float) -> None:
        now = time.monotonic()
        if phase != self._phase or now >= self._next_seconds:
            self._phase, self._next_seconds = phase, now + PROGRESS_INTERVAL_SECONDS
            self._connection.send({"progress": [phase, fraction]})
