"""The stitch job: download in parallel, join in a confined child, publish one mp4."""

from __future__ import annotations

from typing import Any

from services.stitch.stitch import FILE_NAME, plan, stitch
from shared.facts import present
from shared.jobs.context import JobContext
from shared.tasks import Success


async def stitch_videos(context: JobContext) -> Success:
    task = context.task
    sources = await context.download_all(_wanted(context))
    result = (FILE_NAME, f"{task.task_id}.mp4", "video/mp4")
    joined = await context.run(
        stitch, share=(0.3, 0.9), reencodes=True, grows=[result], sources=sources, **task.options
    )
    context.progress("uploading", 0.95)
    url = await context.publish(*result)
    return context.success({"video_result_url": url}, joined, without=("file_name",))


async def plan_stitch(context: JobContext) -> dict[str, Any]:
    sources = await context.open_all(_wanted(context))
    return present(await context.run(plan, sources=sources, **context.task.options))


def _wanted(context: JobContext) -> list[tuple[str, str, str]]:
    urls = context.task.inputs["video_urls"]
    return [(url, f"video_urls[{index}]", "invalid_video_url") for index, url in enumerate(urls)]
