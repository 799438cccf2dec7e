"""An mp4 whose samples read as zeros: all of its timing for the price of its index."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Final

from shared.media.byte_file import MERGED_GAP_BYTES, ByteFile, Range, merged
from shared.media.mp4_boxes import read_layout
from shared.media.source import ByteSource

_ZEROS: Final = bytes(64 * 1024)


class HollowFile(ByteFile):
    """A `ByteFile` that never fetches what lies inside the `mdat` boxes of an indexed mp4 or mov.

    The demuxer still walks its own sample tables and edit lists, so every packet carries its true timestamps,
    duration and flags; only the contents are zeros. Other containers, and fragmented files (whose index is spread
    between the samples), are passed through untouched: `is_hollow` tells.
    """

    def __init__(self, source: ByteSource) -> None:
        super().__init__(source)
        layout = read_layout(self)
        self.is_hollow = layout is not None and layout.indexed and not layout.fragmented
        self._holes = sorted(layout.samples) if layout is not None and self.is_hollow else []

    def reveal(self, shown: Sequence[Range]) -> None:
        """Let the bytes in these ranges be seen (and fetched) after all."""
        self._holes = list(_without(self._holes, merged(shown)))
        self.plan(merged(shown, gap_bytes=MERGED_GAP_BYTES))

    def is_hole(self, offset: int) -> bool:
        """Whether the byte there reads as zero, whatever it is."""
        at = bisect_right(self._holes, (offset, self.size_bytes)) - 1
        return at >= 0 and offset < self._holes[at][1]

    def hold(self, ranges: Sequence[Range]) -> None:
        """Nothing to hold: samples cost nothing here, and an end of file in their place would be remembered."""
        if not self.is_hollow:
            super().hold(ranges)

    def read(self, length: int) -> bytes:
        start = self.tell()
        at = bisect_right(self._holes, (start, self.size_bytes)) - 1
        if at < 0 or start >= self._holes[at][1]:
            following = self._holes[at + 1][0] if at + 1 < len(self._holes) else None
            return super().read(length if following is None else min(length, following - start))
        zeros = _ZEROS[: min(length, self._holes[at][1] - start)]
        self.seek(start + len(zeros))
        return zeros


def _without(holes: Sequence[Range], shown: Sequence[Range]) -> Iterator[Range]:
    """What is left of the holes; both are sorted and free of overlaps."""
    for start, end in holes:
        at = start
        for shown_start, shown_end in shown:
            if at < shown_end and shown_start < end:
                if at < shown_start:
                    yield at, shown_start
                at = shown_end
        if at < end:
            yield at, end
