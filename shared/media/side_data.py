"""A frame's side data as bytes."""

from __future__ import annotations

from typing import Any

from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame


def _unnamed(kinds: type[SideDataType], number: object) -> Any:
    member: Any = object.__new__(kinds)
    member._name_, member._value_ = f"UNNAMED_{number}", number
    return member


# PyAV names fewer kinds than its FFmpeg attaches (EXIF of JPEG and TIFF pictures, the views of spatial video), and one
# without a name would make all of a frame's side data unreadable.
SideDataType._missing_ = classmethod(_unnamed)  # type: ignore[assignment, method-assign]


def side_data(frame: VideoFrame, kind: SideDataType) -> bytes | None:
    """The first side data of one kind in libavutil's own layout, or None."""
    held: Any = frame.side_data  # PyAV's stub describes only some of its keys
    try:
        return bytes(held[kind])
    except KeyError:
        return None
