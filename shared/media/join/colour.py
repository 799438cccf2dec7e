"""Colour tags of a clip, and what an untagged picture is taken for.

The numbers are ITU-T H.273 code points, the same in every codec and in FFmpeg.
"""

from __future__ import annotations

from dataclasses import dataclass

UNSPECIFIED = 2
BT709, BT470BG, SMPTE170M, BT2020_NCL = 1, 5, 6, 9
PQ, HLG = 16, 18
LIMITED, FULL = 1, 2

_MATRIX_NAMES = {1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020", 10: "bt2020"}
_TRANSFER_NAMES = {1: "BT.709", 13: "sRGB", PQ: "HDR10 (PQ)", HLG: "HDR (HLG)", 14: "BT.2020", 15: "BT.2020"}
_SPACE_NAMES = {1: "BT.709", 5: "BT.601", 6: "BT.601", 9: "BT.2020", 10: "BT.2020", 0: "RGB"}


@dataclass(frozen=True)
class Colour:
    """Colour description as the stream carries it: 2 means untagged (0 is FFmpeg's reserved range).

    Attributes:
        matrix: matrix coefficients; primaries: colour primaries; transfer: transfer characteristics.
        full_range: luma runs 0-255 and not 16-235 (of 8 bits).
    """

    matrix: int
    primaries: int
    transfer: int
    full_range: bool

    @property
    def is_hdr(self) -> bool:
        return self.transfer in (PQ, HLG)

    def matrix_name(self, width: int, height: int) -> str:
        """swscale's name of the matrix; an untagged picture is BT.709 from 1280 wide or 577 high, else BT.601."""
        if self.matrix in _MATRIX_NAMES:
            return _MATRIX_NAMES[self.matrix]
        return "bt709" if width >= 1280 or height > 576 else "smpte170m"

    @property
    def range_name(self) -> str:
        return "full" if self.full_range else "limited"

    def describe(self) -> str:
        """The tags in words, for reasons."""
        if self.is_hdr:
            return _TRANSFER_NAMES[self.transfer]
        names = [_SPACE_NAMES.get(self.matrix, "untagged")]
        if self.primaries != self.matrix:
            names.append(f"{_SPACE_NAMES.get(self.primaries, 'untagged')} primaries")
        if self.transfer != self.matrix:
            names.append(f"{_TRANSFER_NAMES.get(self.transfer, 'untagged')} transfer")
        return " with ".join(names)


SDR = Colour(BT709, BT709, BT709, full_range=False)
"""What a join is encoded to when nothing is copied."""
