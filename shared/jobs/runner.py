"""Claim → run → settle → announce: the loop of every worker role."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog
from opentelemetry.trace import SpanKind

from shared import metrics
from shared.errors import LastFrameError, MediaCrashed, ProcessingTimeout, Unavailable
from shared.jobs.child import ChildPool
from shared.jobs.context import JobContext, JobLimits
from shared.jobs.ledger import Ledger
from shared.jobs.scratch import scratch_bytes, sweep_scratch
from shared.ports import Hint, ObjectStore, SourceOpener
from shared.tasks import Failure, Outcome, Success, Task, TaskKind
from shared.tracing import log_fields, span

log = structlog.get_logger(__name__)

Job = Callable[[JobContext], Awaitable[Success]]

LEASE_SECONDS = 15.0
HEARTBEAT_SECONDS = 5.0
FENCE_CHECK_SECONDS = 0.4  # a cancelled task stops within a second
PROGRESS_SECONDS = 0.5  # progress is stored at most this often
MAX_OWNERS = 25  # a task that so many workers took and none finished kills its workers
RETRY_DELAYS_SECONDS = (2.0, 15.0)  # after the first attempt: three in all
SETTLE_DELAYS_SECONDS = (0.2, 1.0, 3.0)  # within a lease


@dataclass(frozen=True)
class RunnerSettings:
    """Attributes:
    worker: this process's name in leases.
    slots: how many jobs run at once.
    scratch_root: where each attempt gets a directory of its own.
    retry_delays_seconds: the wait before each further attempt, before jitter; its length bounds the attempts.
    """

    worker: str
    slots: int
    scratch_root: Path
    limits: JobLimits
    retry_delays_seconds: tuple[float, ...] = RETRY_DELAYS_SECONDS


class _Run:
    """One running attempt, as the heartbeat sees it."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.job: asyncio.Task[None] | None = None
        self.phase: str | None = None
        self.progress: float | None = None
        self.changed = False
        self.renewed_at = time.monotonic()
        self.stored_at = 0.0
        self.lost = False
        self.ending = False

    def cancel(self) -> bool:
        """Stops the job, unless it is settling: then its results may be public already. Says whether it did."""
        if self.ending or self.job is None:
            return False
        return self.job.cancel()

    def report(self, phase: str, progress: float) -> None:
        self.changed = self.changed or phase != self.phase or progress != self.progress
        self.phase, self.progress = phase, progress


