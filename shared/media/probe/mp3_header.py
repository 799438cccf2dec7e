"""Whether an mp3's first frame counts the others.

Layouts: MPEG-1/2 frame header (ISO/IEC 11172-3 2.4.1.3), ID3v2.4 section 3.1, the Xing/Info header of LAME and Xing,
and Fraunhofer's VBRI, which stands 32 bytes behind the frame header.
"""

from __future__ import annotations

import struct
from typing import Final

from shared.media.byte_file import ByteFile

_HAS_FRAMES: Final = 0x1
_HAS_BYTES: Final = 0x2
_FIRST_FRAME_BYTES: Final = 4096
_TOLERATED_SHARE: Final = 0.02
"""Tags behind the audio (ID3v1, APE) are not in the header's byte count; files cut short or glued together are."""


def counts_its_frames(file: ByteFile) -> bool:
    """Whether a Xing, Info or VBRI header gives the number of frames, and its byte count fits this file.

    A byte count that misses the file's size by more than 2 % tells of an mp3 cut short or of two glued together, whose
    header is then a lie. Without a byte count the header is believed.
    """
    offset = 0
    while (tag := file.bytes_at(offset, 10))[:3] == b"ID3" and len(tag) == 10:
        size = (tag[6] & 0x7F) << 21 | (tag[7] & 0x7F) << 14 | (tag[8] & 0x7F) << 7 | tag[9] & 0x7F
        offset += 10 + size + (10 if tag[5] & 0x10 else 0)
    head = file.bytes_at(offset, _FIRST_FRAME_BYTES)
    sync = next((i for i in range(len(head) - 4) if head[i] == 0xFF and head[i + 1] & 0xE0 == 0xE0), None)
    if sync is None:
        return False
    frame = head[sync:]
    counted = _xing(frame) or _vbri(frame)
    if counted is None:
        return False
    frames, stream_bytes = counted
    actual = file.size_bytes - offset - sync
    fits = stream_bytes == 0 or abs(actual - stream_bytes) <= max(4096, _TOLERATED_SHARE * actual)
    return frames > 0 and fits


def _xing(frame: bytes) -> tuple[int, int] | None:
    """`(frames, bytes)`, 0 for what is not said."""
    is_mpeg1, is_mono = frame[1] & 0x18 == 0x18, frame[3] & 0xC0 == 0xC0
    at = 4 + ((17 if is_mono else 32) if is_mpeg1 else (9 if is_mono else 17))
    if frame[at : at + 4] not in (b"Xing", b"Info") or len(frame) < at + 16:
        return None
    flags, first, second = struct.unpack(">III", frame[at + 4 : at + 16])
    frames = first if flags & _HAS_FRAMES else 0
    stream_bytes = (second if flags & _HAS_FRAMES else first) if flags & _HAS_BYTES else 0
    return frames, stream_bytes


def _vbri(frame: bytes) -> tuple[int, int] | None:
    if frame[36:40] != b"VBRI" or len(frame) < 54:
        return None
    stream_bytes, frames = struct.unpack(">II", frame[46:54])
    return frames, stream_bytes
