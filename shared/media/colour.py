"""From a decoded frame's colours to what a browser takes an untagged picture for: sRGB, 8 bits, full range.

Rules for missing tags: BT.709 from 1280 pixels of width or more than 576 lines, else BT.601 (as players do); limited
range unless the pixel format says full. HDR and wide gamuts are brought to SDR by `shared.media.tone_map`.
"""

from __future__ import annotations

from typing import Any, Final

import av.error
import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, ColorTrc, Interpolation

from shared.errors import UnsupportedMedia
from shared.media import tone_map

Pixels = npt.NDArray[np.uint8]

# AVColorSpace numbers (ITU-T H.273 MatrixCoefficients).
_MATRIX_BT709: Final = 1
_MATRIX_UNSPECIFIED: Final = frozenset({2, 3})
_MATRIX_BT601: Final = 6
_MATRIX_YCGCO: Final = 8
_MATRIX_BT2020: Final = 9
_MATRIX_HIGHEST_CONVERTED: Final = 9

# Full chroma interpolation and exact rounding: the default shortcuts repeat chroma samples, which shows on red edges.
_SCALING: Final = Interpolation.BICUBIC | Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND

_HDR_TRANSFERS: Final = {int(ColorTrc.SMPTE2084): "pq", int(ColorTrc.ARIB_STD_B67): "hlg"}
_WIDE_PRIMARIES: Final = {int(ColorPrimaries.BT2020): "bt2020", int(ColorPrimaries.SMPTE432): "p3"}


def to_srgb(frame: VideoFrame, width: int, height: int) -> Pixels:
    """The frame as sRGB, scaled to `width` x `height` pixels.

    Returns:
        `(height, width, 3)`, or `(height, width, 4)` where some pixel is not opaque.

    Raises:
        UnsupportedMedia: a pixel format that nothing here converts (float and some big-endian ones).
    """
    _complete_tags(frame)
    transfer = _HDR_TRANSFERS.get(int(frame.color_trc))
    primaries = _WIDE_PRIMARIES.get(int(frame.color_primaries))
    if transfer is not None:
        deep = _reformat(frame, width, height, "rgb48le")
        return tone_map.hdr_to_srgb(deep, transfer, primaries or "bt2020", tone_map.peak_nits(frame))
    if primaries is not None:
        return tone_map.wide_to_srgb(_reformat(frame, width, height, "rgb48le"), primaries)
    if int(frame.colorspace) == _MATRIX_YCGCO:
        return _from_ycgco(frame, width, height)
    if frame.format.name == "pal8" or any(component.is_alpha for component in frame.format.components):
        pixels: Pixels = _reformat(frame, width, height, "rgba")
        return pixels if (pixels[..., 3] < 255).any() else pixels[..., :3]
    return _reformat(frame, width, height, "rgb24")


def _complete_tags(frame: VideoFrame) -> None:
    if int(frame.colorspace) in _MATRIX_UNSPECIFIED:
        is_hd = frame.width >= 1280 or frame.height > 576
        frame.colorspace = _MATRIX_BT709 if is_hd else _MATRIX_BT601
    elif int(frame.colorspace) > _MATRIX_HIGHEST_CONVERTED:
        # swscale has no constant-luminance and no ICtCp matrix; BT.2020's, with which they are used, is the nearest.
        frame.colorspace = _MATRIX_BT2020
    if int(frame.color_range) == ColorRange.UNSPECIFIED and frame.format.name.startswith("yuv"):
        is_full = frame.format.name.startswith("yuvj")
        frame.color_range = ColorRange.JPEG if is_full else ColorRange.MPEG


def _from_ycgco(frame: VideoFrame, width: int, height: int) -> Pixels:
    """By ITU-T H.273, equations 50 to 53; swscale has no such matrix."""
    frame.colorspace = _MATRIX_BT709  # any, so that the planes only change their range
    planes = np.moveaxis(_reformat(frame, width, height, "yuv444p16le"), -1, 0).astype(np.float32) / 65535
    luma, green, orange = planes[0], planes[1] - 32768 / 65535, planes[2] - 32768 / 65535
    rgb = np.stack([luma - green + orange, luma + green, luma - green - orange], axis=-1)
    pixels: Pixels = np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8)
    return pixels


def _reformat(frame: VideoFrame, width: int, height: int, pixel_format: str) -> npt.NDArray[Any]:
    try:
        scaled = frame.reformat(
            width=width,
            height=height,
            format=pixel_format,
            interpolation=_SCALING,
            dst_color_range=ColorRange.JPEG,
            threads=1,
        )
    except (av.error.FFmpegError, ValueError) as error:
        raise UnsupportedMedia(f"pictures in the pixel format {frame.format.name} cannot be converted") from error
    return scaled.to_ndarray()
