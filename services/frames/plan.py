"""How the last frame will be found, and what of the video that takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from av.container import InputContainer
from av.video.stream import VideoStream

from services.frames.last_frame import DEFAULT_QUALITY
from shared.media.container import first_video_stream, open_container
from shared.media.final_frame import TRUSTED_KEY_FRAMES, declared_seconds
from shared.media.frame_search import refuse_larger, refuse_longer
from shared.media.probe.display import display_resolution, rotations
from shared.media.probe.hollow_file import HollowFile
from shared.media.probe.timeline import measure_timeline
from shared.media.rates import Estimate, decode_seconds, estimate, image_bytes
from shared.media.source import ByteSource
from shared.media.step import StepContext

_TAIL_SECONDS: Final = 6.0
"""Where there is no index: a group of pictures or two."""


@dataclass(frozen=True)
class LastFramePlan(Estimate):
    """What `LastFrame` will say, as far as a header tells it, and what it will cost.

    Attributes:
        method: `last_gop` where the last group of pictures should be enough, `full_decode` where nothing less is;
            damage may yet ask for more.
        frame_index: None where only the packets can tell.
    """

    media_format: str
    video_codec: str
    video_resolution: str | None
    video_duration: float | None
    frame_index: int | None
    file_size: int
    method: str


def plan(
    context: StepContext, source: ByteSource, *, image_format: str = "jpg", quality: int = DEFAULT_QUALITY
) -> LastFramePlan:
    """How `extract` would go about it. Raises what it raises, as far as a header tells."""
    file = HollowFile(source)
    with open_container(file, max_pixels=context.max_pixels, header_only=True) as container:
        stream = first_video_stream(container)
        refuse_larger(stream, context.max_pixels)
        pixels = stream.codec_context.width * stream.codec_context.height
        refuse_longer(declared_seconds(container), context.max_duration_seconds)
        shown = [entry for entry in stream.index_entries if not entry.is_discard] if file.is_hollow else []
        resolution = display_resolution(stream, rotations(container).get(stream.index, 0))
        from_the_end = stream.codec_context.codec.canonical_name in TRUSTED_KEY_FRAMES.split()
        sample_bytes, frames = _last_group(file, container, stream) if from_the_end else (file.size_bytes, None)
        frames = frames or (len(shown) or 1)
        cost = estimate(
            decode_seconds(frames * pixels),
            sources=1,
            fetched=file.cost_bytes(sample_bytes),
            stored=image_bytes(pixels, image_format, quality),
        )
        return LastFramePlan(
            **vars(cost),
            media_format=container.format.name,
            video_codec=stream.codec_context.codec.canonical_name,
            video_resolution=resolution,
            video_duration=_duration(file, container, stream),
            frame_index=len(shown) - 1 if shown else None,
            file_size=file.size_bytes,
            method="last_gop" if from_the_end else "full_decode",
        )


def _last_group(file: HollowFile, container: InputContainer, stream: VideoStream) -> tuple[int, int | None]:
    """Bytes and pictures of the last group; without an index a guess at the bytes."""
    entries = list(stream.index_entries) if file.is_hollow else []
    starts = [number for number, entry in enumerate(entries) if entry.is_keyframe]
    if starts:
        group = entries[starts[-1] :]
        return sum(entry.size for entry in group), len(group)
    seconds = (container.duration or 0) / 1_000_000
    return round(file.size_bytes * min(1.0, _TAIL_SECONDS / seconds)) if seconds else file.size_bytes, None


def _duration(file: HollowFile, container: InputContainer, stream: VideoStream) -> float | None:
    """Seconds; exact by the sample tables of an mp4, else as the header says."""
    if file.is_hollow:
        measured = measure_timeline(file, container, [stream], lambda share: None).duration
        return None if measured is None else float(measured)
    return container.duration / 1_000_000 if container.duration else None
