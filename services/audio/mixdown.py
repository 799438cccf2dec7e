"""Voice and music become one sound: mixed, limited, encoded, and measured as a listener will decode it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.container import OutputContainer
from av.packet import Packet
from numpy.typing import NDArray

from services.audio.ducking import DuckCurve
from services.audio.music_bed import MusicBed
from shared.media.audio import Block
from shared.media.audio.formats import FORMATS
from shared.media.audio.limiter import PeakLimiter
from shared.media.audio.loudness import LoudnessMeter
from shared.media.audio.reader import BLOCK_SAMPLES, read_audio
from shared.media.audio.true_peak import TruePeakMeter
from shared.media.audio.writer import SampleEncoder
from shared.media.join.ahead import ahead
from shared.media.source import ByteSource
from shared.media.step import Progress

SAMPLE_RATE = 48_000  # what video uses
_BLOCKS_AHEAD = 4


@dataclass(frozen=True)
class MixLevels:
    """Gains in dB on voice and music, and the music's fades in seconds."""

    original_db: float
    music_db: float
    fade_in_seconds: float
    fade_out_seconds: float


@dataclass(frozen=True)
class Mixdown:
    """What is mixed.

    Attributes:
        original: the video, or None where it has no sound.
        origin_seconds: the instant on the video's clock where the mix begins.
        samples: how long the mix is, at `SAMPLE_RATE`.
    """

    original: ByteSource | None
    origin_seconds: Fraction
    bed: MusicBed
    curve: DuckCurve
    levels: MixLevels
    channels: int
    samples: int
    threads: int = 1

    def blocks(self, ceiling_dbtp: float, gauge: DuckGauge, progress: Progress) -> Iterator[Block]:
        """The mix from its beginning, true peaks under the ceiling."""
        self.bed.rewind()
        limiter = PeakLimiter(SAMPLE_RATE, self.channels, ceiling_dbtp)
        voice_gain = np.float32(_linear(self.levels.original_db))
        place = 0
        for voice in self._voice():
            music = self.bed.read(voice.shape[1])
            duck_db = self.curve.gains_db(place, voice.shape[1], SAMPLE_RATE)
            fades = self._fades(place, voice.shape[1])
            mixed = music * np.asarray(_linear(duck_db + self.levels.music_db), np.float32)
            gauge.add(music, mixed, duck_db)
            if fades is not None:
                mixed *= fades
            yield limiter.limit(voice * voice_gain + mixed)
            place += voice.shape[1]
            progress("mixing", place / self.samples)
        yield limiter.finish()

    def _voice(self) -> Iterator[Block]:
        """The video's own sound, exactly `samples` long."""
        left = self.samples
        if self.original is not None:
            sound = read_audio(
                self.original, SAMPLE_RATE, self.channels, origin_seconds=self.origin_seconds, threads=self.threads
            )
            for block in sound:
                yield block[:, :left]
                left -= min(left, block.shape[1])
                if not left:
                    return
        while left:
            count = min(left, BLOCK_SAMPLES)
            yield np.zeros((self.channels, count), np.float32)
            left -= count

    def _fades(self, place: int, count: int) -> NDArray[np.float32] | None:
        """The music's gain by its fades; None where neither is."""
        fade_in, fade_out = (
            round(seconds * SAMPLE_RATE) for seconds in (self.levels.fade_in_seconds, self.levels.fade_out_seconds)
        )
        if fade_in + fade_out > self.samples:  # a short picture: both fades, in proportion
            shrink = self.samples / (fade_in + fade_out)
            fade_in, fade_out = int(fade_in * shrink), int(fade_out * shrink)
        if place >= fade_in and place + count <= self.samples - fade_out:
            return None
        places = np.arange(place, place + count) + 0.5
        rise = np.clip(places / max(1, fade_in), 0.0, 1.0) if fade_in else 1.0
        fall = np.clip((self.samples - places) / max(1, fade_out), 0.0, 1.0) if fade_out else 1.0
        return np.asarray(np.sin(np.pi / 2 * rise) ** 2 * np.sin(np.pi / 2 * fall) ** 2, np.float32)


