"""Write a join: one pass over the picture, any number of mp4 files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from shared.media.accelerator import Engines
from shared.media.audio.channels import LAYOUTS
from shared.media.join.aac import aac_packets
from shared.media.join.ahead import ahead
from shared.media.join.encoder import Encoders
from shared.media.join.plan import JoinPlan
from shared.media.join.sound import SoundTrack
from shared.media.join.timeline import placed_ticks
from shared.media.join.video_track import video_header, video_packets
from shared.media.mp4_index import index_bytes
from shared.media.step import AcceleratorUse, StepContext

SOUND_PACKETS_AHEAD = 256
PACKETS_PER_PROGRESS = 32


@dataclass(frozen=True)
class Output:
    """One mp4 file to write."""

    path: Path
    with_sound: bool


@dataclass(frozen=True)
class Written:
    """What was written: pictures, samples a channel (0 without sound), what went less than well, and what re-encoded
    it (None where no GPU was meant to)."""

    frames: int
    samples: int
    warnings: tuple[str, ...]
    accelerator: AcceleratorUse | None


def write_join(
    plan: JoinPlan, outputs: Sequence[Output], context: StepContext, sound: SoundTrack | None = None
) -> Written:
    """Write the planned join into every output, demuxing and encoding each clip once.

    Sound is encoded to AAC in threads of its own and interleaved with the picture; it should be as long as the
    plan's duration. On an error incomplete files are left behind, in the scratch directory.

    Raises:
        LastFrameError: a clip could not be read or decoded; it names the clip.
    """
    warnings: list[str] = []
    engines = Engines(context)
    encoders = Encoders(plan, context, engines)
    with ExitStack() as stack:
        template, extradata = stack.enter_context(video_header(plan, encoders, context))
        files = [_Mp4(output, plan, template, extradata, sound if output.with_sound else None) for output in outputs]
        for file in files:
            stack.callback(file.container.close)
            file.container.start_encoding()
        video = stack.enter_context(closing(video_packets(plan, encoders, context, warnings.append)))
        audio: Iterator[Packet[Any]] = iter(())
        if sound is not None and any(file.sound for file in files):
            audio = stack.enter_context(ahead(aac_packets(sound, context.threads), SOUND_PACKETS_AHEAD))
        frames = _interleave(plan, files, video, audio, sample_rate=sound.sample_rate if sound else 1, context=context)
    return Written(frames, sound.samples if sound else 0, tuple(warnings), engines.use())


class _Mp4:
    """One output container and its streams."""

    def __init__(
        self, output: Output, plan: JoinPlan, template: VideoStream, extradata: bytes, sound: SoundTrack | None
    ) -> None:
        # The movie's own clock carries the edit lists: with the sample rate they are exact to the sample.
        movie_clock = sound.sample_rate if sound else plan.timescale
        options = {"moov_size": str(_index_bytes(plan, extradata, sound)), "movie_timescale": str(movie_clock)}
        self.container: OutputContainer = av.open(str(output.path), "w", format="mp4", container_options=options)
        # `opaque`: otherwise PyAV looks for an encoder of the template's codec.
        self.video = self.container.add_stream_from_template(template, opaque=True)
        self.video.codec_context.extradata = extradata or None
        self.video.time_base = Fraction(1, plan.timescale)
        if template.codec_context.codec.canonical_name == "hevc":
            self.video.codec_context.codec_tag = "hvc1"  # Apple players refuse hev1
        self.sound: AudioStream | None = None
        if sound is not None:  # describes the packets of `aac_packets`; its own encoder stays idle
            layout = LAYOUTS[sound.channels]
            self.sound = self.container.add_stream("aac", rate=sound.sample_rate, layout=layout)
            self.sound.time_base = Fraction(1, sound.sample_rate)


def _index_bytes(plan: JoinPlan, extradata: bytes, sound: SoundTrack | None) -> int:
    shown = [tick for part in plan.parts for tick in sorted(placed_ticks(part.times, part.start, plan.timescale))]
    steps = [following - now for now, following in pairwise(shown)]
    runs = 1 + sum(1 for now, following in pairwise(steps) if now != following) + plan.reorder_depth + 1
    return index_bytes(plan.frames, runs, extradata, sound.samples if sound else 0)


def _interleave(
    plan: JoinPlan,
    files: Sequence[_Mp4],
    video: Iterator[Packet[Any]],
    audio: Iterator[Packet[Any]],
    *,
    sample_rate: int,
    context: StepContext,
) -> int:
    """Mux both streams in the order of their decoding times; returns the number of pictures."""
    total, frames = float(plan.duration * plan.timescale), 0
    waiting = next(audio, None)
    for packet in video:
        assert packet.dts is not None
        while waiting is not None and (waiting.dts or 0) * plan.timescale < packet.dts * sample_rate:
            _mux_sound(files, waiting)
            waiting = next(audio, None)
        for file in files:
            packet.stream = file.video
            file.container.mux_one(packet)
        frames += 1
        if frames % PACKETS_PER_PROGRESS == 0:
            context.progress("joining", max(0.0, min(1.0, packet.dts / total)))
    while waiting is not None:
        _mux_sound(files, waiting)
        waiting = next(audio, None)
    context.progress("joining", 1.0)
    return frames


def _mux_sound(files: Sequence[_Mp4], packet: Packet[Any]) -> None:
    for file in files:
        if file.sound is not None:
            packet.stream = file.sound
            file.container.mux_one(packet)
