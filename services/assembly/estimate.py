"""How long an assembly will probably take, from its request alone."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Final

from shared.media.join.look import RESOLUTIONS
from shared.media.rates import COPY_SECONDS_PER_SECOND, SOUND_SECONDS_PER_SECOND, encode_seconds, estimate

# What generators of clips give out, where the request does not say.
_TYPICAL_BYTES_PER_SECOND: Final = 5e6 / 8
_TYPICAL_FRAME_RATE: Final = 30
_TYPICAL_SCENE_SECONDS: Final = 8.0


def estimate_seconds(
    scene_seconds: Sequence[float | None],
    audio_seconds: float | None,
    *,
    resolution: str | None = None,
    quality: str | None = None,
) -> int:
    """Whole seconds on an idle worker.

    Scenes are taken to be alike, and so copied, unless a resolution is asked for; nothing has been fetched yet.

    Args:
        scene_seconds: expected duration of each scene, None where unknown.
        audio_seconds: expected duration of the master audio; None for as long as the scenes.
        resolution: as in the request; None or `source` for no change.
        quality: as in the request.
    """
    picture = sum(_TYPICAL_SCENE_SECONDS if seconds is None else seconds for seconds in scene_seconds)
    sound = picture if audio_seconds is None else audio_seconds
    if resolution in RESOLUTIONS:
        width, height = RESOLUTIONS[resolution]
        work = encode_seconds(picture * _TYPICAL_FRAME_RATE * width * height, quality or "high")
    else:
        work = picture * COPY_SECONDS_PER_SECOND
    video_bytes = round(picture * _TYPICAL_BYTES_PER_SECOND)
    cost = estimate(
        max(work, sound * SOUND_SECONDS_PER_SECOND),  # the two run side by side
        sources=len(scene_seconds) + 1,
        fetched=video_bytes,
        stored=2 * video_bytes,
    )
    return ceil(cost.estimated_seconds)
