"""Read the sound of any source: the samples that it presents, no more and no fewer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer

from shared.errors import LimitExceeded, UnsupportedMedia
from shared.media.audio import Block
from shared.media.audio.channels import LAYOUTS, remix
from shared.media.audio.resample import RateConverter, scaled_samples
from shared.media.container import audio_streams, describe_streams, only, open_container, packets_of, packets_to_damage
from shared.media.limits import DURATION_GRACE_SECONDS
from shared.media.source import ByteSource

BLOCK_SAMPLES = 32768
"""About how many samples a block has: big enough that numpy's cost per call vanishes, small enough to stream."""

_TIMED_FORMATS = ("mov", "matroska", "mpegts", "mpeg", "flv", "asf", "avi", "nut", "mxf")
# Timestamps may wander by this much before they count as a gap or an overlap: more than what Vorbis in WebM
# (10 ms) and rounding to milliseconds do, less than one lost frame of AAC (21 ms) or MP3 (24 ms).
_TOLERANCE_SECONDS = 0.018
# A packet of WMA carries its time, but begins with the rest of a frame (46 ms) that started in the packet before.
_WMA_TOLERANCE_SECONDS = 0.1
_WMA = ("wmav1", "wmav2")
_SAMPLE_TYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}
"""FFmpeg's packed sample formats, as numpy calls their samples."""


@dataclass(frozen=True)
class AudioShape:
    """What a source's sound is made of.

    Attributes:
        sample_rate: in Hz.
        channels: how many.
        bits_per_sample: what a lossless copy needs: 16, or 24 where the source is finer than 16.
        codec: FFmpeg's name of the decoder.
        start_seconds: the first presented sample on the container's clock.
    """

    sample_rate: int
    channels: int
    bits_per_sample: int
    codec: str
    start_seconds: Fraction


def audio_shape(source: ByteSource) -> AudioShape | None:
    """The shape of the source's first sound stream, or None if it has none. Reads headers only.

    Raises:
        UnsupportedMedia: the bytes are no medium.
        LastFrameError: the source broke.
    """
    with open_container(source) as container:
        streams = audio_streams(container)
        if not streams:
            return None
        stream = streams[0]
        context = stream.codec_context
        if not context.sample_rate or not context.layout.nb_channels:
            return None
        start = stream.start_time * stream.time_base if stream.start_time and stream.time_base else 0
        return AudioShape(
            sample_rate=context.sample_rate,
            channels=context.layout.nb_channels,
            bits_per_sample=_bits(stream),
            codec=context.name,
            start_seconds=Fraction(start),
        )


def read_audio(
    source: ByteSource,
    sample_rate: int,
    channels: int,
    *,
    origin_seconds: Fraction | None = None,
    max_duration_seconds: float | None = None,
    threads: int = 1,
) -> Iterator[Block]:
    """The source's first sound stream as float32 blocks at `sample_rate` Hz and `channels` channels.

    Priming, padding and edit lists are honoured: an MP3 with a LAME tag, an M4A or an Opus file gives the
    samples that went into it. Gaps in the timestamps become silence, overlaps are dropped. All blocks together
    last as long as the source's samples did, to the rounding of one sample.

    Args:
        source: whose bytes; the first sound stream counts, cover art and pictures are passed over.
        sample_rate: of the output, Hz; channels: of the output, a key of `channels.LAYOUTS`.
        origin_seconds: the instant on the container's clock that becomes sample 0 (earlier sound is dropped,
            a later start is preceded by silence); None for the first presented sample.
        max_duration_seconds: refuse a longer source; None for no limit.
        threads: how many threads the decoder may use.

    Raises:
        UnsupportedMedia: no sound stream, or nothing in it can be decoded.
        LimitExceeded: longer than `max_duration_seconds` (`duration_too_long`).
        LastFrameError: the source broke.
    """
    given = 0
    most = None if max_duration_seconds is None else int((max_duration_seconds + DURATION_GRACE_SECONDS) * sample_rate)
    with open_container(source) as container:
        streams = audio_streams(container)
        if not streams:
            raise UnsupportedMedia(f"the file has no sound; found: {describe_streams(container)}")
        stream = streams[0]
        stream.codec_context.thread_count = threads
        only(container, [stream])
        too_long = LimitExceeded(
            f"the sound is longer than {max_duration_seconds or 0:g} seconds",
            word="duration_too_long",
            input_name=source.label,
        )
        timeline = _Timeline(container, stream, origin_seconds)
        for block in _at_rate(timeline.blocks(max_duration_seconds, too_long), sample_rate, channels):
            given += block.shape[1]
            if most is not None and given > most:
                raise too_long
            yield block
    if not given and origin_seconds is None:
        raise UnsupportedMedia("nothing in the file's sound can be decoded", input_name=source.label)


