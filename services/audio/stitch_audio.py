"""The media step of audio stitch: sounds and silences, one after the other, to the sample."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from services.audio.join import Joiner
from services.audio.normalise import Normalising
from services.audio.stitch_target import MAX_OUTPUT_SECONDS, choose_target, refuse_longer
from shared.media.audio import Block
from shared.media.audio.formats import DEFAULT_FORMAT
from shared.media.audio.limiter import FullScaleGuard
from shared.media.audio.reader import BLOCK_SAMPLES, read_audio
from shared.media.audio.writer import AudioWriter
from shared.media.join.ahead import ahead
from shared.media.source import ByteSource
from shared.media.step import StepContext

_BLOCKS_AHEAD = 8  # decoding runs in a thread beside the encoder


@dataclass(frozen=True)
class StitchedPart:
    """One item of the output, in order.

    Attributes:
        source: index into the distinct sources, in the order of their first use; None for silence.
        start_seconds: where it begins in the result.
        duration_seconds: how long it is there.
        start_sample, samples: the same, at the output's rate.
        gain_db: what normalising did; 0 without it and for silence.
    """

    source: int | None
    start_seconds: float
    duration_seconds: float
    start_sample: int
    samples: int
    gain_db: float


@dataclass(frozen=True)
class StitchedAudio:
    """The file in scratch and what is in it.

    Attributes:
        total_audio_sources: items that are no silence.
        total_silence_duration: seconds of all silences together.
        output_audio_duration: seconds of the result.
        output_audio_file_size: bytes.
        output_sample_rate: Hz.
        output_channels: of the result.
        output_samples: per channel; what a decoder finds in the file.
        declicked_joins: how often the waveform would have jumped and was faded.
        parts: where each item went.
    """

    file_name: str
    content_type: str
    total_audio_sources: int
    total_silence_duration: float
    output_audio_duration: float
    output_audio_file_size: int
    output_sample_rate: int
    output_channels: int
    output_samples: int
    declicked_joins: int
    parts: list[StitchedPart]


def stitch_audio(
    context: StepContext,
    sources: Sequence[ByteSource],
    parts: Sequence[Mapping[str, float]],
    *,
    output_format: str = DEFAULT_FORMAT,
    sample_rate: int | None = None,
    channels: int | None = None,
    bitrate: int | None = None,
    normalize_lufs: float | None = None,
    declick: bool = True,
) -> StitchedAudio:
    """Join sounds and silences into one file whose length is the sum of its parts to the sample.

    Args:
        sources: anything with sound in it; a part names one by its index, and may do so again.
        parts: in order, each `{"source": index}` or `{"silence_seconds": seconds}`.
        output_format: a key of `FORMATS`.
        sample_rate: Hz; None for the best source's, or the nearest above that the format has.
        channels: a key of `LAYOUTS`; None for the widest source's, up to 2.
        bitrate: bit/s of the whole file; None for the format's default; passed over by lossless formats.
        normalize_lufs: bring each source to this integrated loudness, true peaks limited to -1 dBTP.
        declick: fade 3 ms on both sides of a join where the waveform jumps.

    Raises:
        InvalidRequest: no source in `parts`, or options that the format does not have.
        UnsupportedMedia: a source without sound; its label is in `input_name`.
        LimitExceeded: a source longer than the context allows, or a sum over six hours (`duration_too_long`).
    """
    target = choose_target(
        sources, parts, output_format=output_format, sample_rate=sample_rate, channels=channels, bitrate=bitrate
    )
    rate, width = target.sample_rate, target.channels

    def read(source: int) -> Iterator[Block]:
        return read_audio(
            sources[source], rate, width, max_duration_seconds=MAX_OUTPUT_SECONDS, threads=context.threads
        )

    gains: dict[int, Normalising] = {}
    joiner = Joiner(rate, width, declick=declick)
    guard = FullScaleGuard(rate, width)
    done: list[StitchedPart] = []

    def joined() -> Iterator[Block]:
        start = 0
        for number, part in enumerate(parts):
            context.progress("joining", number / len(parts))
            counter = _Counter()
            if "source" in part:
                source = int(part["source"])
                blocks, gain_db = read(source), 0.0
                if normalize_lufs is not None:
                    if source not in gains:
                        gains[source] = Normalising.towards(normalize_lufs, read(source), rate, width)
                    gain_db = gains[source].gain_db
                    blocks = gains[source].applied(blocks)
            else:
                source, gain_db = None, 0.0
                blocks = _silence(round(Fraction(part["silence_seconds"]) * rate), width)
            yield from map(guard.limit, joiner.part(counter.through(blocks)))
            count = counter.samples
            done.append(StitchedPart(source, start / rate, count / rate, start, count, round(gain_db, 2)))
            start += count
            refuse_longer(start, rate)
        yield guard.limit(joiner.finish())
        yield guard.finish()

    path = context.scratch / f"stitched.{target.format.name}"
    with (
        AudioWriter(
            path, target.format, rate, width, bitrate=bitrate, bits_per_sample=target.bits_per_sample
        ) as writer,
        ahead(joined(), _BLOCKS_AHEAD) as blocks,
    ):
        for block in blocks:
            writer.write(block)
    context.progress("joining", 1.0)

    silence = sum(part.samples for part in done if part.source is None)
    return StitchedAudio(
        file_name=path.name,
        content_type=target.format.content_type,
        total_audio_sources=sum(part.source is not None for part in done),
        total_silence_duration=silence / rate,
        output_audio_duration=writer.samples / rate,
        output_audio_file_size=path.stat().st_size,
        output_sample_rate=rate,
        output_channels=width,
        output_samples=writer.samples,
        declicked_joins=joiner.fades,
        parts=done,
    )


class _Counter:
    """Counts the samples that pass."""

    def __init__(self) -> None:
        self.samples = 0

    def through(self, blocks: Iterator[Block]) -> Iterator[Block]:
        for block in blocks:
            self.samples += block.shape[1]
            yield block


def _silence(samples: int, width: int) -> Iterator[Block]:
    while samples > 0:
        count = min(samples, BLOCK_SAMPLES)
        yield np.zeros((width, count), np.float32)
        samples -= count
