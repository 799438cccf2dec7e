"""Join 2 to 10 videos into one mp4: the media step of `POST /api/v1/stitch`."""

from __future__ import annotations

from dataclasses import dataclass

from shared.errors import InvalidRequest
from shared.media.join.clip import read_clip
from shared.media.join.look import Wishes, read_wishes
from shared.media.join.movie import Output, write_join
from shared.media.join.plan import JoinPlan, plan_join
from shared.media.join.report import Copied, Reencoded, copied, reencoded
from shared.media.join.sound import clips_sound, clock_error_seconds, sound_shape
from shared.media.rates import SOUND_SECONDS_PER_SECOND, Estimate, aac_bytes, estimate, join_bytes, join_seconds
from shared.media.source import ByteSource
from shared.media.step import AcceleratorUse, StepContext

FILE_NAME = "stitched.mp4"
FEWEST_VIDEOS, MOST_VIDEOS = 2, 10


@dataclass(frozen=True)
class Planned:
    """What a stitch will do, known before it is done.

    Attributes:
        total_videos: how many inputs.
        total_duration: seconds of picture in all of them together.
        output_duration: seconds of the result; it differs where a re-encoded clip was brought to whole frames.
        frames: pictures in the result.
        copied: which inputs go through untouched.
        reencoded: which inputs do not, and why, in words.
        max_av_offset_ms: how far any clip's sound can be from its picture, compared with the clip itself.
        resolution: of the result as shown, `1920x1080`.
        warnings: sentences for a person.
    """

    total_videos: int
    total_duration: float
    output_duration: float
    frames: int
    copied: list[Copied]
    reencoded: list[Reencoded]
    max_av_offset_ms: float
    resolution: str
    warnings: list[str]


@dataclass(frozen=True)
class Stitched(Planned):
    """A stitch that was done: what `Planned` said, and the result.

    Attributes:
        file_name: in the scratch directory.
        output_file_size: bytes.
        accelerator: what re-encoded it on a GPU worker.
    """

    file_name: str
    output_file_size: int
    accelerator: AcceleratorUse | None = None


@dataclass(frozen=True)
class StitchPlan(Planned, Estimate):
    """What `Planned` says, and what it will cost."""


def plan(
    context: StepContext,
    sources: list[ByteSource],
    *,
    strategy: str = "auto",
    resolution: str | None = None,
    frame_rate: float | None = None,
    quality: str | None = None,
) -> StitchPlan:
    """What `stitch` would do, without writing anything, from as few bytes as tell. Raises what `stitch` raises."""
    joined = _plan(context, sources, read_wishes(strategy, resolution, frame_rate, quality), sparsely=True)
    shape = sound_shape(joined)
    sound = aac_bytes(round(joined.duration * shape.sample_rate), shape.sample_rate, shape.bitrate) if shape else 0
    cost = estimate(
        join_seconds(joined) + (float(joined.duration) * SOUND_SECONDS_PER_SECOND if shape else 0),
        sources=len(sources),
        fetched=sum(source.size_bytes or 0 for source in sources),
        stored=join_bytes(joined) + sound,
    )
    return StitchPlan(**vars(_planned(joined)), **vars(cost))


def stitch(
    context: StepContext,
    sources: list[ByteSource],
    *,
    strategy: str = "auto",
    resolution: str | None = None,
    frame_rate: float | None = None,
    quality: str | None = None,
) -> Stitched:
    """Join videos in order into `context.scratch / FILE_NAME`.

    Args:
        sources: 2 to 10, best local (each is read two or three times); errors carry their labels.
        strategy: `auto` copies the largest group of equal clips and encodes the rest to match; `copy` refuses to
            encode; `reencode` encodes everything.
        resolution, frame_rate, quality: see `read_wishes`.

    Raises:
        InvalidRequest: too few or too many videos, or an option that does not exist.
        ProcessingFailed: `clips_differ` under strategy `copy`.
        LastFrameError: a video that cannot be used; it names the input.
    """
    joined = _plan(context, sources, read_wishes(strategy, resolution, frame_rate, quality))
    warnings: list[str] = []
    sound = clips_sound(joined, warnings.append)
    path = context.scratch / FILE_NAME
    written = write_join(joined, [Output(path, with_sound=sound is not None)], context, sound)
    planned = _planned(joined)
    return Stitched(
        **{**vars(planned), "warnings": [*planned.warnings, *warnings, *written.warnings]},
        file_name=FILE_NAME,
        output_file_size=path.stat().st_size,
        accelerator=written.accelerator,
    )


def _plan(context: StepContext, sources: list[ByteSource], wishes: Wishes, *, sparsely: bool = False) -> JoinPlan:
    if len(sources) < FEWEST_VIDEOS:
        raise InvalidRequest("at least 2 videos are needed", word="too_few_videos", input_name="video_urls")
    if len(sources) > MOST_VIDEOS:
        raise InvalidRequest("at most 10 videos are allowed", word="too_many_videos", input_name="video_urls")
    clips = []
    for index, source in enumerate(sources):
        context.progress("reading", index / len(sources))
        clips.append(read_clip(index, source, context, sparsely=sparsely))
    return plan_join(clips, wishes)


def _planned(joined: JoinPlan) -> Planned:
    width, height = joined.display_size
    shape = sound_shape(joined)
    offset_seconds = clock_error_seconds(joined, shape.sample_rate) if shape else 0
    return Planned(
        total_videos=len(joined.parts),
        total_duration=round(float(sum(part.clip.duration for part in joined.parts)), 3),
        output_duration=round(float(joined.duration), 3),
        frames=joined.frames,
        copied=copied(joined),
        reencoded=reencoded(joined),
        max_av_offset_ms=round(float(offset_seconds) * 1000, 3),
        resolution=f"{width}x{height}",
        warnings=list(joined.warnings),
    )
