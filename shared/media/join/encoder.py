"""Encode the clips that differ: decode, fit, put on the planned clock, and hand to x264 or NVENC."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import pairwise
from typing import Any

import av
import av.error
from av.codec.context import Flags
from av.container import InputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from shared.errors import UnsupportedMedia
from shared.media.accelerator import Engines, NvdecFailed, NvdecMetDamage, NvencFailed, nvdec_frames
from shared.media.container import first_video_stream, only, open_container, packets_of
from shared.media.join.clip import Clip
from shared.media.join.look import PROFILE_NAMES, QUALITIES, Look
from shared.media.join.nvenc import nvenc_groups, nvenc_parameter_sets, nvenc_takes, open_nvenc
from shared.media.join.parameter_sets import MAX_PARAMETER_SET_ID, ParameterSets, read_parameter_sets
from shared.media.join.picture import PictureFitter
from shared.media.join.plan import JoinPlan, Part
from shared.media.step import StepContext

KEY_FRAME_SECONDS = 2
"""Longest distance between key frames: how far a player has to go back to seek."""


class Encoders:
    """The encoders of one join: x264, and NVENC before it on a GPU that has one.

    Both write parameter sets of their own, and the join's header holds all of them: so a clip that NVENC began can be
    finished by x264, from any key frame on. NVENC is used where the ids that it insists on are free in the copied
    clips.

    Attributes:
        parameter_sets: of every encoder that this join may use; empty when it encodes nothing.
    """

    def __init__(self, plan: JoinPlan, context: StepContext, engines: Engines) -> None:
        self._plan, self._context, self._engines = plan, context, engines
        self._software_id = plan.parameter_set_id
        self._uses_nvenc = False
        self.parameter_sets: list[ParameterSets] = []
        if plan.encoded:
            self._add_nvenc()
            with self.software_header() as stream:
                sets = read_parameter_sets(stream.codec_context.extradata or b"")
            assert sets is not None
            self.parameter_sets.append(sets)

    def _add_nvenc(self) -> None:
        plan = self._plan
        assert plan.look is not None
        if not (self._engines.may_encode and nvenc_takes(plan.look)):
            return
        try:
            sets = nvenc_parameter_sets(plan.look, plan.quality, _key_frame_distance(plan.look))
        except NvencFailed as error:
            self._engines.fall_back("nvenc_failed", error)
            return
        taken = {number for one in plan.copied_sets for number in one.used_ids()}
        free = set(range(MAX_PARAMETER_SET_ID + 1)) - taken - sets.used_ids()
        if free and not taken & sets.used_ids():
            self._software_id = min(free)
            self._uses_nvenc = True
            self.parameter_sets.append(sets)

    @contextmanager
    def software_header(self) -> Iterator[VideoStream]:
        """A stream that has the header of what x264 encodes here: one black frame, encoded and muxed in memory."""
        look, file = self._plan.look, io.BytesIO()
        assert look is not None
        with av.open(file, "w", format="mp4") as output:
            rate = look.nominal_rate.limit_denominator(1001)
            stream = output.add_stream("libx264", rate=rate, width=look.width, height=look.height)
            self._describe(stream.codec_context, threads=1)
            output.mux(stream.encode(VideoFrame(look.width, look.height, "yuv420p")))
            output.mux(stream.encode(None))
        file.seek(0)
        with av.open(file) as header:
            yield header.streams.video[0]

    def packets(self, part: Part, warn: Callable[[str], None]) -> Iterator[Packet[Any]]:
        """The packets of one encoded clip in decoding order; `pts` is the frame's place in the clip, from 0.

        There are exactly as many frames as planned: where the clip has none for a moment, the one before stays.

        Raises:
            UnsupportedMedia: not one frame of the clip can be decoded.
        """
        self._engines.has_worked = True
        done = 0
        if self._uses_nvenc and self._engines.may_encode:
            try:
                for group in self._nvenc_groups(part, warn):
                    yield from group
                    done += len(group)
                self._engines.has_encoded = True
                return
            except NvencFailed as error:
                self._engines.fall_back("nvenc_failed", error)
        yield from self._by_x264(part, done, warn)

    def _nvenc_groups(self, part: Part, warn: Callable[[str], None]) -> Iterator[list[Packet[Any]]]:
        look = self._plan.look
        assert look is not None
        encoder = open_nvenc(look, self._plan.quality, _key_frame_distance(look))
        if read_parameter_sets(encoder.extradata or b"") != self.parameter_sets[0]:
            raise NvencFailed("NVENC writes another header than before")
        yield from nvenc_groups(encoder, self._pictures(part, warn), len(part.times.ticks))

    def _by_x264(self, part: Part, first: int, warn: Callable[[str], None]) -> Iterator[Packet[Any]]:
        """From the frame at place `first` on."""
        encoder = av.CodecContext.create("libx264", "w")
        assert isinstance(encoder, VideoCodecContext)
        self._describe(encoder, self._context.threads)
        encoder.open()
        for place, picture in self._pictures(part, warn):
            if place >= first:
                picture.pts, picture.time_base, picture.pict_type = place, 1 / encoder.framerate, 0
                yield from encoder.encode(picture)
        yield from encoder.encode(None)

    def _pictures(self, part: Part, warn: Callable[[str], None]) -> Iterator[tuple[int, VideoFrame]]:
        assert self._plan.look is not None
        return _on_clock(_fitted(part.clip, self._plan.look, self._context, self._engines, warn), part)

    def _describe(self, encoder: VideoCodecContext, threads: int) -> None:
        """Every x264 of one join writes the same parameter sets. Timestamps count frames."""
        look = self._plan.look
        assert look is not None
        rate = look.nominal_rate.limit_denominator(1001)
        crf, preset = QUALITIES[self._plan.quality]
        encoder.width, encoder.height, encoder.pix_fmt = look.width, look.height, "yuv420p"
        encoder.framerate, encoder.time_base = rate, 1 / rate
        encoder.sample_aspect_ratio = look.sample_aspect
        encoder.colorspace, encoder.color_primaries = look.colour.matrix, look.colour.primaries
        encoder.color_trc, encoder.color_range = look.colour.transfer, 2 if look.colour.full_range else 1
        encoder.flags |= Flags.global_header
        encoder.thread_count = threads
        encoder.options = {
            "preset": preset,
            "crf": str(crf),
            "profile": PROFILE_NAMES[look.profile],
            "x264-params": f"sps-id={self._software_id}:open-gop=0:keyint={_key_frame_distance(look)}",
        }


def _key_frame_distance(look: Look) -> int:
    """Frames."""
    return max(1, round(look.nominal_rate.limit_denominator(1001) * KEY_FRAME_SECONDS))


def _on_clock(pictures: Iterator[tuple[Fraction, VideoFrame]], part: Part) -> Iterator[tuple[int, VideoFrame]]:
    """Each planned frame with the picture nearest to its time: the last one that is shown before half-way to the
    next. `pictures` come with their time in seconds from the clip's first frame."""
    times = [*part.times.ticks, part.times.length]
    halfway = [(now + following) * part.times.tick / 2 for now, following in pairwise(times)]
    place, current = 0, None
    for time, picture in pictures:
        while current is not None and place < len(halfway) and halfway[place] <= time:
            yield place, current
            place += 1
        current = picture
    if current is None:
        raise UnsupportedMedia("no picture of the video can be decoded", input_name=part.clip.label)
    for rest in range(place, len(halfway)):
        yield rest, current


