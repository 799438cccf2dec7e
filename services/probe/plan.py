"""How a length will be measured: from the header, from packets, or by decoding."""

from __future__ import annotations

from dataclasses import dataclass

from av.stream import Stream

from services.probe.length import MediaType, media_codec, media_type
from shared.errors import UnsupportedMedia
from shared.media.container import audio_streams, describe_streams, open_container, video_streams
from shared.media.probe.display import display_resolution, rotations
from shared.media.probe.hollow_file import HollowFile
from shared.media.probe.timeline import Method, foresee_method
from shared.media.rates import Estimate, estimate
from shared.media.source import ByteSource
from shared.media.step import StepContext


@dataclass(frozen=True)
class LengthPlan(Estimate):
    """What `MediaLength` will say, as far as a header tells it, and what it will cost; there is no result file."""

    media_type: MediaType
    media_format: str
    media_codec: str | None
    video_resolution: str | None
    file_size: int
    has_audio: bool
    duration_method: Method


def plan(context: StepContext, source: ByteSource) -> LengthPlan:
    """How `measure` would go about it.

    Raises:
        UnsupportedMedia: not a medium, or nothing in it has a length.
        LastFrameError: whatever the source raised.
    """
    file = HollowFile(source)
    with open_container(file, max_pixels=context.max_pixels, header_only=True) as container:
        videos, sounds = video_streams(container), audio_streams(container)
        streams: list[Stream] = [*videos, *sounds]
        if not streams and not container.duration:
            raise UnsupportedMedia(f"the file has no length; found: {describe_streams(container)}")
        turns = rotations(container) if videos else {}
        method, more_bytes = foresee_method(file, container, streams)
        return LengthPlan(
            **vars(estimate(0.0, sources=1, fetched=file.cost_bytes(more_bytes), stored=0)),
            media_type=media_type(container),
            media_format=container.format.name,
            media_codec=media_codec(container),
            video_resolution=display_resolution(videos[0], turns.get(videos[0].index, 0)) if videos else None,
            file_size=file.size_bytes,
            has_audio=bool(sounds),
            duration_method=method,
        )
