"""What one search for a last frame knows of its medium, and what it answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction

from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from shared.errors import LimitExceeded
from shared.media.byte_file import ByteFile
from shared.media.container import first_video_stream, only, open_container
from shared.media.limits import DURATION_GRACE_SECONDS
from shared.media.pacing import last_picture_ticks
from shared.media.step import Progress


@dataclass(frozen=True)
class FinalFrame:
    """The last frame as decoded, before any conversion, and how it was found.

    Attributes:
        frame: in the video's native pixel format, with its colour tags and display matrix.
        sample_aspect_ratio: width to height of one pixel; 1 where the file does not say.
        pts_seconds: presentation time from the start of the medium (0 is the first thing presented).
        end_seconds: where the frame's own duration ends.
        frame_index: 0-based among the displayed frames; None where only a full decode could tell.
        method: `last_gop`, `earlier_key_frame`, `full_decode`, `last_clean_frame` (the end is damaged beyond decoding,
            this is the last frame before) or `concealed` (the decoder guessed parts of the picture).
        warnings: one sentence for each thing that was not as it should be.
    """

    frame: VideoFrame
    codec: str
    sample_aspect_ratio: Fraction
    pts_seconds: float
    end_seconds: float
    frame_index: int | None
    method: str
    warnings: tuple[str, ...]


@dataclass
class FrameSearch:
    """One medium, opened afresh for every attempt; the bytes stay cached in `file`."""

    file: ByteFile
    is_indexed: bool
    max_pixels: int
    max_duration_seconds: float | None
    threads: int
    progress: Progress
    is_damaged: bool = False
    warnings: list[str] = field(default_factory=list)
    displayed_frames: int | None = None

    @contextmanager
    def opened(
        self, *, strict: bool, threads: int, hold_samples: bool = False
    ) -> Iterator[tuple[InputContainer, VideoStream]]:
        with open_container(self.file, max_pixels=self.max_pixels, header_only=hold_samples) as container:
            stream = first_video_stream(container)
            only(container, [stream])
            refuse_larger(stream, self.max_pixels)
            decoder = stream.codec_context
            decoder.options = {"max_pixels": str(self.max_pixels)} | ({"err_detect": "explode"} if strict else {})
            decoder.thread_type = "AUTO"
            decoder.thread_count = threads
            yield container, stream

    def found(
        self, container: InputContainer, stream: VideoStream, frame: VideoFrame, method: str, *, turn: int | None
    ) -> FinalFrame:
        """`turn` is the picture's time in ticks where the container has no presentation times, else None."""
        tick = stream.time_base or Fraction(1, 90000)
        pts = frame.pts if turn is None else turn
        pts_seconds = float((pts or 0) * tick) - origin_seconds(container)
        ticks = last_picture_ticks(container.format.name, stream, pts or 0, frame.duration or 0) or frame.duration
        duration_seconds = float(ticks * tick)
        if not duration_seconds and stream.average_rate:
            duration_seconds = float(1 / stream.average_rate)
        end_seconds = pts_seconds + duration_seconds
        self.refuse_longer(end_seconds)
        aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
        return FinalFrame(
            frame=frame,
            codec=stream.codec_context.codec.canonical_name,
            sample_aspect_ratio=Fraction(aspect) if aspect else Fraction(1),
            pts_seconds=pts_seconds,
            end_seconds=end_seconds,
            frame_index=None if self.displayed_frames is None else self.displayed_frames - 1,
            method=method,
            warnings=tuple(self.warnings),
        )

    def refuse_longer(self, seconds: float) -> None:
        refuse_longer(seconds, self.max_duration_seconds)


def refuse_longer(seconds: float, limit_seconds: float | None) -> None:
    """Raises `LimitExceeded` for a medium of so many seconds; None is no limit."""
    if limit_seconds is not None and seconds > limit_seconds + DURATION_GRACE_SECONDS:
        raise LimitExceeded(
            f"the medium lasts {seconds:.1f} s; at most {limit_seconds:g} s are allowed", word="duration_too_long"
        )


def refuse_larger(stream: VideoStream, max_pixels: int) -> None:
    """Raises `LimitExceeded` for pictures of more pixels."""
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > max_pixels:
        raise LimitExceeded(
            f"the video is {width}x{height}; at most {max_pixels} pixels are allowed", word="too_many_pixels"
        )


def is_mov(container: InputContainer) -> bool:
    """Whether the container is mp4, mov or one of their kin."""
    return "mov" in container.format.name.split(",")


def origin_seconds(container: InputContainer) -> float:
    """Where the presentation starts. In mp4 and mov it is 0, whatever starts first; elsewhere the header tells."""
    if is_mov(container) or container.start_time is None:
        return 0.0
    return container.start_time / 1_000_000