def _fitted(
    clip: Clip, look: Look, context: StepContext, engines: Engines, warn: Callable[[str], None]
) -> Iterator[tuple[Fraction, VideoFrame]]:
    """The clip's pictures in the join's look, with their time in seconds from the clip's first frame."""
    fitter = PictureFitter(clip, look, context.scratch)
    start = clip.times.start if clip.packets_are_timed else Fraction(0)
    for frame in _frames(clip, context, engines, warn):
        assert frame.time_base is not None
        for picture in fitter.fit(frame, frame.time_base):
            yield _seconds(picture) - start, picture
    for picture in fitter.finish():
        yield _seconds(picture) - start, picture


def _seconds(picture: VideoFrame) -> Fraction:
    assert picture.pts is not None and picture.time_base is not None
    return picture.pts * picture.time_base


def _frames(clip: Clip, context: StepContext, engines: Engines, warn: Callable[[str], None]) -> Iterator[VideoFrame]:
    """Every picture of the clip, timed, in display order: by NVDEC as far as it goes, the rest in software."""
    shown: int | None = None
    if engines.may_decode(clip.codec, clip.pixel_format, clip.width, clip.height):
        try:
            with _video(clip, context) as (container, stream):
                size = (clip.width, clip.height)
                frames = nvdec_frames(stream, packets_of(container, stream), context.max_pixels, size)
                for frame in _timed(clip, stream, frames):
                    shown = frame.pts
                    yield frame
            engines.has_decoded = True
            return
        except NvdecMetDamage:
            pass  # software conceals it
        except NvdecFailed as error:
            engines.fall_back("nvdec_failed", error)
    damaged = 0

    def sound(frames: Iterator[VideoFrame | None]) -> Iterator[VideoFrame | None]:
        nonlocal damaged
        for frame in frames:
            damaged += int(frame is None or frame.is_corrupt)
            yield frame

    with _video(clip, context) as (container, stream):
        stream.codec_context.thread_count = context.threads
        stream.codec_context.thread_type = "AUTO"
        for frame in _timed(clip, stream, sound(_decoded(container, stream))):
            assert frame.pts is not None
            if shown is None or frame.pts > shown:
                yield frame
    if damaged:
        warn(f"{clip.label}: {damaged} damaged pictures; the ones before were held or repaired as far as possible")


@contextmanager
def _video(clip: Clip, context: StepContext) -> Iterator[tuple[InputContainer, VideoStream]]:
    with open_container(clip.source, max_pixels=context.max_pixels) as container:
        stream = first_video_stream(container)
        only(container, [stream])
        yield container, stream


def _timed(clip: Clip, stream: VideoStream, frames: Iterator[VideoFrame | None]) -> Iterator[VideoFrame]:
    """The frames that have a time; where packets carry none of their own, frames are numbered."""
    time_base = stream.time_base if clip.packets_are_timed else 1 / clip.times.average_rate
    assert time_base is not None
    for number, frame in enumerate(frames):
        if frame is None:
            continue
        if not clip.packets_are_timed:
            frame.pts = number
        if frame.pts is not None:
            frame.time_base = time_base
            yield frame


def _decoded(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame | None]:
    """Decoded frames in display order; None for each packet that could not be decoded."""
    for packet in packets_of(container, stream):
        try:
            frames = stream.codec_context.decode(packet if packet.size else None)
        except av.error.InvalidDataError:
            yield None
            continue
        yield from frames
