"""AAC on several cores: spans of the sound are encoded side by side and their packets joined.

An AAC frame covers 2048 samples and overlaps its neighbour by half, so packets of two encoders may follow each other
when both shaped their windows from the same samples. Each span therefore starts `WARM_UP_FRAMES` early, and the
packets of the warm-up are thrown away: by then its encoder has seen what the one before it saw.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.packet import Packet

from shared.media.audio import Block
from shared.media.audio.channels import LAYOUTS
from shared.media.join.sound import AAC, SoundTrack

FRAME_SAMPLES = 1024
SPAN_FRAMES = 2048
"""The longest span with its warm-up, about 44 seconds at 48 kHz: long against the warm-up, short enough to keep a few
in memory."""

WARM_UP_FRAMES = 128
"""Nearly three seconds: the rate control takes so long to settle on a steady tone (measured); windows agree sooner."""

LOOK_AHEAD_FRAMES = 8
"""What a span's last packets may depend on behind them: FFmpeg's encoder looks two frames ahead."""


def aac_packets(sound: SoundTrack, threads: int) -> Iterator[Packet[Any]]:
    """The sound as AAC packets in order, timed in samples: the first carries the encoder's priming, before 0.

    At most `threads` spans are encoded at once, and one more is held ready.
    """
    with ThreadPoolExecutor(max(1, threads), thread_name_prefix="aac") as pool:
        waiting: deque[Future[list[Packet[Any]]]] = deque()
        for start, samples, is_last in _spans(sound.blocks, sound.channels, _span_frames(sound.samples, threads)):
            waiting.append(pool.submit(_encode, sound, start, samples, is_last))
            if len(waiting) > threads:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()


def _span_frames(samples: int, threads: int) -> int:
    """An even share of a short sound and of its warm-ups for each thread, as long as warming up costs less than half
    of it."""
    frames, threads = -(-samples // FRAME_SAMPLES), max(1, threads)
    share = -(-(frames + (threads - 1) * WARM_UP_FRAMES) // threads)
    return min(SPAN_FRAMES, max(3 * WARM_UP_FRAMES, share))


def _spans(blocks: Iterator[Block], channels: int, span_frames: int) -> Iterator[tuple[int, Block, bool]]:
    """Stretches of sound with the sample they start at: a span with its warm-up (the first one's is its own), and what
    follows to look ahead into."""
    span, warm_up = span_frames * FRAME_SAMPLES, WARM_UP_FRAMES * FRAME_SAMPLES
    look_ahead = LOOK_AHEAD_FRAMES * FRAME_SAMPLES
    held: list[Block] = [np.zeros((channels, 0), np.float32)]
    count = start = 0  # of the samples held
    for block in blocks:
        held.append(block)
        count += block.shape[1]
        while count >= span + warm_up:
            whole = np.concatenate(held, axis=1)
            yield start, whole[:, : span + look_ahead], False
            step = span - warm_up  # the next span's warm-up ends where this one's packets do
            held, start, count = [whole[:, step:]], start + step, count - step
    yield start, np.concatenate(held, axis=1), True


def _encode(sound: SoundTrack, start: int, samples: Block, is_last: bool) -> list[Packet[Any]]:
    """The packets of one span: from after its warm-up to before the next one's, or to the end."""
    encoder = av.CodecContext.create("aac", "w")
    assert isinstance(encoder, AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format = sound.sample_rate, LAYOUTS[sound.channels], "fltp"
    encoder.time_base = Fraction(1, sound.sample_rate)
    encoder.bit_rate = sound.bitrate or AAC.default_bitrate(sound.sample_rate, sound.channels) or 0
    packets: list[Packet[Any]] = []
    if samples.shape[1]:
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=LAYOUTS[sound.channels])
        frame.sample_rate, frame.time_base, frame.pts = sound.sample_rate, Fraction(1, sound.sample_rate), start
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    first = start + WARM_UP_FRAMES * FRAME_SAMPLES - FRAME_SAMPLES if start else -FRAME_SAMPLES
    last = start + samples.shape[1] - LOOK_AHEAD_FRAMES * FRAME_SAMPLES - FRAME_SAMPLES
    return [packet for packet in packets if _time(packet) >= first and (is_last or _time(packet) < last)]


def _time(packet: Packet[Any]) -> int:
    assert packet.pts is not None
    return packet.pts
