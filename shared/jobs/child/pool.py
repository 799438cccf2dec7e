"""The pool: runs each media step in a confined process that lives for that one step."""

from __future__ import annotations

import asyncio
import collections
import functools
import importlib.util
import logging
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from shared.errors import LastFrameError, MediaCrashed, ProcessingTimeout, Unavailable
from shared.jobs.child import job, wire
from shared.jobs.child.conversation import Conversation, describe
from shared.jobs.child.forkserver import FORK_FAILED
from shared.jobs.child.results import rebuild
from shared.jobs.child.server import SERVER_LOST, Child, ForkServerHandle
from shared.jobs.child.wire import ConnectionLost, ProtocolViolation
from shared.jobs.sandbox import SandboxMode, SandboxReport, require_sandbox
from shared.media.step import Progress, StepContext, no_progress

R = TypeVar("R")

DEFAULT_MEMORY_LIMIT_BYTES = 2 << 30
"""Address space of one child; the heaviest step measured (x264 1080p medium) has 450 MB resident."""
DEFAULT_FILE_LIMIT_BYTES = 4 << 30
_LAST_WORDS_SECONDS = 0.5
_REAP_SECONDS = 10.0

logger = logging.getLogger(__name__)


class ChildPool:
    """Disposable children on demand, some of them forked ahead of need.

    It sets no limit on how many run at once: the runner does. All methods belong to one event loop.

    Args:
        preload: modules that the fork server loads, above all those of the steps (`services.frames.last_frame`).
        warm: how many idle children wait for a job; 0 forks each on demand.
        memory_limit_bytes, file_limit_bytes: of one child; the longest file it may write.
        sandbox: `required` refuses to start where the kernel cannot confine; `best-effort` takes what there is.
    """

    def __init__(
        self,
        *,
        preload: Sequence[str],
        warm: int = 2,
        memory_limit_bytes: int = DEFAULT_MEMORY_LIMIT_BYTES,
        file_limit_bytes: int = DEFAULT_FILE_LIMIT_BYTES,
        sandbox: SandboxMode = "required",
    ) -> None:
        self._preload = tuple(preload)
        self._warm = warm
        self._memory_limit_bytes = memory_limit_bytes
        self._file_limit_bytes = file_limit_bytes
        self._sandbox: SandboxMode = sandbox
        self._idle: collections.deque[Child] = collections.deque()
        self._server: ForkServerHandle | None = None
        self._starting = asyncio.Lock()
        self._open = False

    async def start(self) -> SandboxReport:
        """Load the codecs and fork the first children.

        Returns:
            the layers of confinement that children will have; log it.

        Raises:
            SandboxUnavailable: `required`, and this machine cannot; the message is for the operator.
            RuntimeError: a module of `preload` cannot be loaded.
        """
        report = require_sandbox(self._sandbox)
        if not report.complete:
            logger.warning("decoders run less confined: no %s", ", no ".join(report.missing))
        self._open = True
        self._warm_up(await self._living_server())
        return report

    async def stop(self) -> None:
        """Kill every child and the fork server. Runs that are still going fail as `Unavailable`."""
        self._open = False
        async with self._starting:
            server, self._server = self._server, None
        if server is not None:
            await server.stop()
        while self._idle:
            self._idle.popleft().close()

    async def run(
        self,
        step: Callable[..., R],
        *,
        arguments: Mapping[str, Any],
        scratch: Path,
        deadline_seconds: float,
        memory_limit_bytes: int | None = None,
        on_progress: Progress = no_progress,
        **context_fields: Any,
    ) -> R:
        """`step(context, **arguments)` in a child of its own.

        Args:
            step: a module-level function whose return annotation is a frozen dataclass (or what pydantic knows).
            arguments: by name; anything picklable, with `LocalSource`s and remote sources at any depth, which the
                step sees as `ByteSource`s.
            scratch: the job's own directory: all that the step may write.
            deadline_seconds: from now to the result.
            memory_limit_bytes: where it is less than the pool's.
            on_progress: called in the event loop.
            context_fields: the further fields of `StepContext`: `threads`, `accelerator`, the limits.

        Returns:
            the step's result, rebuilt and validated; every `Path` in it is a plain file directly in `scratch`, and
            names in strings are for `result_path` to judge.

        Raises:
            ProcessingTimeout: the deadline passed.
            MediaCrashed: the child died, ran out of memory, or answered nonsense.
            Unavailable: no process could be had; a second attempt may.
            LastFrameError: whatever the step or a source raised.

        When it returns or raises, cancellation included, the child is dead.
        """
        packed, sources = job.pack(step, _step_context(scratch, context_fields), arguments)
        order = {
            "sources": [describe(source) for source in sources],
            "code": _code_directories((*self._preload, __name__, step.__module__)),
            "memory_bytes": min(self._memory_limit_bytes, memory_limit_bytes or self._memory_limit_bytes),
            "file_bytes": self._file_limit_bytes,
            "deadline_seconds": deadline_seconds,
            "sandbox": self._sandbox,
        }
        name = f"{step.__module__}.{step.__qualname__}"
        server = await self._living_server()
        child = self._take(server)
        try:
            async with asyncio.timeout(deadline_seconds) as deadline:
                await wire.send(child.connection, wire.encode({"run": order}, packed))
                payload = await Conversation(child, sources, on_progress, name).until_result()
        except ProtocolViolation as violation:
            logger.warning("media step %s: its child sent %s and was killed", name, violation)
            raise MediaCrashed("the decoder answered nonsense") from violation
        except ConnectionLost as lost:
            raise await _cause_of_death(child) from lost
        except TimeoutError as late:
            if not deadline.expired():
                raise
            raise ProcessingTimeout(f"the media took longer than {deadline_seconds:g} s to process") from late
        finally:
            await self._bury(server, child, name)
        return rebuild(step, payload, scratch)

    async def _living_server(self) -> ForkServerHandle:
        async with self._starting:
            if not self._open:
                raise Unavailable("the media processes are stopped")
            if self._server is None or not self._server.alive:
                if self._server is not None:
                    logger.error("the media fork server died; starting another")
                    await self._server.stop()
                server = ForkServerHandle(self._preload)
                await server.start()
                self._server = server
            return self._server

    def _take(self, server: ForkServerHandle) -> Child:
        child: Child | None = None
        while child is None and self._idle:
            child = self._idle.popleft()
            if child.exited.done():
                child.close()
                child = None
        child = child or server.spawn()
        self._warm_up(server)
        return child

    def _warm_up(self, server: ForkServerHandle) -> None:
        while len(self._idle) < self._warm:
            self._idle.append(server.spawn())

    async def _bury(self, server: ForkServerHandle, child: Child, name: str) -> None:
        server.kill(child)
        try:
            async with asyncio.timeout(_REAP_SECONDS):
                await asyncio.shield(child.exited)
        except TimeoutError:
            logger.error("the child of media step %s is killed but does not end", name)
        finally:
            if words := child.read_stderr():
                logger.info("media step %s wrote to stderr:\n%s", name, words)
            child.close()


