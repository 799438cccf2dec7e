"""A decoded frame as the picture that a viewer sees, and as an image file."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame
from PIL import Image

from shared.errors import LimitExceeded
from shared.media.colour import Pixels, to_srgb
from shared.media.display import displayed_size, plausible_aspect
from shared.media.side_data import side_data

_LARGEST_SIDE: Final = {"jpg": 65500, "png": 2**31 - 1, "webp": 16383}
CONTENT_TYPES: Final = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}


@dataclass(frozen=True)
class Orientation:
    """How stored pixels are turned for display: first transposed, then mirrored."""

    transposed: bool = False
    mirrored_horizontally: bool = False
    mirrored_vertically: bool = False
    exact: bool = True
    """False where the file asks for an angle between the right ones; the nearest is taken."""

    @classmethod
    def of(cls, frame: VideoFrame) -> Orientation:
        """By the display matrix (ISO/IEC 14496-12 section 8.3.2): x' = a*x + c*y, y' = b*x + d*y."""
        data = side_data(frame, SideDataType.DISPLAYMATRIX)
        if data is None:
            return cls()
        a, b, _, c, d = struct.unpack_from("=5i", data)
        transposed = abs(b) + abs(c) > abs(a) + abs(d)
        horizontal, vertical = (c, b) if transposed else (a, d)
        rest = abs(a) + abs(d) if transposed else abs(b) + abs(c)
        return cls(transposed, horizontal < 0, vertical < 0, exact=rest * 50 < abs(horizontal) + abs(vertical))

    def apply(self, pixels: Pixels) -> Pixels:
        turned = pixels.transpose(1, 0, 2) if self.transposed else pixels
        if self.mirrored_horizontally:
            turned = turned[:, ::-1]
        return turned[::-1] if self.mirrored_vertically else turned


@dataclass(frozen=True)
class Picture:
    """Pixels as displayed (sRGB; a fourth channel where some are transparent), with what had to be left out."""

    pixels: Pixels
    warnings: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])


def displayed_picture(frame: VideoFrame, sample_aspect_ratio: Fraction, *, max_pixels: int) -> Picture:
    """The frame in sRGB, turned by its display matrix, its width corrected by the sample aspect ratio.

    Of a frame that is displayed on its side it is the stored height that is scaled: see `shared/media/display.py`.
    """
    warnings = []
    orientation = Orientation.of(frame)
    if not orientation.exact:
        warnings.append("the video is rotated by an angle between the right ones; the nearest right angle was taken")
    turned, stored = orientation.transposed, (frame.width, frame.height)
    aspect = plausible_aspect(*stored, sample_aspect_ratio, is_turned=turned, max_pixels=max_pixels)
    if aspect != sample_aspect_ratio and sample_aspect_ratio > 0:
        warnings.append(f"the file's pixel aspect ratio {sample_aspect_ratio} is absurd and was ignored")
    width, height = displayed_size(*stored, aspect, is_turned=turned)
    pixels = to_srgb(frame, *((height, width) if turned else (width, height)))
    return Picture(np.ascontiguousarray(orientation.apply(pixels)), tuple(warnings))


def save_picture(picture: Picture, path: Path, *, image_format: str, quality: int) -> None:
    """Write a `jpg` (4:4:4: the picture is meant to be fed to models, which see chroma at full resolution), a lossless
    `png` or a `webp`. JPEG has no transparency: the picture is laid over black, as players do.

    Raises:
        LimitExceeded: the format cannot hold a picture this large.
    """
    if max(picture.width, picture.height) > _LARGEST_SIDE[image_format]:
        raise LimitExceeded(
            f"a {image_format} image cannot be {picture.width}x{picture.height} pixels large; ask for png",
            word="too_many_pixels",
        )
    image = Image.fromarray(picture.pixels)
    if image_format == "jpg":
        if image.mode == "RGBA":
            image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image).convert("RGB")
        image.save(path, "JPEG", quality=quality, subsampling=0)
    elif image_format == "png":
        image.save(path, "PNG", compress_level=4)
    else:
        image.save(path, "WEBP", quality=quality, method=4)
