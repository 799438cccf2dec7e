"""How large a stored picture is shown: the one rule for every answer and every result.

The rule is FFmpeg's, whose `scale=iw*sar:ih` behind its autorotation is what others do: the stored picture is first
turned upright, which turns its pixels, too; then its width is stretched by the width of a pixel over its height, and a
fraction of a pixel is cut off.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from shared.media.container import MAX_PIXELS

_LONGEST_SIDE: Final = 16384


def displayed_size(width: int, height: int, sample_aspect: Fraction, *, is_turned: bool) -> tuple[int, int]:
    """Width and height as shown.

    Args:
        width, height: stored pixels.
        sample_aspect: width of a stored pixel over its height, see `plausible_aspect`.
        is_turned: by a quarter, to the left or to the right.
    """
    if is_turned:
        width, height, sample_aspect = height, width, 1 / sample_aspect
    return int(width * (sample_aspect.numerator / sample_aspect.denominator)), height


def plausible_aspect(
    width: int, height: int, sample_aspect: Fraction | None, *, is_turned: bool, max_pixels: int = MAX_PIXELS
) -> Fraction:
    """The file's sample aspect ratio, or 1 where it has none or one that would make a thread or a sea of the picture.

    Args: as of `displayed_size`; `max_pixels`: of the picture as shown.
    """
    if not sample_aspect or sample_aspect < 0:
        return Fraction(1)
    wide, high = displayed_size(width, height, Fraction(sample_aspect), is_turned=is_turned)
    fits = wide >= 1 and max(wide, high) <= _LONGEST_SIDE and wide * high <= max_pixels
    return Fraction(sample_aspect) if fits or sample_aspect == 1 else Fraction(1)
