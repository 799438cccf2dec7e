"""Plans: what a job would do, found out by its own means, without a task."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from shared.errors import InvalidRequest, LastFrameError, Overloaded, ProcessingFailed, ProcessingTimeout, Unavailable
from shared.jobs.child import ChildPool
from shared.jobs.context import JobContext, JobLimits
from shared.ports import ObjectStore, SourceOpener
from shared.tasks import Plan, Task, TaskKind, TaskStatus

log = structlog.get_logger(__name__)

PlanJob = Callable[[JobContext], Awaitable[Mapping[str, Any]]]
"""Looks at a job's sources by a context of its own; returns facts under the names of the finished task's metadata."""

PLAN_SECONDS = 20.0
"""The edge waits five seconds longer for a submit."""
PLAN_MEMORY_BYTES = 1024**3
"""Address space of a plan's child, which decodes one picture: a pod's memory holds those of its plans as well."""
RETRY_SECONDS = 2.0


@dataclass(frozen=True)
class PlannerSettings:
    """Attributes:
    scratch_root: where each plan gets a directory of its own.
    limits: of one plan.
    most: plans at once; the next one is refused. 0 makes none.
    """

    scratch_root: Path
    limits: JobLimits
    most: int


class Planner:
    """Makes plans in this process, beside its jobs: the same opener, confinement and limits."""

    def __init__(
        self,
        plans: Mapping[TaskKind, PlanJob],
        settings: PlannerSettings,
        *,
        opener: SourceOpener,
        children: ChildPool,
        objects: ObjectStore,
    ) -> None:
        self._plans = plans
        self._settings = settings
        self._opener = opener
        self._children = children
        self._objects = objects
        self._underway = 0

    async def __call__(self, kind: TaskKind, inputs: Mapping[str, Any], options: Mapping[str, Any]) -> Plan:
        """What the job of this kind would do with this request.

        Raises:
            InvalidRequest: what the job would have failed with, by the same word.
            Overloaded: too many plans are being made.
            ProcessingTimeout: the sources were too slow.
            Unavailable: this process makes none, or no process could be had for it.
        """
        if not self._settings.most:
            raise Unavailable("Plans are switched off here; the operator has to set LASTFRAME_MAX_PLANS")
        if self._underway >= self._settings.most:
            raise Overloaded("Too many plans are being made at once", retry_after_seconds=RETRY_SECONDS)
        self._underway += 1
        try:
            return await self._make(_stand_in(kind, inputs, options))
        except (InvalidRequest, ProcessingFailed) as error:
            log.info("plan_failed", kind=kind.value, error=error.word, detail=error.detail, cause=repr(error.__cause__))
            raise _refusal(error) from error
        finally:
            self._underway -= 1

    async def _make(self, task: Task) -> Plan:
        scratch = self._settings.scratch_root / task.task_id
        context = JobContext(
            task,
            scratch,
            opener=self._opener,
            children=self._children,
            objects=self._objects,
            limits=self._settings.limits,
            report=lambda phase, fraction: None,
        )
        scratch.mkdir(parents=True, mode=0o700)
        seconds = self._settings.limits.deadline_seconds
        try:
            async with asyncio.timeout(seconds) as scope:
                facts = await self._plans[task.kind](context)
                return Plan({**facts, "bytes_fetched": context.bytes_fetched})
        except TimeoutError:
            if not scope.expired():
                raise
            raise ProcessingTimeout(f"The sources took longer than {seconds:g} s to look at") from None
        finally:
            await asyncio.shield(_clean_up(context, scratch))


async def _clean_up(context: JobContext, scratch: Path) -> None:
    try:
        await context.close()
    except Exception as error:  # the plan is made; only its scratch is left
        log.warning("close_failed", task_id=context.task.task_id, exc_info=error)
    await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)


def _stand_in(kind: TaskKind, inputs: Mapping[str, Any], options: Mapping[str, Any]) -> Task:
    """The request in the shape that contexts have; it is never stored."""
    now = datetime.now(UTC)
    return Task(f"plan-{secrets.token_hex(8)}", kind, "", TaskStatus.PENDING, now, now, inputs, options)


def _refusal(error: LastFrameError) -> InvalidRequest:
    """A job's failure as an answer at the door, whose sentence begins with the field at fault: the request names what
    cannot be used."""
    detail = error.detail
    if error.input_name and not detail.startswith(error.input_name):
        detail = f"{error.input_name}: {detail}"
    return InvalidRequest(detail, word=error.word, input_name=error.input_name)
