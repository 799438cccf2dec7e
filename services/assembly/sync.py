"""How the master audio is made as long as the picture: decided before a sample is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal

from shared.errors import InvalidRequest, ProcessingFailed

SyncMode = Literal["stretch_to_fit", "trim", "pad", "none"]
SYNC_MODES: Final[tuple[SyncMode, ...]] = ("stretch_to_fit", "trim", "pad", "none")

SLOWEST, FASTEST = Fraction(1, 2), Fraction(2)
"""Speech stays intelligible between these tempos; outside them audio and scenes do not belong together."""

CLOSE_ENOUGH_SECONDS: Final = Fraction(1, 100)
"""Up to here a few samples are cut or added at the end instead: inaudible, and every other sample stays untouched."""


@dataclass(frozen=True)
class SyncPlan:
    """What happens to the master audio.

    Attributes:
        samples: how many the result has; in mode `none` an estimate, elsewhere exact.
        is_exact: whether the result is cut or filled to `samples`.
        tempo: playing speed, pitch kept; 1 leaves the samples as they are.
        warning: what the mode's name does not promise, in words.
    """

    samples: int
    is_exact: bool
    tempo: Fraction
    warning: str | None

    @property
    def stretch_ratio(self) -> float:
        """New length over old: above 1 the audio became slower."""
        return round(float(1 / self.tempo), 6)


def plan_sync(mode: str, audio_seconds: Fraction, picture_seconds: Fraction, sample_rate: int) -> SyncPlan:
    """Decide by `audio_sync_mode`.

    - `stretch_to_fit`: the tempo is changed so that the whole audio lasts as long as the picture.
    - `trim`: what is longer than the picture is cut. Shorter audio is followed by silence, with a warning.
    - `pad`: shorter audio is followed by silence. What is longer is cut, with a warning.
    - `none`: the audio stays as it is, whatever its length.

    Raises:
        InvalidRequest: no such mode.
        ProcessingFailed: `audio_sync_failed`, when stretching would need a tempo outside 0.5-2.
    """
    if mode not in SYNC_MODES:
        raise InvalidRequest(
            f"audio_sync_mode must be one of {', '.join(SYNC_MODES)}", input_name="output_settings.audio_sync_mode"
        )
    if mode == "none":
        return SyncPlan(round(audio_seconds * sample_rate), False, Fraction(1), None)
    samples = round(picture_seconds * sample_rate)
    difference = audio_seconds - picture_seconds
    if mode == "stretch_to_fit":
        tempo = audio_seconds / picture_seconds
        if not SLOWEST <= tempo <= FASTEST:
            raise ProcessingFailed(
                f"the master audio lasts {float(audio_seconds):.3f} s and the scenes {float(picture_seconds):.3f} s; "
                "stretching is limited to between half and double the length",
                word="audio_sync_failed",
                input_name="master_audio.audio_url",
            )
        return SyncPlan(samples, True, Fraction(1) if abs(difference) <= CLOSE_ENOUGH_SECONDS else tempo, None)
    warning = None
    if mode == "trim" and difference < -CLOSE_ENOUGH_SECONDS:
        warning = f"the master audio is {float(-difference):.3f} s shorter than the picture; silence was added"
    if mode == "pad" and difference > CLOSE_ENOUGH_SECONDS:
        warning = f"the master audio is {float(difference):.3f} s longer than the picture; its end was cut"
    return SyncPlan(samples, True, Fraction(1), warning)