def _bits(stream: AudioStream) -> int:
    codec = stream.codec_context
    lossless = codec.name.startswith(("pcm_", "flac", "alac", "wavpack", "tta", "ape", "truehd", "mlp"))
    if not lossless or codec.name in ("pcm_alaw", "pcm_mulaw"):
        return 16
    return 24 if codec.format is not None and codec.format.bytes > 2 else 16


@dataclass(frozen=True)
class _Run:
    """Samples of one rate and one layout."""

    samples: Block
    rate: int
    names: tuple[str, ...]


class _Timeline:
    """Places decoded frames on the sample grid of their own rate and joins them into larger runs."""

    def __init__(self, container: InputContainer, stream: AudioStream, origin_seconds: Fraction | None) -> None:
        self._container, self._stream = container, stream
        self._origin = origin_seconds
        self._format = container.format.name.split(",")[0]
        self._timed = self._format in _TIMED_FORMATS
        self._is_wma = stream.codec_context.name in _WMA
        self._tolerance = _WMA_TOLERANCE_SECONDS if self._is_wma else _TOLERANCE_SECONDS
        self._seconds_per_tick = Fraction(stream.time_base or 0)
        self._tick_seconds = float(self._seconds_per_tick)
        self._origin_seconds = 0.0
        self._expected = 0  # samples of the current rate since the origin

    def blocks(self, max_duration_seconds: float | None, too_long: LimitExceeded) -> Iterator[_Run]:
        """Raises `too_long` before a gap that alone passes the limit is filled: a lying clock must not cost hours."""
        pending: list[Block] = []
        held = rate = 0
        layout = ""
        names: tuple[str, ...] = ()
        for frame, pts, kept in self._frames():
            if frame.sample_rate != rate or frame.layout.name != layout:
                if pending:
                    yield _Run(_joined(pending), rate, names)
                    pending, held = [], 0
                self._expected = scaled_samples(self._expected, rate, frame.sample_rate) if rate else 0
                rate, layout = frame.sample_rate, frame.layout.name
                names = tuple(channel.name for channel in frame.layout.channels)
            placed = _samples(frame)[:, :kept]
            gap = self._gap(pts, rate)
            if max_duration_seconds is not None and gap > (max_duration_seconds + DURATION_GRACE_SECONDS) * rate:
                raise too_long
            while gap > 0:
                silence = min(gap, BLOCK_SAMPLES)
                pending.append(np.zeros((len(names), silence), np.float32))
                yield _Run(_joined(pending), rate, names)
                pending, held = [], 0
                self._expected += silence
                gap -= silence
            if gap < 0:
                placed = placed[:, -gap:]
            self._expected += placed.shape[1]
            held += placed.shape[1]
            pending.append(placed)
            if held >= BLOCK_SAMPLES:
                yield _Run(_joined(pending), rate, names)
                pending, held = [], 0
        if pending:
            yield _Run(_joined(pending), rate, names)

    def _gap(self, pts: int | None, rate: int) -> int:
        """Samples of silence before a frame with this PTS; negative: how many of its samples come too early."""
        if pts is None or not self._seconds_per_tick:
            return 0
        if self._origin is None:
            self._origin = pts * self._seconds_per_tick
        if self._expected == 0:  # nothing placed yet: to the sample
            self._origin_seconds = float(self._origin)
            return round((pts * self._seconds_per_tick - self._origin) * rate)
        if not self._timed:
            return 0
        gap = (pts * self._tick_seconds - self._origin_seconds) * rate - self._expected
        return round(gap) if abs(gap) > self._tolerance * rate else 0

    def _frames(self) -> Iterator[tuple[AudioFrame, int | None, int | None]]:
        """Every frame, its PTS, and how many of its samples count: the last one is cut where the track says that it
        ends (MP4 pads AAC's last frame, WAV that of ADPCM); None for all."""
        held: AudioFrame | None = None
        held_pts: int | None = None
        for packet in packets_to_damage(packets_of(self._container, self._stream)):
            if held is not None and self._format == "ogg" and _begins_a_link(packet):
                self._stream.codec_context.flush_buffers()  # or its decoder would go on from the link before
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                continue  # a damaged packet: its time becomes silence by the timestamps of the next
            for frame in frames:
                pts = frame.pts
                if held is not None:
                    yield held, held_pts, None
                elif self._is_wma and pts is not None and packet.pts is not None:
                    # FFmpeg leaves out the first two of WMA's frames, but the decoder's delay is only one of them.
                    pts -= (pts - packet.pts) // 2
                held, held_pts = frame, pts
        if held is not None:
            yield held, held_pts, self._kept(held)

    def _kept(self, last: AudioFrame) -> int | None:
        stream, codec = self._stream, self._stream.codec_context.name
        if not stream.duration or not self._seconds_per_tick:
            return None
        if self._format == "mov" and last.pts is not None:
            left = ((stream.start_time or 0) + stream.duration - last.pts) * self._seconds_per_tick
            keep = round(left * last.sample_rate)
        elif self._format == "wav" and codec.startswith("adpcm"):
            keep = round(stream.duration * self._seconds_per_tick * last.sample_rate) - self._expected
        else:
            return None
        return keep if 0 < keep < last.samples else None


