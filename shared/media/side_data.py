"""A frame's side data as bytes."""

from __future__ import annotations

from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame


def side_data(frame: VideoFrame, kind: SideDataType) -> bytes | None:
    """The first side data of one kind in libavutil's own layout, or None."""
    try:
        return bytes(frame.side_data[kind])
    except KeyError:
        return None
