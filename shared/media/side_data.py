"""A frame's side data as bytes."""

from __future__ import annotations

from typing import Any

from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame


def side_data(frame: VideoFrame, kind: SideDataType) -> bytes | None:
    """The first side data of one kind in libavutil's own layout, or None."""
    held: Any = frame.side_data  # PyAV's stub describes only some of its keys
    try:
        return bytes(held[kind])
    except KeyError:
        return None
