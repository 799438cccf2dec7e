"""How long an assembly will probably take, from its request alone."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Final

from shared.media.join.look import RESOLUTIONS

# Measured with the scenes of bench/assembly.py; half the CPU seconds, as on two idle cores.
_TASK_SECONDS: Final = 1.0  # queue, claim, publish
_SCENE_SECONDS: Final = 0.3  # connect, measure
_COPY_SECONDS_PER_SECOND: Final = 0.002  # demux once, mux twice
_SOUND_SECONDS_PER_SECOND: Final = 0.03  # decode, stretch, AAC and MP3 side by side
_TRANSFER_SECONDS_PER_SECOND: Final = 0.15  # 5 Mbit/s of video at 100 Mbit/s: fetched once, published twice
_ENCODE_SECONDS_PER_SECOND: Final = {"low": 0.8, "medium": 0.9, "high": 1.4}  # 1080p at 30 frames a second
_1080P_PIXELS: Final = 1920 * 1080
_TYPICAL_SCENE_SECONDS: Final = 8.0
"""What generators of clips give out, where the request does not say."""


def estimate_seconds(
    scene_seconds: Sequence[float | None],
    audio_seconds: float | None,
    *,
    resolution: str | None = None,
    quality: str | None = None,
) -> int:
    """Whole seconds, at least 1, on an idle worker.

    Scenes are taken to be alike, and so copied, unless a resolution is asked for; nothing has been fetched yet.

    Args:
        scene_seconds: expected duration of each scene, None where unknown.
        audio_seconds: expected duration of the master audio; None for as long as the scenes.
        resolution: as in the request; None or `source` for no change.
        quality: as in the request.
    """
    picture = sum(_TYPICAL_SCENE_SECONDS if seconds is None else seconds for seconds in scene_seconds)
    sound = picture if audio_seconds is None else audio_seconds
    seconds = _TASK_SECONDS + _SCENE_SECONDS * len(scene_seconds)
    seconds += picture * _TRANSFER_SECONDS_PER_SECOND
    if resolution in RESOLUTIONS:
        width, height = RESOLUTIONS[resolution]
        rate = _ENCODE_SECONDS_PER_SECOND[quality or "high"]
        seconds += picture * rate * width * height / _1080P_PIXELS + sound * _SOUND_SECONDS_PER_SECOND
    else:
        seconds += max(picture * _COPY_SECONDS_PER_SECOND, sound * _SOUND_SECONDS_PER_SECOND)
    return max(1, ceil(seconds))
