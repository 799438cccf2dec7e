"""Join parts of sound without a click."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from shared.media.audio import Block

FADE_SECONDS = 0.003
"""How much is faded on each side of a jump."""

# A jump is a step steeper than the sound itself is around it (a drum that starts a part is no click),
# and not so small that nobody could hear it (-54 dB of full scale).
_STEEPER = 1.2
_LEAST_STEP = 0.002
_SPIKE = 12  # samples: a quarter of a millisecond at 48 kHz


class Joiner:
    """Streams parts one after the other; only the samples beside a jump change.

    Holds back the last 3 ms of a part until the next one has shown its first 3 ms.
    """

    def __init__(self, sample_rate: int, channels: int, *, declick: bool = True) -> None:
        self._fade = round(FADE_SECONDS * sample_rate) if declick else 0
        self._nothing: Block = np.zeros((channels, 0), np.float32)
        self._tail = self._nothing
        self.fades = 0
        """How many joins were faded so far."""

    def part(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """The samples that became final while this part was read: those held before it, and all but its own last."""
        blocks = iter(blocks)
        head = self._nothing
        for block in blocks:
            head = np.concatenate((head, block), axis=1)
            if head.shape[1] >= self._fade:
                break
        if not head.shape[1]:
            return
        yield self._join(head)
        yield from self._keep_last(head)
        for block in blocks:
            yield from self._keep_last(block)

    def finish(self) -> Block:
        """The end of the last part."""
        rest, self._tail = self._tail, self._nothing
        return rest

    def _join(self, head: Block) -> Block:
        """Fade both sides if they jump; give back the previous part's end."""
        tail = self.finish()
        beside = head[:, : self._fade]
        if self._fade and tail.shape[1] and _jumps(tail, beside):
            self.fades += 1
            tail = tail * _rise(tail.shape[1])[::-1]
            beside *= _rise(beside.shape[1])
        return tail

    def _keep_last(self, block: Block) -> Iterator[Block]:
        held = np.concatenate((self._tail, block), axis=1) if self._tail.shape[1] else block
        cut = max(0, held.shape[1] - self._fade)
        self._tail = held[:, cut:]
        if cut:
            yield held[:, :cut]


def _jumps(tail: Block, head: Block) -> bool:
    step = float(np.abs(head[:, 0] - tail[:, -1]).max())
    own = max(_steepest(tail), _steepest(head))
    if step <= _LEAST_STEP or step <= _STEEPER * own:
        return False
    return not (_is_spike(head, step) or _is_spike(tail[:, ::-1], step))


def _is_spike(side: Block, step: float) -> bool:
    """Whether `side` (from the join outwards) makes the step by a spike that is over at once: an impulse is part of
    the sound, and a fade would erase it."""
    return (
        float(np.abs(side[:, 0]).max()) > 0.75 * step and float(np.abs(side[:, _SPIKE:]).max(initial=0.0)) < 0.2 * step
    )


def _steepest(block: Block) -> float:
    return float(np.abs(np.diff(block, axis=1)).max(initial=0.0))


def _rise(samples: int) -> Block:
    """A raised cosine from 0 to 1."""
    return np.asarray(np.sin(np.pi / 2 * (np.arange(samples) + 0.5) / samples) ** 2, np.float32)
