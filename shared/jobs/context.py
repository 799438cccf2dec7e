"""All that a job may touch: its task, its scratch directory, sources, the decoder child, the object store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import structlog

from shared import metrics
from shared.errors import Conflict, LastFrameError, MediaCrashed, ProcessingTimeout, Unavailable
from shared.facts import present
from shared.jobs.child import ChildPool, LocalSource, result_path
from shared.media.step import Accelerators, AcceleratorUse
from shared.ports import ObjectStore, RemoteSource, SourceLimits, SourceOpener
from shared.tasks import Success, Task

log = structlog.get_logger(__name__)

Result = TypeVar("Result")
Upload = tuple[str, str, str]
"""A result's file name in scratch, its object's name, its content type."""

NO_GPU = Accelerators()
UPLOAD_ATTEMPTS = 3
UPLOAD_BACKOFF_SECONDS = 0.5


@dataclass(frozen=True)
class JobLimits:
    """What one job may cost; `memory_bytes` of its child where that is less than other children may have."""

    max_input_bytes: int
    max_duration_seconds: float
    deadline_seconds: float
    threads: int
    accelerators: Accelerators = NO_GPU
    memory_bytes: int | None = None


class PhaseClock:
    """How long each phase of a job took, in seconds."""

    def __init__(self) -> None:
        self._phase: str | None = None
        self._since = 0.0
        self._spent: dict[str, float] = {}

    def enter(self, phase: str) -> None:
        now = time.monotonic()
        if self._phase is not None:
            self._spent[self._phase] = self._spent.get(self._phase, 0.0) + now - self._since
        self._phase, self._since = phase, now

    def seconds(self) -> dict[str, float]:
        if self._phase is not None:
            self.enter(self._phase)
        return {phase: round(spent, 3) for phase, spent in self._spent.items()}


class JobContext:
    """One attempt at one task. The runner makes it, and calls `close` whatever happens.

    Attributes:
        task: the claimed task; `task.inputs` and `task.options` are the request.
        scratch: this attempt's own directory; deleted afterwards.
        bytes_fetched: what the sources have cost so far.
    """

    def __init__(
        self,
        task: Task,
        scratch: Path,
        *,
        opener: SourceOpener,
        children: ChildPool,
        objects: ObjectStore,
        limits: JobLimits,
        report: Callable[[str, float], None],
    ) -> None:
        self.task = task
        self.scratch = scratch
        self.limits = limits
        self._opener = opener
        self._children = children
        self._objects = objects
        self._report = report
        self._sources: list[RemoteSource] = []
        self._stack = AsyncExitStack()
        self._wanted: list[str] = []
        self._published: list[str] = []
        self._growing: dict[str, tuple[asyncio.Event, asyncio.Task[str]]] = {}
        self._started = time.monotonic()
        self._clock = PhaseClock()
        self._gpu_crashed = False

    @property
    def bytes_fetched(self) -> int:
        return sum(source.bytes_fetched for source in self._sources)

    @property
    def elapsed_seconds(self) -> float:
        return time.monotonic() - self._started

    def progress(self, phase: str, fraction: float) -> None:
        """Report what the job is doing and how much of the whole job (0-1) is behind it."""
        self._clock.enter(phase)
        self._report(phase, fraction)

    def success(self, outputs: Mapping[str, str], result: Any, *, without: Collection[str] = ()) -> Success:
        """What a finished job leaves: its URLs, the step's facts less `without`, and what the job itself cost."""
        metadata = {
            **present(result, without=without),
            "bytes_fetched": self.bytes_fetched,
            "phase_seconds": self._clock.seconds(),
            "processing_time": round(self.elapsed_seconds, 3),
        }
        if self._gpu_crashed:
            metadata["accelerator"] = AcceleratorUse(decode="software", encode="libx264", fallback="crashed")
        if reason := metadata.get("accelerator", {}).get("fallback"):
            metrics.accelerator_fallbacks.labels(reason).inc()
        return Success(outputs, metadata)

    async def open(self, url: str, *, label: str, error_word: str = "invalid_media_url") -> RemoteSource:
        """A source that is read by ranges; costs only what is read. Closed with the context."""
        source = await self._opener.open(
            url,
            label=label,
            limits=SourceLimits(max_input_bytes=self.limits.max_input_bytes),
            error_word=error_word,
            spool_directory=self.scratch,
        )
        self._sources.append(source)
        self._stack.push_async_callback(source.close)
        return source

    async def download(
        self, url: str, *, label: str, error_word: str = "invalid_media_url", on_progress: Callable[[float], None]
    ) -> LocalSource:
        """The whole source, as a file in scratch."""
        source = await self.open(url, label=label, error_word=error_word)
        path = self.scratch / f"source-{len(self._sources)}"
        await source.download(path, on_progress)
        return LocalSource(path, label)

    async def download_all(
        self, urls: Sequence[tuple[str, str, str]], *, phase: str = "downloading", share: float = 0.3
    ) -> list[LocalSource]:
        """Downloads `(url, label, error_word)` in parallel; progress runs from 0 to `share`.

        The first failure stops the others and is raised.
        """
        fractions = [0.0] * len(urls)

        def follow(index: int) -> Callable[[float], None]:
            def on_progress(fraction: float) -> None:
                fractions[index] = fraction
                self.progress(phase, share * sum(fractions) / len(fractions))

            return on_progress

        self.progress(phase, 0.0)
        return await _all(
            self.download(url, label=label, error_word=word, on_progress=follow(index))
            for index, (url, label, word) in enumerate(urls)
        )

    async def open_all(self, urls: Sequence[tuple[str, str, str]]) -> list[RemoteSource]:
        """Opens `(url, label, error_word)` in parallel. The first failure stops the others and is raised."""
        return await _all(self.open(url, label=label, error_word=word) for url, label, word in urls)

    async def run(
        self,
        step: Callable[..., Result],
        *,
        share: tuple[float, float] = (0.0, 0.95),
        reencodes: bool = False,
        grows: Iterable[Upload] = (),
        **arguments: Any,
    ) -> Result:
        """Runs a media step in a fresh confined child; its progress is mapped onto `share` of the job's.

        Arguments may be sources (from `open` or `download`), lists of them, and JSON values. A step that `reencodes`
        may use the GPU, where the worker has one (its child is less confined then); when that child crashes, the step
        is begun again without. Results in `grows` are written from front to back: sending them begins at once, and
        `publish` ends it.

        Raises:
            LastFrameError: what the step raised; `ProcessingTimeout` at the deadline; `MediaCrashed`.
        """
        for file_name, object_name, content_type in grows:
            written, name = asyncio.Event(), fenced_name(object_name, self.task.fence)
            put = self._objects.put(self.scratch / file_name, name, content_type, written=written)
            self._growing[file_name] = written, asyncio.create_task(put)
        if reencodes and self.limits.accelerators.nvdec:
            try:
                return await self._run(step, share, self.limits.accelerators, arguments)
            except MediaCrashed as error:
                log.warning("gpu_child_crashed", task_id=self.task.task_id, reason=error.detail)
                self._gpu_crashed = True
        return await self._run(step, share, NO_GPU, arguments)

    async def _run(
        self,
        step: Callable[..., Result],
        share: tuple[float, float],
        accelerators: Accelerators,
        arguments: Mapping[str, Any],
    ) -> Result:
        remaining = self.limits.deadline_seconds - self.elapsed_seconds
        if remaining <= 0:
            raise ProcessingTimeout("Processing took longer than allowed")
        begin, end = share

        def on_progress(phase: str, fraction: float) -> None:
            self.progress(phase, begin + (end - begin) * max(0.0, min(1.0, fraction)))

        return await self._children.run(
            step,
            arguments=arguments,
            scratch=self.scratch,
            deadline_seconds=remaining,
            memory_limit_bytes=self.limits.memory_bytes,
            on_progress=on_progress,
            max_duration_seconds=self.limits.max_duration_seconds,
            threads=self.limits.threads,
            accelerator="cuda" if accelerators.nvdec else "cpu",
            nvenc=accelerators.nvenc,
        )

    def result_path(self, file_name: str) -> Path:
        """Where a step left a result; refuses anything but a plain file of this job's scratch."""
        return result_path(self.scratch, file_name)

    async def publish(self, file_name: str, object_name: str, content_type: str) -> str:
        """Stores a result and returns its public URL. Nothing shows it until the task is settled.

        A second attempt at the task writes under a name of its own, so that a worker which was replaced
        cannot overwrite its successor's result.
        """
        path = self.result_path(file_name)
        self._wanted.append(object_name)
        object_name = fenced_name(object_name, self.task.fence)
        for attempt in range(1, UPLOAD_ATTEMPTS + 1):
            try:
                self._published.append(object_name)
                if file_name in self._growing:
                    written, put = self._growing.pop(file_name)
                    written.set()
                    return await put
                return await self._objects.put(path, object_name, content_type)
            except Conflict:
                if attempt == 1:
                    raise
                return await self._objects.url(object_name)  # stored by a put whose answer was lost
            except Unavailable as error:
                if attempt == UPLOAD_ATTEMPTS:
                    raise Unavailable("The result could not be stored", word="storage_unavailable") from error
                await asyncio.sleep(UPLOAD_BACKOFF_SECONDS * 2**attempt)
        raise AssertionError("unreachable")

    async def publish_all(self, *uploads: Upload) -> list[str]:
        """`publish` for several `(file_name, object_name, content_type)` side by side.

        A failure is raised when all have ended, so that none is stored after it was withdrawn.
        """
        stored = await asyncio.gather(*(self.publish(*upload) for upload in uploads), return_exceptions=True)
        for outcome in stored:
            if isinstance(outcome, BaseException):
                raise outcome
        return [url for url in stored if isinstance(url, str)]

    async def withdraw(self) -> None:
        """Deletes what this attempt published: it failed, or was replaced."""
        await self._call_back()
        for name in dict.fromkeys(self._published):
            await self._objects.delete(name)

    async def sweep_predecessors(self) -> None:
        """Deletes what earlier attempts may have stored before they died; call once this attempt has settled."""
        for name in self._wanted:
            for fence in range(1, self.task.fence):
                await self._objects.delete(fenced_name(name, fence))

    async def close(self) -> None:
        await self._call_back()
        await self._stack.aclose()

    async def _call_back(self) -> None:
        """Gives up what is being sent and was not published."""
        puts = [put for _, put in self._growing.values()]
        self._growing.clear()
        for put in puts:
            put.cancel()
        await asyncio.gather(*puts, return_exceptions=True)


def fenced_name(object_name: str, fence: int) -> str:
    """The name under which the holder of `fence` stores: the first holder's is the plain one."""
    if fence <= 1:
        return object_name
    stem, dot, suffix = object_name.rpartition(".")
    return f"{stem}-{fence}{dot}{suffix}"


async def _all(works: Iterable[Coroutine[Any, Any, Result]]) -> list[Result]:
    """All of them side by side; the first failure stops the others and is raised."""
    tasks: list[asyncio.Task[Result]] = []
    failure: LastFrameError | None = None
    try:
        async with asyncio.TaskGroup() as group:
            tasks += [group.create_task(work) for work in works]
    except* LastFrameError as errors:
        failure = _first(errors)
    if failure is not None:
        raise failure  # out here, so that it keeps the cause that the log is to show
    return [task.result() for task in tasks]


def _first(group: BaseExceptionGroup[LastFrameError]) -> LastFrameError:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, LastFrameError)
    return found
