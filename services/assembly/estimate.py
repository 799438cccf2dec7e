"""How long an assembly will probably take, from its request alone."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Final

from shared.media.join.look import RESOLUTIONS
from shared.media.rates import (
    COPY_SECONDS_PER_SECOND,
    ENCODE_SECONDS_PER_SECOND,
    FULL_HD_PIXELS,
    SOUND_SECONDS_PER_SECOND,
    SOURCE_SECONDS,
    TASK_SECONDS,
    TRANSFER_SECONDS_PER_BYTE,
)

_TRANSFER_SECONDS_PER_SECOND: Final = TRANSFER_SECONDS_PER_BYTE * 5e6 / 8 * 3
"""5 Mbit/s of video: fetched once, published twice."""
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
    seconds = TASK_SECONDS + SOURCE_SECONDS * len(scene_seconds)
    seconds += picture * _TRANSFER_SECONDS_PER_SECOND
    if resolution in RESOLUTIONS:
        width, height = RESOLUTIONS[resolution]
        rate = ENCODE_SECONDS_PER_SECOND[quality or "high"]
        seconds += picture * rate * width * height / FULL_HD_PIXELS + sound * SOUND_SECONDS_PER_SECOND
    else:
        seconds += max(picture * COPY_SECONDS_PER_SECOND, sound * SOUND_SECONDS_PER_SECOND)
    return max(1, ceil(seconds))
