"""The media step of a last-frame job: from a video's bytes to an image file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from shared.errors import InvalidRequest
from shared.media.final_frame import find_last_frame
from shared.media.picture import CONTENT_TYPES, displayed_picture, save_picture
from shared.media.source import ByteSource
from shared.media.step import StepContext

DEFAULT_QUALITY: Final = 95
"""High enough that the picture can start the next clip of an image-to-video model."""


@dataclass(frozen=True)
class LastFrame:
    """The image and the facts about it and its video; all values go into JSON as they are.

    Attributes:
        file_name: the image's name below the step's scratch directory.
        width, height: of the image, in pixels, as displayed (rotation and pixel aspect ratio applied).
        frame_index: 0-based among the displayed frames; None where only a full decode could tell.
        frame_pts: presentation time in seconds from the start of the medium.
        video_duration: seconds from the start of the medium to the end of the last frame.
        video_codec: FFmpeg's name of it.
        video_resolution: `WIDTHxHEIGHT` as displayed.
        file_size: bytes of the video, None while its server has not said.
        image_bytes: of the image file.
        sha256: of the image file, hexadecimal.
        method: how the frame was found: `last_gop`, `earlier_key_frame`, `full_decode`, `last_clean_frame` (the end is
            damaged, this is the last undamaged frame before) or `concealed` (the decoder guessed parts of it).
        warnings: one sentence for each thing that was not as it should be.
    """

    file_name: str
    content_type: str
    width: int
    height: int
    frame_index: int | None
    frame_pts: float
    video_duration: float
    video_codec: str
    video_resolution: str
    file_size: int | None
    image_bytes: int
    sha256: str
    method: str
    warnings: tuple[str, ...]


def extract(
    context: StepContext, source: ByteSource, *, image_format: str = "jpg", quality: int = DEFAULT_QUALITY
) -> LastFrame:
    """Write the last frame that a full decode of `source` displays into `context.scratch`.

    Args:
        image_format: `jpg`, `png` (lossless) or `webp`.
        quality: 1-100, for jpg and webp.

    Raises:
        InvalidRequest: an unknown format or a quality out of range.
        UnsupportedMedia, LimitExceeded: see `find_last_frame`.
        LastFrameError: whatever the source raised.
    """
    if image_format not in CONTENT_TYPES:
        raise InvalidRequest(f"image_format must be one of {', '.join(CONTENT_TYPES)}", input_name="image_format")
    if not 1 <= quality <= 100:
        raise InvalidRequest("quality must be between 1 and 100", input_name="quality")
    found = find_last_frame(
        source,
        max_pixels=context.max_pixels,
        max_duration_seconds=context.max_duration_seconds,
        threads=context.threads,
        progress=context.progress,
    )
    context.progress("encoding", 0.9)
    picture = displayed_picture(found.frame, found.sample_aspect_ratio, max_pixels=context.max_pixels)
    path = context.scratch / f"last_frame.{image_format}"
    save_picture(picture, path, image_format=image_format, quality=quality)
    image = path.read_bytes()
    context.progress("encoding", 1.0)
    return LastFrame(
        file_name=path.name,
        content_type=CONTENT_TYPES[image_format],
        width=picture.width,
        height=picture.height,
        frame_index=found.frame_index,
        frame_pts=round(found.pts_seconds, 6),
        video_duration=round(found.end_seconds, 6),
        video_codec=found.codec,
        video_resolution=f"{picture.width}x{picture.height}",
        file_size=source.size_bytes,
        image_bytes=len(image),
        sha256=hashlib.sha256(image).hexdigest(),
        method=found.method,
        warnings=found.warnings + picture.warnings,
    )
