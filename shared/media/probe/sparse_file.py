"""As much of a video as a plan needs: its index, the first samples, the key frames, and nothing between."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from shared.media.byte_file import Range
from shared.media.container import open_container
from shared.media.probe.hollow_file import HollowFile
from shared.media.source import ByteSource

FIRST_SAMPLES: Final = 24
"""Of each stream: more than decoders hold back before their first picture, and than libavformat looks at."""


def sparse_file(source: ByteSource, *, max_pixels: int, key_frames: bool) -> HollowFile:
    """A file of which an mp4 with an index shows the first samples of every stream, and the `key_frames` of its H.264,
    which may bring other parameter sets; the other samples read as zeros. Anything else is shown whole.

    Raises:
        LastFrameError: see `open_container`.
    """
    file = HollowFile(source)
    if file.is_hollow:
        with open_container(file, max_pixels=max_pixels, header_only=True) as container:
            shown = [run for stream in container.streams for run in _shown(stream, key_frames)]
        file.reveal(shown)
    return file


def _shown(stream: Any, key_frames: bool) -> Iterator[Range]:
    with_key_frames = key_frames and stream.codec_context is not None and stream.codec_context.name == "h264"
    for number, entry in enumerate(stream.index_entries):
        if number < FIRST_SAMPLES or (with_key_frames and entry.is_keyframe):
            yield entry.pos, entry.pos + entry.size
