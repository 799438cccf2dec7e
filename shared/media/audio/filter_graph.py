"""A chain of FFmpeg audio filters over blocks: C speed for what numpy cannot vectorise (recursive filters)."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import av
import numpy as np

from shared.media.audio import Block
from shared.media.audio.channels import LAYOUTS


class BlockFilter:
    """A linear chain that gives out one sample for each that goes in.

    Args:
        filters: (name, arguments) pairs, in order.
    """

    def __init__(self, sample_rate: int, channels: int, filters: Sequence[tuple[str, str]]) -> None:
        self._rate, self._layout, self._pts = sample_rate, LAYOUTS[channels], 0
        self._graph = av.filter.Graph()
        self._graph.threads = 1  # nothing in a recursive filter runs in parallel
        self._source = self._graph.add_abuffer(
            sample_rate=sample_rate, format="fltp", layout=self._layout, time_base=Fraction(1, sample_rate)
        )
        nodes = [self._source, *(self._graph.add(name, arguments) for name, arguments in filters)]
        self._sink = self._graph.add("abuffersink")
        for left, right in zip(nodes, [*nodes[1:], self._sink], strict=True):
            left.link_to(right)
        self._graph.configure()

    def __call__(self, block: Block) -> Block:
        """`block`, filtered; the chain remembers its state."""
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout=self._layout)
        frame.sample_rate, frame.time_base, frame.pts = self._rate, Fraction(1, self._rate), self._pts
        self._pts += block.shape[1]
        self._source.push(frame)
        answer = self._sink.pull()
        assert isinstance(answer, av.AudioFrame)
        assert answer.samples == block.shape[1]
        return np.asarray(answer.to_ndarray(), np.float32)
