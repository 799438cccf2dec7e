"""The assembly job: download in parallel, assemble in a confined child, publish three files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.assembly.assemble import AUDIO_ONLY, FULL_VIDEO, VIDEO_ONLY, assemble
from services.assembly.plan import plan
from shared.facts import present
from shared.jobs.context import JobContext
from shared.tasks import Success


async def assemble_movie(context: JobContext) -> Success:
    """The three results are uploaded side by side; the task shows all of them or none."""
    task_id = context.task.task_id
    *scenes, master = await context.download_all(_wanted(context))
    results = (
        (FULL_VIDEO, f"final_movie_{task_id}.mp4", "video/mp4"),
        (VIDEO_ONLY, f"final_movie_video_only_{task_id}.mp4", "video/mp4"),
        (AUDIO_ONLY, f"final_movie_audio_only_{task_id}.mp3", "audio/mpeg"),
    )
    movie = await context.run(
        assemble,
        share=(0.3, 0.85),
        reencodes=True,
        grows=results,
        scenes=scenes,
        master=master,
        **_asked(context),
    )
    context.progress("uploading", 0.9)
    full, silent, sound = await context.publish_all(*results)
    return context.success(
        {"full_video_url": full, "video_only_url": silent, "audio_only_url": sound},
        movie,
        without=("full_video", "video_only", "audio_only"),
    )


async def plan_assembly(context: JobContext) -> dict[str, Any]:
    *scenes, master = await context.open_all(_wanted(context))
    return present(await context.run(plan, scenes=scenes, master=master, **_asked(context)))


def _wanted(context: JobContext) -> list[tuple[str, str, str]]:
    """The scenes in playing order, and the master audio."""
    options = context.task.options
    return [
        *((scene["video_url"], scene["label"], "scene_video_missing") for scene in options["scenes"]),
        (options["master"]["audio_url"], "master_audio.audio_url", "invalid_audio_url"),
    ]


def _asked(context: JobContext) -> Mapping[str, Any]:
    options = context.task.options
    return {
        "expected_scene_seconds": [scene.get("expected_duration") for scene in options["scenes"]],
        "expected_audio_seconds": options["master"].get("expected_duration"),
        **options["settings"],
    }