class DuckGauge:
    """Measures the duck on the music as it is mixed, before its fades: its gain where it is free of programme sound,
    over its gain where it is all the way down.

    Args:
        free_db: the gain of free music, for a picture in which it is never free.
    """

    def __init__(self, depth_db: float, free_db: float) -> None:
        self._depth_db, self._free_db = depth_db, free_db
        self._free, self._down = [0.0, 0.0], [0.0, 0.0]  # energy before and after

    def add(self, music: Block, mixed: Block, duck_db: NDArray[np.float64] | float) -> None:
        """The same samples of music before and after its gains, and the curve over them."""
        if isinstance(duck_db, float):
            if duck_db == 0.0:
                self._count(self._free, music, mixed)
            elif duck_db <= -self._depth_db:
                self._count(self._down, music, mixed)
            return
        for sums, where in ((self._free, duck_db == 0.0), (self._down, duck_db <= -self._depth_db + 1e-6)):
            if where.any():
                self._count(sums, music[:, where], mixed[:, where])

    @property
    def measured_db(self) -> float:
        """How much the music was lowered, dB; 0 where it never was."""
        if not self._depth_db or not self._down[1]:
            return 0.0
        free_db = 10.0 * math.log10(self._free[1] / self._free[0]) if self._free[1] else self._free_db
        return free_db - 10.0 * math.log10(self._down[1] / self._down[0])

    @staticmethod
    def _count(sums: list[float], music: Block, mixed: Block) -> None:
        sums[0] += float(np.vdot(music, music))
        sums[1] += float(np.vdot(mixed, mixed))


@dataclass(frozen=True)
class EncodedMix:
    """AAC packets, and what they decode to."""

    packets: list[Packet[Any]]
    samples: int
    integrated_lufs: float
    true_peak_dbtp: float
    duck_db_measured: float


def encode_mix(mixdown: Mixdown, output: OutputContainer, ceiling_dbtp: float, progress: Progress) -> EncodedMix:
    """Add an AAC stream to `output` and fill it; the packets come back, not muxed, measured by decoding them."""
    channels = mixdown.channels
    encoder = SampleEncoder(
        output, "aac", SAMPLE_RATE, channels, bitrate=FORMATS["m4a"].default_bitrate(SAMPLE_RATE, channels)
    )
    gauge = DuckGauge(mixdown.curve.duck_db, mixdown.levels.music_db)
    check = _DecodedMeter(encoder, mixdown.samples)
    packets: list[Packet[Any]] = []
    with (
        ahead(mixdown.blocks(ceiling_dbtp, gauge, progress), _BLOCKS_AHEAD) as blocks,
        ahead(_encoded(encoder, blocks), _BLOCKS_AHEAD) as batches,
    ):
        for batch in batches:
            packets += batch
            check.add(batch)
    lufs, peak = check.finish()
    return EncodedMix(packets, encoder.samples, lufs, peak, gauge.measured_db)


def _encoded(encoder: SampleEncoder, blocks: Iterator[Block]) -> Iterator[list[Packet[Any]]]:
    for block in blocks:
        yield encoder.encode(block)
    yield encoder.finish()


class _DecodedMeter:
    """Loudness and true peak of AAC packets, without the encoder's priming and padding."""

    def __init__(self, encoder: SampleEncoder, samples: int) -> None:
        self._encoder, self._left = encoder, samples
        self._decoder: AudioCodecContext | None = None
        channels = encoder.stream.codec_context.layout.nb_channels
        self._loudness, self._peak = LoudnessMeter(SAMPLE_RATE, channels), TruePeakMeter(channels)
        self._priming = 0

    def add(self, packets: list[Packet[Any]]) -> None:
        frames = []
        for packet in packets:
            if self._decoder is None:  # the encoder's header exists since its first packet
                self._decoder = av.CodecContext.create("aac", "r")
                self._decoder.extradata = self._encoder.stream.codec_context.extradata
                self._priming = max(0, -(packet.pts or 0))
            frames += [np.asarray(frame.to_ndarray(), np.float32) for frame in self._decoder.decode(packet)]
        if not frames:
            return
        block = np.concatenate(frames, axis=1)
        skipped = min(self._priming, block.shape[1])
        self._priming -= skipped
        block = np.ascontiguousarray(block[:, skipped : skipped + self._left])
        self._left -= block.shape[1]
        self._loudness.add(block)
        self._peak.add(block)

    def finish(self) -> tuple[float, float]:
        """Integrated loudness in LUFS, true peak in dBTP."""
        return self._loudness.integrated_lufs(), self._peak.dbtp()


def _linear(db: Any) -> Any:
    return 10.0 ** (db / 20.0)