async def _cause_of_death(child: Child) -> LastFrameError:
    """Why a child fell silent, from how it ended. One that has hung up but lives on gets no name of its own."""
    try:
        async with asyncio.timeout(_LAST_WORDS_SECONDS):
            status = await asyncio.shield(child.exited)
    except TimeoutError:
        return MediaCrashed("the decoder stopped unexpectedly")
    if status in (FORK_FAILED, SERVER_LOST):
        return Unavailable("no process could be had for the media step")
    if os.WIFSIGNALED(status):
        match os.WTERMSIG(status):
            case signal.SIGKILL:  # nobody else kills: the kernel's OOM killer does
                return MediaCrashed("the decoder ran out of memory")
            case signal.SIGXCPU:
                return ProcessingTimeout("the media took too much processor time")
    return MediaCrashed("the decoder stopped unexpectedly")


def _step_context(scratch: Path, fields: Mapping[str, Any]) -> StepContext:
    return StepContext(scratch=scratch.absolute(), **fields)


@functools.lru_cache(maxsize=64)
def _code_directories(modules: tuple[str, ...]) -> list[str]:
    """The directories of the modules' top-level packages, and nothing beside them in the checkout."""
    found: set[str] = set()
    for top in {module.partition(".")[0] for module in modules}:
        spec = importlib.util.find_spec(top) if top != "__main__" else None
        found.update(spec.submodule_search_locations or () if spec else ())
    return sorted(found)
