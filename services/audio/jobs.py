"""The audio jobs: sounds joined to the sample, music laid under a video."""

from __future__ import annotations

from typing import Any

from services.audio.mix_music import MUSIC_TRACK, mix_music
from services.audio.plan import plan_music, plan_stitch_audio
from services.audio.silence import is_silence, silence_seconds
from services.audio.stitch_audio import stitch_audio
from shared.facts import present
from shared.jobs.context import JobContext
from shared.tasks import Success

FILE_FACTS = ("file_name", "content_type")


async def join_sounds(context: JobContext) -> Success:
    task = context.task
    wanted, parts = _sounds(context)
    sources = await context.download_all(wanted)
    joined = await context.run(stitch_audio, share=(0.3, 0.9), sources=sources, parts=parts, **task.options)
    context.progress("uploading", 0.95)
    extension = joined.file_name.rpartition(".")[2]
    url = await context.publish(joined.file_name, f"{task.task_id}.{extension}", joined.content_type)
    return context.success({"audio_result_url": url}, joined, without=FILE_FACTS)


async def lay_music(context: JobContext) -> Success:
    task = context.task
    video, music = await context.download_all(_video_and_music(context))
    result = (MUSIC_TRACK, f"{task.task_id}.mp4", "video/mp4")
    mixed = await context.run(mix_music, share=(0.3, 0.9), grows=[result], video=video, music=music, **task.options)
    context.progress("uploading", 0.95)
    url = await context.publish(*result)
    return context.success({"video_result_url": url}, mixed, without=FILE_FACTS)


async def plan_sounds(context: JobContext) -> dict[str, Any]:
    wanted, parts = _sounds(context)
    sources = await context.open_all(wanted)
    return present(await context.run(plan_stitch_audio, sources=sources, parts=parts, **context.task.options))


async def plan_music_track(context: JobContext) -> dict[str, Any]:
    video, music = await context.open_all(_video_and_music(context))
    return present(await context.run(plan_music, video=video, music=music, **context.task.options))


def _sounds(context: JobContext) -> tuple[list[tuple[str, str, str]], list[dict[str, Any]]]:
    """Each distinct URL once, however often it stands in the list; and the items, each naming its URL by position."""
    items = context.task.inputs["audio_urls"]
    wanted: dict[str, str] = {}
    for index, item in enumerate(items):
        if not is_silence(item):
            wanted.setdefault(item, f"audio_urls[{index}]")
    order = {url: position for position, url in enumerate(wanted)}
    parts: list[dict[str, Any]] = [
        {"silence_seconds": silence_seconds(item, f"audio_urls[{index}]")}
        if is_silence(item)
        else {"source": order[item]}
        for index, item in enumerate(items)
    ]
    return [(url, label, "invalid_audio_url") for url, label in wanted.items()], parts


def _video_and_music(context: JobContext) -> list[tuple[str, str, str]]:
    inputs = context.task.inputs
    return [
        (inputs["video_url"], "video_url", "invalid_video_url"),
        (inputs["music_url"], "music_url", "invalid_audio_url"),
    ]
