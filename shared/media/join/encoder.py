"""Encode the clips that differ: decode, fit, put on the planned clock, and hand to x264."""

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
from shared.media.container import first_video_stream, only, open_container
from shared.media.join.clip import Clip
from shared.media.join.look import PROFILE_NAMES, QUALITIES, Look
from shared.media.join.picture import PictureFitter
from shared.media.join.plan import JoinPlan, Part
from shared.media.step import StepContext

KEY_FRAME_SECONDS = 2
"""Longest distance between key frames: how far a player has to go back to seek."""


@contextmanager
def encoded_header(plan: JoinPlan) -> Iterator[VideoStream]:
    """A stream that has the header of every clip this plan encodes: one black frame, encoded and muxed in memory."""
    assert plan.look is not None
    look, file = plan.look, io.BytesIO()
    encoder = open_encoder(plan, threads=1)
    with av.open(file, "w", format="mp4") as output:
        stream = output.add_stream("libx264", rate=encoder.framerate, width=look.width, height=look.height)
        _describe(stream.codec_context, plan, threads=1)
        output.mux(stream.encode(VideoFrame(look.width, look.height, "yuv420p")))
        output.mux(stream.encode(None))
    file.seek(0)
    with av.open(file) as header:
        yield header.streams.video[0]


def open_encoder(plan: JoinPlan, threads: int) -> VideoCodecContext:
    """x264 for this plan; every encoder of one plan writes the same parameter sets. Timestamps count frames."""
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, VideoCodecContext)
    _describe(encoder, plan, threads)
    encoder.open()
    return encoder


def _describe(encoder: VideoCodecContext, plan: JoinPlan, threads: int) -> None:
    look = plan.look
    assert look is not None
    rate = look.nominal_rate.limit_denominator(1001)
    crf, preset = QUALITIES[plan.quality]
    encoder.width, encoder.height, encoder.pix_fmt = look.width, look.height, "yuv420p"
    encoder.framerate, encoder.time_base = rate, 1 / rate
    encoder.sample_aspect_ratio = look.sample_aspect
    encoder.colorspace, encoder.color_primaries = look.colour.matrix, look.colour.primaries
    encoder.color_trc, encoder.color_range = look.colour.transfer, 2 if look.colour.full_range else 1
    encoder.flags |= Flags.global_header
    encoder.thread_count = threads
    key_frames = max(1, round(rate * KEY_FRAME_SECONDS))
    encoder.options = {
        "preset": preset,
        "crf": str(crf),
        "profile": PROFILE_NAMES[look.profile],
        "x264-params": f"sps-id={plan.parameter_set_id}:open-gop=0:keyint={key_frames}",
    }


def encoded_packets(
    plan: JoinPlan, part: Part, context: StepContext, warn: Callable[[str], None]
) -> Iterator[Packet[Any]]:
    """The packets of one encoded clip in decoding order; `pts` is the frame's place in the clip, from 0.

    There are exactly as many frames as planned: where the clip has none for a moment, the one before stays.

    Raises:
        UnsupportedMedia: not one frame of the clip can be decoded.
    """
    assert plan.look is not None
    encoder = open_encoder(plan, context.threads)
    for place, picture in _on_clock(_pictures(part.clip, plan.look, context, warn), part):
        picture.pts, picture.time_base, picture.pict_type = place, 1 / encoder.framerate, 0
        yield from encoder.encode(picture)
    yield from encoder.encode(None)


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


def _pictures(
    clip: Clip, look: Look, context: StepContext, warn: Callable[[str], None]
) -> Iterator[tuple[Fraction, VideoFrame]]:
    fitter = PictureFitter(clip, look, context.scratch)
    with open_container(clip.source, max_pixels=context.max_pixels) as container:
        stream = first_video_stream(container)
        only(container, [stream])
        stream.codec_context.thread_count = context.threads
        stream.codec_context.thread_type = "AUTO"
        # Frames are numbered where packets carry no times of their own.
        time_base = stream.time_base if clip.packets_are_timed else 1 / clip.times.average_rate
        assert time_base is not None
        start = clip.times.start if clip.packets_are_timed else Fraction(0)
        damaged = 0
        for number, frame in enumerate(_frames(container, stream)):
            if frame is None or frame.is_corrupt:
                damaged += 1
            if frame is None:
                continue
            if not clip.packets_are_timed:
                frame.pts = number
            if frame.pts is None:
                continue
            frame.time_base = time_base
            for picture in fitter.fit(frame, time_base):
                yield _seconds(picture) - start, picture
        for picture in fitter.finish():
            yield _seconds(picture) - start, picture
    if damaged:
        warn(f"{clip.label}: {damaged} damaged pictures; the ones before were held or repaired as far as possible")


def _seconds(picture: VideoFrame) -> Fraction:
    assert picture.pts is not None and picture.time_base is not None
    return picture.pts * picture.time_base


def _frames(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame | None]:
    """Decoded frames in display order; None for each packet that could not be decoded."""
    for packet in container.demux(stream):
        try:
            frames = stream.codec_context.decode(packet if packet.size else None)
        except av.error.InvalidDataError:
            yield None
            continue
        yield from frames
