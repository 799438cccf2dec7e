"""The master audio: measured, then read as exactly the samples that the movie needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Final

import av
import av.error
import numpy as np
from av.audio.frame import AudioFrame

from services.assembly.sync import SyncPlan
from shared.media.audio import Block
from shared.media.audio.channels import LAYOUTS, channels_for, remix
from shared.media.audio.formats import FORMATS
from shared.media.audio.reader import read_audio
from shared.media.probe.sound_length import measure_sound
from shared.media.source import ByteSource

HIGHEST_RATE: Final = 48_000
"""What MP3 ends at and every player takes."""
MOST_CHANNELS: Final = 6
FADE_SECONDS: Final = 0.005
"""Where sound is cut off: long enough against a click, too short to be heard as a fade."""


@dataclass(frozen=True)
class MasterAudio:
    """The master as found, and as it will be written: presented seconds, Hz and channels of the outputs."""

    source: ByteSource
    seconds: Fraction
    sample_rate: int
    channels: int


def measure_master(source: ByteSource) -> MasterAudio:
    """Length and shape of the first sound stream; a video's sound will do.

    Raises:
        UnsupportedMedia: no sound in it, or no length.
    """
    found = measure_sound(source)
    rate = min(FORMATS["mp3"].sample_rate_for(found.sample_rate), HIGHEST_RATE)
    return MasterAudio(source, found.seconds, rate, channels_for(found.channels, MOST_CHANNELS))


def master_blocks(master: MasterAudio, sync: SyncPlan) -> Iterator[Block]:
    """The master at its output rate, as `sync` wants it: cut or filled to exactly `sync.samples` where that is exact.

    Raises:
        UnsupportedMedia: nothing can be decoded.
        LastFrameError: the source broke.
    """
    blocks = read_audio(master.source, master.sample_rate, master.channels)
    if sync.tempo != 1:
        blocks = _at_tempo(blocks, sync.tempo, master)
    yield from _exactly(blocks, sync.samples, master) if sync.is_exact else blocks


def in_stereo(block: Block) -> Block:
    """Surround sound folded into two channels (ITU-R BS.775)."""
    names = [channel.name for channel in av.AudioLayout(LAYOUTS[block.shape[0]]).channels]
    return remix(block, names, 2)


def _at_tempo(blocks: Iterator[Block], tempo: Fraction, master: MasterAudio) -> Iterator[Block]:
    """FFmpeg's `atempo` (WSOLA): speed without pitch. Good to some hundred samples in length, not to one."""
    graph, layout, pts = av.filter.Graph(), LAYOUTS[master.channels], 0
    entry = graph.add_abuffer(
        sample_rate=master.sample_rate, format="fltp", layout=layout, time_base=Fraction(1, master.sample_rate)
    )
    # atempo gives packed floats, whatever it is given.
    nodes = [entry, graph.add("atempo", f"{float(tempo):.9f}"), graph.add("aformat", "sample_fmts=fltp")]
    nodes.append(graph.add("abuffersink"))
    for left, right in pairwise(nodes):
        left.link_to(right)
    graph.configure()

    def pulled() -> Iterator[Block]:
        while True:
            try:
                frame = nodes[-1].pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            assert isinstance(frame, AudioFrame)
            yield np.asarray(frame.to_ndarray(), np.float32)

    for block in blocks:
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout=layout)
        frame.sample_rate, frame.time_base, frame.pts = master.sample_rate, Fraction(1, master.sample_rate), pts
        pts += block.shape[1]
        entry.push(frame)
        yield from pulled()
    entry.push(None)
    yield from pulled()


def _exactly(blocks: Iterator[Block], samples: int, master: MasterAudio) -> Iterator[Block]:
    """Cut (with a short fade) or filled with silence to `samples`.

    The last few milliseconds are held back until it is known whether sound follows them.
    """
    fade = round(FADE_SECONDS * master.sample_rate)
    given, held = 0, np.zeros((master.channels, 0), np.float32)
    for block in blocks:
        room = samples - given
        held = np.concatenate([held, block], axis=1)
        if held.shape[1] > room:
            held = held[:, :room].copy()
            faded = min(fade, room)
            held[:, room - faded :] *= np.linspace(1, 0, faded, dtype=np.float32)
            yield held
            return
        ready = max(0, held.shape[1] - fade)
        yield held[:, :ready]
        given, held = given + ready, held[:, ready:]
    yield held
    given += held.shape[1]
    while given < samples:
        silence = min(samples - given, master.sample_rate)
        given += silence
        yield np.zeros((master.channels, silence), np.float32)
