"""Write audio files that decode to exactly the samples that were written."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet

from shared.media.audio import Block
from shared.media.audio.channels import LAYOUTS
from shared.media.audio.formats import AudioFormat

_LAME_SCALES = ((176_000, 0.95), (208_000, 0.97), (240_000, 0.98))
"""(below this bitrate, LAME multiplies its input by this): the `scale` column of `abr_switch_map` in LAME 3.100's
presets.c, against overshoots when decoding to integers. Up to 0.45 dB, which we undo: a stitch keeps its levels."""


class SampleEncoder:
    """One audio stream of an output container, fed with float32 blocks.

    The stream's clock is the sample rate and its first sample has PTS 0, so that priming comes out before 0 and
    the muxer records it. Packets are returned, not muxed: the caller interleaves them with a picture.

    Args:
        output: where the stream is added; the caller owns it. An MP4 must have been opened with
            `movie_timescale` = `sample_rate`, or its edit list is cut to a millisecond.
        encoder: FFmpeg's name: aac, libmp3lame, libopus, flac, pcm_s16le, pcm_s24le.
        bits_per_sample: 16 or 24; of FLAC only.
    """

    def __init__(
        self,
        output: OutputContainer,
        encoder: str,
        sample_rate: int,
        channels: int,
        *,
        bitrate: int | None = None,
        bits_per_sample: int = 16,
    ) -> None:
        self.stream = cast(AudioStream, output.add_stream(encoder, rate=sample_rate, layout=LAYOUTS[channels]))
        self._rate, self._layout = sample_rate, LAYOUTS[channels]
        self._format = _sample_format(encoder, bits_per_sample)
        self._gain = np.float32(1.0 / _lame_scale(bitrate)) if encoder == "libmp3lame" else None
        self._shift = 8 if (encoder, bits_per_sample) == ("flac", 24) else 0
        context: AudioCodecContext = self.stream.codec_context
        context.format = self._format
        self.stream.time_base = Fraction(1, sample_rate)
        if bitrate is not None:
            self.stream.bit_rate = bitrate
        if self._shift:
            context.options = {"bits_per_raw_sample": "24"}
        self.samples = 0
        """How many samples (per channel) went in so far."""

    def encode(self, block: Block) -> list[Packet[Any]]:
        """The packets that became ready."""
        if not block.shape[1]:
            return []
        if self._gain is not None:
            block = block * self._gain
        frame = AudioFrame.from_ndarray(_as_format(block, self._format), format=self._format, layout=self._layout)
        frame.sample_rate, frame.time_base, frame.pts = self._rate, Fraction(1, self._rate), self.samples
        self.samples += block.shape[1]
        return self.stream.encode(frame)

    def finish(self) -> list[Packet[Any]]:
        """The packets that the encoder still held.

        LAME's last frame may be padding only while the one before ends in padding, too. FFmpeg's muxer tells decoders
        of the last packet's padding alone, so that frame is left out.
        """
        packets = self.stream.encode(None)
        is_lame = self._gain is not None
        if is_lame and len(packets) > 1 and not packets[-1].duration and packets[-2].has_sidedata("skip_samples"):
            packets.pop()
        return packets


class AudioWriter:
    """One audio file. Use as a context manager; an exception leaves an incomplete file behind.

    MP3 carries a LAME tag with delay and padding, M4A an edit list to the sample, Opus pre-skip and end trimming:
    their decoders give back `samples` samples, each in its place (FFmpeg's own plays M4A's last frame to its end).

    Args:
        bitrate: bit/s, at most what the format has at that rate; None for its default.

    Raises:
        ValueError: a rate or layout that the format does not have (validate requests against `FORMATS` before).
    """

    def __init__(
        self,
        path: Path,
        audio_format: AudioFormat,
        sample_rate: int,
        channels: int,
        *,
        bitrate: int | None = None,
        bits_per_sample: int = 16,
    ) -> None:
        if sample_rate not in audio_format.sample_rates or channels > audio_format.most_channels:
            raise ValueError(f"{audio_format.name} does not carry {channels} channels at {sample_rate} Hz")
        # With its own clock an edit list is exact to the sample; the index comes first.
        m4a = {"movie_timescale": str(sample_rate), "movflags": "+faststart"}
        options = m4a if audio_format.muxer == "ipod" else {}
        if audio_format.muxer == "wav":
            options = {"rf64": "auto"}
        encoder = audio_format.encoder
        if encoder == "pcm":
            encoder = "pcm_s24le" if bits_per_sample == 24 else "pcm_s16le"
        self._output = av.open(str(path), "w", format=audio_format.muxer, container_options=options)
        self._encoder = SampleEncoder(
            self._output,
            encoder,
            sample_rate,
            channels,
            bitrate=min(bitrate, audio_format.highest_bitrate(sample_rate, channels))
            if bitrate and not audio_format.lossless
            else audio_format.default_bitrate(sample_rate, channels),
            bits_per_sample=bits_per_sample,
        )

    @property
    def samples(self) -> int:
        """How many samples (per channel) were written."""
        return self._encoder.samples

    def write(self, block: Block) -> None:
        self._output.mux(self._encoder.encode(block))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._output.mux(self._encoder.finish())
        finally:
            self._output.close()


def _lame_scale(bitrate: int | None) -> float:
    return next((scale for below, scale in _LAME_SCALES if (bitrate or 0) < below), 1.0)


def _sample_format(encoder: str, bits_per_sample: int) -> str:
    if encoder == "flac":
        return "s32" if bits_per_sample == 24 else "s16"
    return {"pcm_s16le": "s16", "pcm_s24le": "s32", "libopus": "flt"}.get(encoder, "fltp")


def _as_format(block: Block, sample_format: str) -> Any:
    """The block as FFmpeg's array of that format: rounded to nearest, clipped at full scale, no dither (silence
    stays silence). 24-bit samples stand in the upper bits of 32, as the encoders want them."""
    if sample_format == "fltp":
        return np.ascontiguousarray(block)
    packed = np.ascontiguousarray(block.T).reshape(1, -1)
    if sample_format == "flt":
        return packed
    if sample_format == "s16":
        return np.clip(np.rint(packed * 32768.0), -32768, 32767).astype(np.int16)
    scaled = np.clip(np.rint(packed.astype(np.float64) * 8388608.0), -8388608, 8388607)
    return scaled.astype(np.int32) << 8
