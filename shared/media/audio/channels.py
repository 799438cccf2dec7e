"""Channel layouts: which ones we write, and how one is folded into another."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from shared.media.audio import Block

LAYOUTS: dict[int, str] = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
"""Channel counts that an output may have, with FFmpeg's name of the layout."""

_NAMES: dict[int, tuple[str, ...]] = {
    1: ("FC",),
    2: ("FL", "FR"),
    3: ("FL", "FR", "FC"),
    4: ("FL", "FR", "FC", "BC"),
    5: ("FL", "FR", "FC", "BL", "BR"),
    6: ("FL", "FR", "FC", "LFE", "BL", "BR"),
    7: ("FL", "FR", "FC", "LFE", "BC", "SL", "SR"),
    8: ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
}

_MINUS_3_DB = 0.5**0.5
# ITU-R BS.775-3 table 2 (Lo/Ro): centre and surrounds at -3 dB, no LFE.
_LEFT_RIGHT: dict[str, tuple[float, float]] = {
    "FL": (1.0, 0.0),
    "FR": (0.0, 1.0),
    "FC": (_MINUS_3_DB, _MINUS_3_DB),
    "LFE": (0.0, 0.0),
    "BL": (_MINUS_3_DB, 0.0),
    "BR": (0.0, _MINUS_3_DB),
    "SL": (_MINUS_3_DB, 0.0),
    "SR": (0.0, _MINUS_3_DB),
    "BC": (0.5, 0.5),
    "FLC": (1.0, 0.0),
    "FRC": (0.0, 1.0),
}
_SAME_PLACE = {"SL": "BL", "SR": "BR", "BL": "SL", "BR": "SR"}


def channels_for(source_channels: int, most: int) -> int:
    """The widest layout that we write, not wider than the source needs nor than `most`."""
    return max(count for count in LAYOUTS if count == 1 or (count <= source_channels and count <= most))


def remix(block: Block, names: Sequence[str], channels: int) -> Block:
    """`block`, whose channels are called `names` (FFmpeg's abbreviations), folded into `channels` channels.

    Mono goes to both sides of stereo at its own level; stereo goes to mono as the mean of both sides.
    """
    source = tuple(names) if all(name in _LEFT_RIGHT for name in names) else _NAMES.get(len(names), ())
    if not source:  # an unknown layout: keep as many channels as fit, in their order
        source = tuple((_NAMES[8] * len(names))[: len(names)])
    target = _NAMES[channels]
    if source == target:
        return block
    return np.asarray(_matrix(source, target) @ block, dtype=np.float32)


@cache
def _matrix(source: tuple[str, ...], target: tuple[str, ...]) -> NDArray[np.float32]:
    matrix = np.zeros((len(target), len(source)), np.float32)
    if len(source) == 1:
        for row, name in enumerate(target):
            matrix[row, 0] = 1.0 if len(target) <= 2 or name == "FC" else 0.0
        return matrix
    if len(target) == 1:
        for column, name in enumerate(source):
            matrix[0, column] = sum(_LEFT_RIGHT[name]) / 2
        return matrix
    for column, name in enumerate(source):
        place = name if name in target else _SAME_PLACE.get(name, "")
        if place in target:
            matrix[target.index(place), column] = 1.0
        else:
            matrix[0, column], matrix[1, column] = _LEFT_RIGHT[name]
    return matrix
