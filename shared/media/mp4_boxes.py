"""Where an ISO base media (mp4, mov, m4a, 3gp) file keeps its index and its samples.

Box layout: ISO/IEC 14496-12 section 4.2 (32-bit size, four letters, 64-bit size when the first is 1, to the end of
the file when it is 0).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from shared.media.byte_file import FIRST_WINDOW_BYTES, ByteFile, Range

_FIRST_BOXES: Final = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"uuid"})
_LARGEST_TAIL_BYTES: Final = 32 * 1024 * 1024
_LARGEST_MOOV_BYTES: Final = 64 * 1024 * 1024
_MOST_BOXES: Final = 64
_NEXT_HEADER_BYTES: Final = 64
"""Fetched with the moov: the demuxer looks at the header behind it, which would cost a request of its own."""


@dataclass(frozen=True)
class Mp4Layout:
    """The outline of one file.

    Attributes:
        samples: the `mdat` ranges seen on the way to the index.
        fragmented: the index announces movie fragments (`mvex`), so it does not list all samples.
        indexed: a complete `moov` was found.
    """

    samples: tuple[Range, ...]
    fragmented: bool
    indexed: bool


def read_layout(file: ByteFile) -> Mp4Layout | None:
    """Walk the top-level boxes and bring the whole `moov` into the cache, in one or two requests.

    Returns:
        None where the bytes do not begin like such a file.
    """
    head = file.bytes_at(0, FIRST_WINDOW_BYTES)
    if head[4:8] not in _FIRST_BOXES:
        return None
    size_bytes = file.size_bytes
    samples: list[Range] = []
    offset = 0
    for _ in range(_MOST_BOXES):
        box = _box_at(file, offset, size_bytes)
        if box is None:
            break
        kind, body, end = box
        if kind == b"moov":
            if end > size_bytes or end - offset > _LARGEST_MOOV_BYTES:
                break
            moov = file.bytes_at(offset, end - offset + _NEXT_HEADER_BYTES)[: end - offset]
            fragmented = any(child == b"mvex" for child in _children(moov, body - offset))
            # A faststart file's samples follow at once; their box header came with the moov.
            samples += _mdat_behind(file, end, size_bytes)
            return Mp4Layout(tuple(samples), fragmented, indexed=True)
        if kind == b"moof":
            return Mp4Layout(tuple(samples), fragmented=True, indexed=False)
        if kind == b"mdat":
            samples.append((body, min(end, size_bytes)))
            tail_bytes = size_bytes - end
            if 0 < tail_bytes <= _LARGEST_TAIL_BYTES:
                file.bytes_at(end, tail_bytes)
        offset = end
    return Mp4Layout(tuple(samples), fragmented=False, indexed=False)


def _mdat_behind(file: ByteFile, offset: int, size_bytes: int) -> list[Range]:
    """The `mdat` that follows the index, over small boxes such as `free`, without walking far."""
    for _ in range(4):
        box = _box_at(file, offset, size_bytes)
        if box is None:
            break
        kind, body, end = box
        if kind == b"mdat":
            return [(body, min(end, size_bytes))]
        if end - offset > FIRST_WINDOW_BYTES:
            break
        offset = end
    return []


def _box_at(file: ByteFile, offset: int, size_bytes: int) -> tuple[bytes, int, int] | None:
    """`(kind, start of the body, end)` of the box at `offset`, or None where there is none."""
    header = file.bytes_at(offset, 16) if offset + 8 <= size_bytes else b""
    if len(header) < 8:
        return None
    length, kind = struct.unpack(">I4s", header[:8])
    body = offset + 8
    if length == 1 and len(header) == 16:
        (length,) = struct.unpack(">Q", header[8:])
        body = offset + 16
    elif length == 0:
        length = size_bytes - offset
    return (kind, body, offset + length) if length >= body - offset else None


def _children(box: bytes, offset: int) -> Iterator[bytes]:
    while offset + 8 <= len(box):
        length, kind = struct.unpack(">I4s", box[offset : offset + 8])
        yield kind
        if length < 8:
            return
        offset += length
