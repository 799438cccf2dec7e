"""The stitch job: download in parallel, join in a confined child, publish one mp4."""

from __future__ import annotations

from services.stitch.stitch import stitch
from shared.jobs.context import JobContext
from shared.tasks import Success


async def stitch_videos(context: JobContext) -> Success:
    task = context.task
    sources = await context.download_all(
        [(url, f"video_urls[{index}]", "invalid_video_url") for index, url in enumerate(task.inputs["video_urls"])]
    )
    joined = await context.run(stitch, share=(0.3, 0.9), reencodes=True, sources=sources, **task.options)
    context.progress("uploading", 0.95)
    url = await context.publish(joined.file_name, f"{task.task_id}.mp4", "video/mp4")
    return context.success({"video_result_url": url}, joined, without=("file_name",))
