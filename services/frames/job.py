"""The last-frame job: open by ranges, extract in a confined child, publish one image."""

from __future__ import annotations

from typing import Any

from services.frames.last_frame import extract
from services.frames.plan import plan
from shared.facts import present
from shared.jobs.context import JobContext
from shared.tasks import Success


async def plan_last_frame(context: JobContext) -> dict[str, Any]:
    source = await context.open(context.task.inputs["video_url"], label="video_url", error_word="invalid_video_url")
    return present(await context.run(plan, source=source, **context.task.options))


async def extract_last_frame(context: JobContext) -> Success:
    task = context.task
    context.progress("fetching", 0.0)
    source = await context.open(task.inputs["video_url"], label="video_url", error_word="invalid_video_url")
    frame = await context.run(extract, share=(0.05, 0.9), source=source, **task.options)
    context.progress("uploading", 0.95)
    extension = frame.file_name.rpartition(".")[2]
    url = await context.publish(frame.file_name, f"{task.task_id}.{extension}", frame.content_type)
    return context.success({"image_url": url}, frame, without=("file_name", "content_type"))
