"""Where to stand, in bytes, to read the end of a medium whose container has no index by time."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from shared.media.byte_file import ByteFile

SEEKS_BY_BYTE: Final = frozenset({"mpeg", "flv"})
"""A program stream finds its next packet from anywhere; FLV's tags can be walked from the end."""

_BACK_BYTES: Final = tuple(1024 * 1024 << shift for shift in (0, 2, 4, 6))
_FLV_HEADER_BYTES: Final = 13
_FLV_LARGEST_TAG_BYTES: Final = 16 * 1024 * 1024 + 11
_FLV_VIDEO: Final = 9
_FLV_GROUPS: Final = 2
"""One group of pictures to decode, and the one in front in case that proves nothing."""
_AVC: Final = 7


def positions_from_the_end(file: ByteFile, format_name: str) -> Iterator[int]:
    """Byte positions to read from, each further from the end than the one before; none in the file's first part."""
    size = file.size_bytes
    if format_name == "flv":
        yield from _flv_groups(file)
    else:
        yield from (size - back for back in _BACK_BYTES if back < size // 2)


def _flv_groups(file: ByteFile) -> Iterator[int]:
    """Every second key frame's tag from the end. Without video, the tags a MiB from the end.

    Layout: Adobe Flash Video File Format 10.1, annex E: a tag has an 11-byte header and is followed by its own size;
    Enhanced RTMP v2 for codecs by four letters.
    """
    keys, walked_bytes, has_video = 0, 0, False
    end = file.size_bytes
    window = end
    while end > _FLV_HEADER_BYTES:
        if end - window < 4 + 16:
            window = max(0, end - _BACK_BYTES[0])
            file.bytes_at(window, end - window)
        (tag_bytes,) = struct.unpack(">I", file.bytes_at(end - 4, 4))
        start = end - 4 - tag_bytes
        if not (11 <= tag_bytes <= _FLV_LARGEST_TAG_BYTES and start >= _FLV_HEADER_BYTES):
            return
        while start < window:
            window = max(0, window - _BACK_BYTES[0])
            file.bytes_at(window, _BACK_BYTES[0])
        head = file.bytes_at(start, 13)
        if int.from_bytes(head[1:4], "big") + 11 != tag_bytes:
            return
        has_video = has_video or head[0] & 0x1F == _FLV_VIDEO
        walked_bytes += tag_bytes + 4
        if head[0] & 0x1F == _FLV_VIDEO and _is_key_picture(head[11], head[12]):
            keys += 1
            if keys % _FLV_GROUPS == 0:
                yield start
        elif not has_video and walked_bytes >= _BACK_BYTES[0]:
            walked_bytes = 0
            yield start
        end = start


def _is_key_picture(first: int, second: int) -> bool:
    """Of a video tag's first two bytes; sequence headers are flagged as key frames, too, and are none."""
    is_key = first >> 4 & 0x7 == 1
    if first & 0x80:
        return is_key and first & 0xF != 0
    return is_key and (first & 0xF != _AVC or second == 1)