def _begins_a_link(packet: Any) -> bool:
    """Whether another logical Ogg stream begins here (RFC 3533 section 4: files glued together): libavformat gives its
    first packet the new headers of Vorbis, or the pre-skip of Opus."""
    if packet.has_sidedata("new_extradata"):
        return True
    return bool(packet.has_sidedata("skip_samples")) and bytes(packet.get_sidedata("skip_samples"))[:4] != bytes(4)


def _at_rate(runs: Iterator[_Run], sample_rate: int, channels: int) -> Iterator[Block]:
    """Runs of any rate and layout as blocks of one; the whole lasts as long as the runs did."""
    if channels not in LAYOUTS:
        raise ValueError(f"no layout of {channels} channels")
    converter: RateConverter | None = None
    rate = 0
    for run in runs:
        if run.rate != rate:
            if converter is not None:
                yield converter.finish()
            rate, converter = run.rate, RateConverter(channels, run.rate, sample_rate)
        assert converter is not None
        block = converter.convert(remix(run.samples, run.names, channels))
        if block.shape[1]:
            yield block
    if converter is not None:
        rest = converter.finish()
        if rest.shape[1]:
            yield rest


def _joined(parts: list[Block]) -> Block:
    return np.concatenate(parts, axis=1)


def _samples(frame: AudioFrame) -> Block:
    """A frame's samples as floats, perhaps still in the frame's own memory.

    Not by PyAV's `to_ndarray`: it counts planes up to a null pointer that eight planar channels do not have after
    them (PyAV 18.1 then reads from an address that is none: a crash), and it knows no 64-bit integers.
    """
    channels, samples = frame.layout.nb_channels, frame.samples
    dtype = _SAMPLE_TYPES[frame.format.packed.name]
    planes: Sequence[Any] = frame.planes  # buffers, which PyAV's types do not say
    if frame.format.is_planar:
        rows = [np.frombuffer(plane, dtype, samples) for plane in planes[:channels]]
        raw = rows[0][None] if channels == 1 else np.stack(rows)
    else:
        raw = np.frombuffer(planes[0], dtype, samples * channels).reshape(samples, channels).T
    if raw.dtype.kind == "f":
        return raw.astype(np.float32, copy=False)
    if raw.dtype == np.uint8:
        return (raw.astype(np.float32) - 128.0) / 128.0
    return raw.astype(np.float32) * np.float32(2.0 ** -(8 * raw.dtype.itemsize - 1))
