"""Room in front of an mp4's samples for its index, so that playing can start before the end has arrived, no second pass
moves the file, and what was written behind it is final.

FFmpeg's movenc.c fills what is left with a `free` box, and fails at the end where the index does not fit (`moov_size`).
"""

from __future__ import annotations

from typing import Final

# The most that movenc.c writes: stsz 4, stsc 12, co64 8, stss 4, ctts 8. It gives no chunk an stsc entry like the one
# before, so that stsc and co64 stay below 14 together; the rest holds sdtp, 1, where pictures are disposable.
_BYTES_PER_SAMPLE: Final = 36
_BYTES_PER_TIME_RUN: Final = 8  # stts
_BYTES_FIXED: Final = 8192  # headers, edit lists, side data
_AAC_SAMPLES: Final = 1024
_AAC_ENDS: Final = 4  # packets of priming and padding


def index_bytes(frames: int, time_runs: int, extradata: bytes, sound_samples: int) -> int:
    """As many bytes as the index of a picture and its AAC sound can take.

    Args:
        frames: pictures.
        time_runs: how many runs of equal steps their decoding times make; `frames` is always enough.
        extradata: of the picture; empty where an encoder of ours is still to make it.
        sound_samples: per channel; 0 without sound.
    """
    samples = frames + (sound_samples // _AAC_SAMPLES + _AAC_ENDS if sound_samples else 0)
    return _BYTES_FIXED + len(extradata) + _BYTES_PER_SAMPLE * samples + _BYTES_PER_TIME_RUN * time_runs
