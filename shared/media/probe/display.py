"""How a stored picture is turned and stretched for display, as the header tells it."""

from __future__ import annotations

import re
from typing import Any, Final

import av.logging
from av.container import InputContainer

from shared.media.display import displayed_size, plausible_aspect

_STREAM_LINE: Final = re.compile(r"Stream #\d+:(\d+)")
_ROTATION: Final = re.compile(r"(?:Display Matrix|displaymatrix): rotation of (-?[\d.]+) degrees")


def display_resolution(stream: Any, rotation: int) -> str | None:
    """`WIDTHxHEIGHT` as displayed; None where the header does not say."""
    if stream is None or not stream.codec_context or not stream.codec_context.width:
        return None
    stored = stream.codec_context.width, stream.codec_context.height
    is_turned = rotation % 180 == 90
    aspect = plausible_aspect(*stored, stream.sample_aspect_ratio, is_turned=is_turned)
    width, height = displayed_size(*stored, aspect, is_turned=is_turned)
    return f"{width}x{height}"


def rotations(container: InputContainer) -> dict[int, int]:
    """The display matrix' angle by stream index: degrees counter-clockwise, 0-359, as FFmpeg and PyAV count them.

    PyAV shows a stream's display matrix only on decoded frames; FFmpeg's own summary of the header has it for free.
    The summary is a log message, so the log level is raised for that one call.
    """
    level = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)
    try:
        summary: str = container.dumps_format()  # type: ignore[attr-defined]  # missing from PyAV's stubs
    finally:
        av.logging.set_level(level)
    turns, index = {}, -1
    for line in summary.splitlines():
        if found := _STREAM_LINE.search(line):
            index = int(found[1])
        elif found := _ROTATION.search(line):
            turns[index] = round(float(found[1])) % 360
    return turns
