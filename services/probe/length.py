"""The media step of `POST /api/v1/length`: how long a medium is, and what it is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

import av
from av.container import InputContainer
from av.stream import Stream

from shared.errors import UnsupportedMedia
from shared.media.container import audio_streams, describe_streams, open_container, video_streams
from shared.media.pacing import declared_rate
from shared.media.probe.display import display_resolution, rotations
from shared.media.probe.hollow_file import HollowFile
from shared.media.probe.spans import Span
from shared.media.probe.timeline import Method, Timeline, measure_timeline
from shared.media.source import ByteSource
from shared.media.step import StepContext

MediaType = Literal["video", "audio", "unknown"]


@dataclass(frozen=True)
class StreamLength:
    """One audio or video stream: seconds on the container's timeline, None where the format does not say.

    Attributes:
        index: in the file; others (data, cover art) have theirs between.
        type: `video` or `audio`.
        codec: FFmpeg's name of it.
        start, duration: in seconds.
        language: as tagged, mostly three letters.
        resolution: `WIDTHxHEIGHT` as displayed; of video.
        sample_rate: Hz; of audio.
        channels: of audio.
    """

    index: int
    type: str
    codec: str | None
    start: float | None
    duration: float | None
    language: str | None = None
    resolution: str | None = None
    sample_rate: int | None = None
    channels: int | None = None


@dataclass(frozen=True)
class MediaLength:
    """What the length job answers; the fields carry the guide's names.

    Attributes:
        media_duration: seconds as presented (after edit lists and codec priming), to the millisecond.
        media_type: `video` if a moving picture is inside (cover art is none), else `audio`, else `unknown`.
        media_format: FFmpeg's name of the container.
        media_codec: of the first video stream, or the first audio stream of an audio file.
        media_bitrate: bits per second over the whole file.
        video_resolution: `WIDTHxHEIGHT` as displayed, rotation and sample aspect applied.
        media_sample_rate: Hz.
        file_size: bytes.
        duration_method: `container` (the header is exact), `packets` (read and counted), `decode`.
        container_duration: what the header says, where that is off by more than a millisecond.
        frame_rate: average frames per second.
        has_audio: whether a sound is inside.
        rotation: by which the stored picture is turned for display, in degrees counter-clockwise (FFmpeg's count).
        streams: the real audio and video streams.
    """

    media_duration: float
    media_type: MediaType
    media_format: str
    media_codec: str | None
    media_bitrate: int | None
    video_resolution: str | None
    media_sample_rate: int | None
    file_size: int
    duration_method: Method
    container_duration: float | None
    frame_rate: float | None
    has_audio: bool
    rotation: int
    streams: list[StreamLength] = field(default_factory=list)


def measure(context: StepContext, source: ByteSource) -> MediaLength:
    """Measure one medium.

    `context.max_duration_seconds` is not applied: saying how long a long medium is, is the purpose.

    Raises:
        UnsupportedMedia: not a medium, or one without a length; the detail says what was found.
        LastFrameError: whatever the source raises.
    """
    file = HollowFile(source)
    with open_container(file, max_pixels=context.max_pixels, header_only=True) as container:
        streams: list[Stream] = [*video_streams(container), *audio_streams(container)]
        timeline = measure_timeline(file, container, streams, lambda share: context.progress("measuring", share))
        if timeline.duration is None:
            raise UnsupportedMedia(f"the file has no length; found: {describe_streams(container)}")
        if all(display_resolution(stream, 0) for stream in video_streams(container)):
            return _answer(container, timeline, file.size_bytes)
    # Some codecs (MPEG-4 part 2) tell the picture's size in their samples only.
    with open_container(source, max_pixels=context.max_pixels) as container:
        return _answer(container, timeline, file.size_bytes)


def _answer(container: InputContainer, timeline: Timeline, size_bytes: int) -> MediaLength:
    videos, sounds = video_streams(container), audio_streams(container)
    video, sound = next(iter(videos), None), next(iter(sounds), None)
    turns = rotations(container) if video is not None else {}
    rotation = turns.get(video.index, 0) if video is not None else 0
    duration = timeline.duration or Fraction(0)
    return MediaLength(
        media_duration=float(round(duration, 3)),
        media_type=media_type(container),
        media_format=container.format.name,
        media_codec=media_codec(container),
        media_bitrate=round(size_bytes * 8 / duration) if duration else None,
        video_resolution=display_resolution(video, rotation),
        media_sample_rate=_sample_rate(sound),
        file_size=size_bytes,
        duration_method=timeline.method,
        container_duration=_differing(container.duration, duration),
        frame_rate=_frame_rate(video, timeline.spans.get(video.index)) if video is not None else None,
        has_audio=bool(sounds),
        rotation=rotation,
        streams=[
            _describe(stream, timeline.spans.get(stream.index), turns.get(stream.index, 0))
            for stream in (*videos, *sounds)
        ],
    )


def _describe(stream: Any, span: Span | None, rotation: int) -> StreamLength:
    length = span.length if span else None
    is_video = stream.type == "video"
    return StreamLength(
        index=stream.index,
        type=stream.type,
        codec=_codec(stream),
        start=_milliseconds(span.start if span else None),
        duration=_milliseconds(length),
        language=stream.language if stream.language != "und" else None,
        resolution=display_resolution(stream, rotation) if is_video else None,
        sample_rate=None if is_video else _sample_rate(stream),
        channels=None if is_video else stream.codec_context.channels or None,
    )


def media_type(container: InputContainer) -> MediaType:
    """By the streams; cover art is no moving picture."""
    return "video" if video_streams(container) else "audio" if audio_streams(container) else "unknown"


def media_codec(container: InputContainer) -> str | None:
    """Of the first video stream, or the first audio stream of an audio file."""
    return _codec(next(iter((*video_streams(container), *audio_streams(container))), None))


def _codec(stream: Any) -> str | None:
    """FFmpeg's name of the codec, not of one decoder for it (`av1`, not `libdav1d`)."""
    return stream.codec_context.codec.canonical_name if stream is not None and stream.codec_context else None


def _sample_rate(stream: Any) -> int | None:
    return stream.codec_context.sample_rate or None if stream is not None else None


def _frame_rate(stream: Any, span: Span | None) -> float | None:
    rate = declared_rate(stream) or (span.frame_rate if span else None)
    return round(float(rate), 3) if rate else None


def _differing(container_duration: int | None, true: Fraction) -> float | None:
    if container_duration is None:
        return None
    declared = Fraction(container_duration, av.time_base)
    return _milliseconds(declared) if abs(declared - true) > Fraction(1, 1000) else None


def _milliseconds(value: Fraction | None) -> float | None:
    return None if value is None else float(round(value, 3))
