"""The length job: open by ranges, measure in a confined child. It has no result file."""

from __future__ import annotations

from typing import Any

from services.probe.length import measure
from services.probe.plan import plan
from shared.facts import present
from shared.jobs.context import JobContext
from shared.tasks import Success


async def plan_length(context: JobContext) -> dict[str, Any]:
    source = await context.open(context.task.inputs["media_url"], label="media_url")
    return present(await context.run(plan, source=source))


async def measure_length(context: JobContext) -> Success:
    context.progress("fetching", 0.0)
    source = await context.open(context.task.inputs["media_url"], label="media_url")
    length = await context.run(measure, share=(0.05, 0.95), source=source)
    return context.success({}, length)