class Runner:
    """Runs jobs of some kinds in this process until `drain`.

    Attributes:
        limits: of each job that begins from now on.
    """

    def __init__(
        self,
        ledger: Ledger,
        jobs: Mapping[TaskKind, Job],
        settings: RunnerSettings,
        *,
        opener: SourceOpener,
        children: ChildPool,
        objects: ObjectStore,
    ) -> None:
        self._ledger = ledger
        self._jobs = jobs
        self._settings = settings
        self.limits = settings.limits
        self._opener = opener
        self._children = children
        self._objects = objects
        self._free = asyncio.Semaphore(settings.slots)
        metrics.job_slots.set(settings.slots)
        for kind in jobs:
            metrics.child_crashes.labels(kind)  # from 0 on: a series that begins at 1 has not increased
        self._runs: dict[str, _Run] = {}
        self._draining = asyncio.Event()
        self._taking: asyncio.Task[None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def active(self) -> int:
        """How many attempts run now."""
        return len(self._runs)

    async def run(self) -> None:
        """Takes work until drained or cancelled; a fault of the queue or store is outlasted, not raised."""
        sweep_scratch(self._settings.scratch_root)
        metrics.scratch_bytes.set_function(lambda: scratch_bytes(self._settings.scratch_root))
        async with asyncio.TaskGroup() as group:
            beat = group.create_task(self._beat())
            self._taking = group.create_task(self._take())
            await self._draining.wait()
            self._taking.cancel()
            await self._idle.wait()
            beat.cancel()

    async def drain(self, grace_seconds: float) -> None:
        """Takes no more work, lets running jobs finish; at the grace's end gives them back uncharged."""
        self._draining.set()
        if self._taking is not None:
            self._taking.cancel()
            await asyncio.wait((self._taking,))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds):
                await self._idle.wait()
        await asyncio.sleep(0)  # a job cancelled before its first step would never clean up
        for run in list(self._runs.values()):
            run.cancel()
        await self._idle.wait()

    async def _take(self) -> None:
        async for hint in self._ledger.queue.hints(tuple(self._jobs), self._settings.slots):
            try:
                await self._follow(hint)
            except Unavailable as error:
                log.warning("store_unavailable", reason=error.detail)
                hint.later(2.0)

    async def _follow(self, hint: Hint) -> None:
        """Claims what a hint names; a hint without a name is followed until slots or ready tasks run out."""
        if hint.task_id is not None and hint.task_id in self._runs:
            hint.later(LEASE_SECONDS)
            return
        claimed = False
        while True:
            await self._free.acquire()
            task: Task | None = None
            try:
                task = await self._ledger.claim(hint.task_id, tuple(self._jobs), self._settings.worker, LEASE_SECONDS)
            finally:
                if task is None:
                    self._free.release()
            if task is None:
                await self._dismiss(hint, claimed=claimed)
                return
            claimed = True
            run = _Run(task)
            self._runs[task.task_id] = run
            self._idle.clear()
            metrics.jobs_running.set(len(self._runs))
            run.job = asyncio.create_task(self._attempt(run, hint if hint.task_id else None))
            if hint.task_id is not None:
                return

    async def _dismiss(self, hint: Hint, *, claimed: bool) -> None:
        """A hint that could not be claimed: forgotten if its task is settled, else looked at again later. A look into
        the store says whether it found work, which is how a queue learns that its hints do not arrive."""
        if hint.task_id is None:
            _ = hint.done() if claimed else hint.later(0.0)
            return
        metrics.redeliveries.inc()
        task = await self._ledger.store.get(hint.task_id)
        if task is None or task.status.is_terminal:
            hint.done()
        else:
            hint.later(2.0)

    async def _attempt(self, run: _Run, hint: Hint | None) -> None:
        task = run.task
        scratch = self._settings.scratch_root / f"{task.task_id}.{task.fence}"
        started = time.monotonic()
        context = JobContext(
            task,
            scratch,
            opener=self._opener,
            children=self._children,
            objects=self._objects,
            limits=self.limits,
            report=run.report,
        )
        bound = log.bind(
            task_id=task.task_id,
            kind=task.kind.value,
            attempt=task.attempt,
            fence=task.fence,
            **log_fields(task.trace),
        )
        try:
            scratch.mkdir(parents=True, mode=0o700)
            bound.info("job_started")
            if task.attempt == 1 and task.started_at is not None:
                metrics.job_wait_seconds.labels(task.kind).observe((task.started_at - task.created_at).total_seconds())
            if task.fence > MAX_OWNERS:
                raise MediaCrashed("Every worker that took this task stopped before it was done", retryable=False)
            with span(f"job {task.kind}", task.trace, SpanKind.CONSUMER, **span_facts(task)) as current:
                success = await self._within_deadline(context)
                for phase, seconds in success.metadata.get("phase_seconds", {}).items():
                    current.set_attribute(f"lastframe.{phase}_seconds", seconds)
            run.ending = True
            await self._complete(task, context, success, bound)
            bound.info("job_ended", seconds=round(time.monotonic() - started, 3))
        except asyncio.CancelledError:
            run.ending = True
            await self._stopped(run, context)
            bound.info("job_stopped", lost=run.lost)
        except Exception as error:
            run.ending = True
            await self._failed(task, context, error, bound)
        finally:
            await asyncio.shield(self._clean_up(run, context, scratch))
            if hint is not None:
                hint.done()

    async def _within_deadline(self, context: JobContext) -> Success:
        deadline = self.limits.deadline_seconds
        try:
            async with asyncio.timeout(deadline) as scope:
                return await self._jobs[context.task.kind](context)
        except TimeoutError:
            if not scope.expired():
                raise
            raise ProcessingTimeout(f"Processing took longer than the {deadline:g} s allowed") from None

    async def _complete(
        self, task: Task, context: JobContext, success: Success, bound: structlog.stdlib.BoundLogger
    ) -> None:
        """Settles the task, and then deletes the results that nobody will be shown.

        When the store does not answer, nobody knows whether it wrote: the results stay. If it did not, the lease runs
        out, and the next attempt sweeps them.
        """
        try:
            settled = await self._settle(task, success)
        except Unavailable as away:
            bound.warning("settle_failed", reason=away.detail)
            return
        with contextlib.suppress(Unavailable):
            if settled:
                _measure_success(task, success, context)
                await context.sweep_predecessors()
            else:
                bound.warning("job_replaced")
                await context.withdraw()

    async def _settle(self, task: Task, outcome: Outcome) -> bool:
        """Whether the task ended as this attempt says; asks again while the store is away, as its port allows.

        Raises:
            Unavailable: the store stayed away.
        """
        for delay in SETTLE_DELAYS_SECONDS:
            try:
                return await self._ledger.settle(task, outcome) is not None
            except Unavailable:
                await asyncio.sleep(delay)
        return await self._ledger.settle(task, outcome) is not None

    async def _stopped(self, run: _Run, context: JobContext) -> None:
        with contextlib.suppress(Unavailable):
            await context.withdraw()
            if not run.lost:
                await self._ledger.give_back(run.task)

    async def _failed(
        self, task: Task, context: JobContext, error: Exception, bound: structlog.stdlib.BoundLogger
    ) -> None:
        metrics.job_seconds.labels(task.kind, "failed").observe(context.elapsed_seconds)
        if isinstance(error, LastFrameError):
            failure = Failure(error.word, error.detail, error.input_name)
            retryable = error.retryable
            if isinstance(error, MediaCrashed):
                metrics.child_crashes.labels(task.kind).inc()
            bound.info("job_failed", error=error.word, detail=error.detail, cause=repr(error.__cause__))
        else:
            failure = Failure("internal_error", "An internal error occurred while processing")
            retryable = False
            bound.exception("job_broke")
        with contextlib.suppress(Unavailable):
            await context.withdraw()
        try:
            delays = self._settings.retry_delays_seconds
            if retryable and len(task.retries) < len(delays):
                delay = delays[len(task.retries)] * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
                await self._ledger.retry(task, failure, delay)
                return
            settled = await self._settle(task, failure)
            if settled and (retryable or task.fence > MAX_OWNERS):
                await self._ledger.queue.bury(task.kind, task.task_id, failure.word)
        except Unavailable as away:
            # The lease runs out and the task is run again: nothing is lost, and nothing was shown.
            bound.warning("settle_failed", reason=away.detail)

    async def _clean_up(self, run: _Run, context: JobContext, scratch: Path) -> None:
        try:
            await context.close()
        except Exception as error:  # the task has ended as it has; its slot and scratch are given back all the same
            log.warning("close_failed", task_id=run.task.task_id, exc_info=error)
        if not _was_empty(scratch):
            await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)
        metrics.source_bytes.labels(run.task.kind).inc(context.bytes_fetched)
        self._runs.pop(run.task.task_id, None)
        metrics.jobs_running.set(len(self._runs))
        if not self._runs:
            self._idle.set()
        self._free.release()

    async def _beat(self) -> None:
        """Renews leases, stores progress, and stops what is no longer ours."""
        while True:
            await asyncio.sleep(FENCE_CHECK_SECONDS)
            try:
                await self._check_fences()
                await self._renew()
            except Unavailable as error:
                log.warning("heartbeat_failed", reason=error.detail)

    async def _check_fences(self) -> None:
        if not self._runs:
            return
        runs = list(self._runs.values())
        held = await self._ledger.store.held([(run.task.task_id, run.task.fence) for run in runs])
        for run in runs:
            if run.task.task_id not in held:
                self._lose(run)

    async def _renew(self) -> None:
        now = time.monotonic()
        for run in list(self._runs.values()):
            due = now - run.renewed_at >= HEARTBEAT_SECONDS
            if due or (run.changed and now - run.stored_at >= PROGRESS_SECONDS):
                run.changed, run.renewed_at, run.stored_at = False, now, now
                if not await self._ledger.renew(run.task, LEASE_SECONDS, run.phase, run.progress):
                    self._lose(run)

    def _lose(self, run: _Run) -> None:
        # Settling itself ends the hold, so only a run that is still in the table was taken away.
        if self._runs.get(run.task.task_id) is run and not run.lost:
            run.lost = run.cancel()


def _measure_success(task: Task, success: Success, context: JobContext) -> None:
    metrics.job_seconds.labels(task.kind, "completed").observe(context.elapsed_seconds)
    for phase, seconds in success.metadata.get("phase_seconds", {}).items():
        metrics.job_phase_seconds.labels(task.kind, phase).observe(seconds)


def span_facts(task: Task) -> dict[str, str | int]:
    return {"lastframe.task_id": task.task_id, "lastframe.attempt": task.attempt, "lastframe.fence": task.fence}


def _was_empty(scratch: Path) -> bool:
    """Removes it if so; that is not worth a thread."""
    try:
        scratch.rmdir()
    except OSError:
        return False
    return True
