"""What one clip is: measured by decoding its first picture and reading every packet of its video once."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import atan2, degrees
from typing import Any

import av
import av.error
from av.container import InputContainer
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from shared.errors import LimitExceeded, UnsupportedMedia
from shared.media.byte_file import ByteFile
from shared.media.container import audio_streams, first_video_stream, only, open_container, packets_of
from shared.media.display import displayed_size, plausible_aspect
from shared.media.join.colour import FULL, Colour
from shared.media.join.parameter_sets import (
    NAL_IDR,
    NAL_PPS,
    NAL_SPS,
    ParameterSets,
    read_parameter_sets,
    stream_units,
)
from shared.media.join.timeline import FrameTimes, frame_times, regular_times
from shared.media.limits import DURATION_GRACE_SECONDS
from shared.media.pacing import declared_rate, last_picture_ticks
from shared.media.probe.hollow_file import HollowFile
from shared.media.probe.sparse_file import sparse_file
from shared.media.side_data import side_data
from shared.media.source import ByteSource
from shared.media.step import StepContext
from shared.media.tail import has_guessed_times, stored_rate

EXACT_CLOCK_FORMATS = ("mov",)
"""Containers whose timestamps are the author's; others round them to their own clock."""

_HEVC_IDR = (19, 20)  # IDR_W_RADL, IDR_N_LP: ITU-T H.265 table 7-1
_HEVC_CRA = 21
_FALLBACK_RATE = Fraction(25)


@dataclass(frozen=True)
class Sound:
    """A clip's first audio stream: samples, channels and coded bits a second (0 where the file does not say)."""

    sample_rate: int
    channels: int
    bitrate: int


@dataclass(frozen=True)
class Clip:
    """One input of a join.

    Attributes:
        index: place in the request, from 0.
        width, height: pixels of the stored picture, before rotation and sample aspect.
        sample_aspect: width of a stored pixel over its height.
        orientation: libavfilter filters that turn the stored picture upright; empty for none.
        matrix: the nine numbers of the display matrix behind `orientation`, or empty.
        packets_are_timed: every packet has its own timestamp; else frames are taken as evenly spaced.
        pixel_format: FFmpeg name, the deprecated `yuvj*` given as `yuv*` with a full-range `colour`.
        coded_bytes: of the packets that are shown.
        missing_frames: how many the index lists behind the end of a file that was cut off.
        obstacles: why the video cannot be copied whatever the others are, in words; empty when it can.
    """

    index: int
    source: ByteSource
    codec: str
    width: int
    height: int
    sample_aspect: Fraction
    orientation: tuple[str, ...]
    matrix: tuple[int, ...]
    pixel_format: str
    colour: Colour
    interlaced: bool
    extradata: bytes
    parameter_sets: ParameterSets | None
    times: FrameTimes
    packets_are_timed: bool
    sound: Sound | None
    coded_bytes: int
    missing_frames: int
    obstacles: tuple[str, ...]

    @property
    def label(self) -> str:
        return self.source.label

    @property
    def duration(self) -> Fraction:
        """Seconds of picture."""
        return self.times.duration

    @property
    def display_size(self) -> tuple[int, int]:
        """Width and height as shown: sample aspect and rotation applied, whole pixels."""
        return displayed_size(self.width, self.height, self.sample_aspect, is_turned=self.is_turned)

    @property
    def is_turned(self) -> bool:
        """Whether orientation swaps width and height."""
        return _is_turned(self.orientation)


def read_clip(index: int, source: ByteSource, context: StepContext, *, sparsely: bool = False) -> Clip:
    """Measure one clip.

    Args:
        sparsely: of an mp4 read no more than `sparse_file` shows; damage between its key frames is not seen then.

    Raises:
        UnsupportedMedia: no video that can be decoded, or nothing that can be shown.
        LimitExceeded: `too_many_pixels` or `duration_too_long`.
    """
    file = sparse_file(source, max_pixels=context.max_pixels, key_frames=True) if sparsely else ByteFile(source)
    with open_container(file, max_pixels=context.max_pixels) as container:
        stream = first_video_stream(container)
        if (stream.width or 0) * (stream.height or 0) > context.max_pixels:
            raise LimitExceeded("the picture has too many pixels", word="too_many_pixels")
        sounds = audio_streams(container)
        sound = None
        if sounds and sounds[0].rate and sounds[0].channels:
            sound = Sound(sounds[0].rate, sounds[0].channels, sounds[0].bit_rate or 0)
        only(container, [stream])
        scan = _Scan(container, stream, file)
        limit = context.max_duration_seconds
        scan.run(limit)
        frame = scan.first_frame
        if frame is None:
            raise UnsupportedMedia("the video has no picture that can be decoded")
        if limit is not None and scan.times.duration > limit + DURATION_GRACE_SECONDS:
            raise _too_long(scan.times.duration, limit)
        matrix = _display_matrix(frame)
        orientation = orientation_filters(matrix)
        return Clip(
            index=index,
            source=source,
            codec=stream.codec_context.codec.canonical_name,
            width=frame.width,
            height=frame.height,
            sample_aspect=plausible_aspect(
                frame.width,
                frame.height,
                stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio,
                is_turned=_is_turned(orientation),
            ),
            orientation=orientation,
            matrix=matrix if orientation else (),
            pixel_format=frame.format.name.replace("yuvj", "yuv"),
            colour=_colour(frame),
            interlaced=frame.interlaced_frame,
            extradata=stream.codec_context.extradata or b"",
            parameter_sets=scan.parameter_sets,
            times=scan.times,
            packets_are_timed=scan.is_timed,
            sound=sound,
            coded_bytes=scan.coded_bytes,
            missing_frames=_missing_frames(stream, source),
            obstacles=tuple(scan.obstacles),
        )


class _Scan:
    """One pass over the video packets: their times, and whether the first one starts afresh."""

    def __init__(self, container: InputContainer, stream: VideoStream, file: ByteFile) -> None:
        self._container, self._stream = container, stream
        self._file = file if isinstance(file, HollowFile) else None
        self._codec = stream.codec_context.codec.canonical_name
        self._extradata = stream.codec_context.extradata or b""
        self.parameter_sets = read_parameter_sets(self._extradata) if self._codec == "h264" else None
        self.first_frame: VideoFrame | None = None
        self.obstacles: list[str] = []
        self.is_timed = True
        self.coded_bytes = 0
        self.times: FrameTimes
        self._rate = declared_rate(stream)

    def run(self, limit_seconds: float | None) -> None:
        pts: list[int] = []
        dts: list[int | None] = []
        last_pts, last_duration, kept = None, 0, 0
        for packet in self._packets():
            if self.first_frame is None:
                self._decode(packet)
            if packet.is_corrupt:
                self._obstacle("the file is damaged")
            if packet.is_discard:
                self._obstacle("an edit list hides some of its frames")
                continue
            if not self._is_hollow(packet):
                self._inspect(packet, is_first=kept == 0)
            kept += 1
            self.coded_bytes += packet.size
            dts.append(packet.dts)
            if packet.pts is None:
                self.is_timed = False
                continue
            pts.append(packet.pts)
            if last_pts is None or packet.pts > last_pts:
                last_pts, last_duration = packet.pts, packet.duration or 0
        if self.first_frame is None:
            self._decode(None)
        if has_guessed_times(self._container, self._stream, pts):
            self.is_timed = False
            pts.clear()  # the first picture's turn is the clip's zero
            self._rate = stored_rate(dts, self._stream.time_base) or self._rate
        if last_pts is not None:
            last_duration = last_picture_ticks(self._container.format.name, self._stream, last_pts, last_duration)
        self.times = self._times(self._from_first_frame(pts), kept, last_duration)

    def _decode(self, packet: av.Packet[VideoStream] | None) -> None:
        """Recordings may begin in the midst of a group of pictures: what comes before its end cannot be decoded."""
        try:
            self.first_frame = next(iter(self._stream.codec_context.decode(packet)), None)
        except av.error.InvalidDataError:
            self._obstacle("it does not begin with a picture that can be decoded")

    def _from_first_frame(self, pts: list[int]) -> list[int]:
        """Without the pictures that no decoder shows, because what they refer to lies before the clip."""
        first = self.first_frame.pts if self.first_frame is not None and self.is_timed else None
        shown = pts if first is None else [time for time in pts if time >= first]
        if len(shown) < len(pts):
            self._obstacle("it does not begin with a picture that can be decoded")
        return shown

    def _packets(self) -> Iterator[av.Packet[VideoStream]]:
        return (packet for packet in packets_of(self._container, self._stream) if packet.size)

    def _is_hollow(self, packet: Any) -> bool:
        return self._file is not None and packet.pos is not None and self._file.is_hole(packet.pos)

    def _times(self, pts: list[int], kept: int, last_duration: int) -> FrameTimes:
        stream = self._stream
        if not kept:
            raise UnsupportedMedia("the video has no picture that can be shown")
        if not self.is_timed:
            self._obstacle("its packets carry no timestamps")
            start = min(pts) * stream.time_base if pts and stream.time_base else Fraction(0)
            return regular_times(kept, self._rate or _FALLBACK_RATE, start)
        if len(set(pts)) < len(pts):
            self._obstacle("two of its frames share a timestamp")
            pts = sorted(set(pts))
        assert stream.time_base is not None
        return frame_times(
            pts,
            last_duration=last_duration,
            time_base=stream.time_base,
            rounded=not self._container.format.name.startswith(EXACT_CLOCK_FORMATS),
            nominal_rate=self._rate,
        )

    def _inspect(self, packet: Any, *, is_first: bool) -> None:
        if is_first and not packet.is_keyframe:
            self._obstacle("it does not begin with a key frame")
        if self._codec == "h264":
            self._inspect_h264(packet, is_first)
        elif self._codec == "hevc" and is_first:
            kinds = {unit[0] >> 1 & 63 for unit in self._units(packet, self._hevc_length_size())}
            if not kinds & {*_HEVC_IDR, _HEVC_CRA}:
                self._obstacle("it does not begin with a key frame")
            elif _HEVC_CRA in kinds:
                self._obstacle("its first group of pictures is open")

    def _inspect_h264(self, packet: Any, is_first: bool) -> None:
        sets = self.parameter_sets
        if sets is None:
            self._obstacle("its parameter sets are not in the header")
            return
        known = {*sets.sps, *sets.pps}
        has_idr = False
        try:
            for unit in self._units(packet, sets.length_size):
                kind = unit[0] & 31
                has_idr = has_idr or kind == NAL_IDR
                if kind in (NAL_SPS, NAL_PPS) and bytes(unit).rstrip(b"\0") not in known:
                    self._obstacle("its parameter sets change inside the clip")
        except ValueError:
            self._obstacle("the file is damaged")
        if is_first and not has_idr:
            self._obstacle("its first group of pictures is open")

    def _hevc_length_size(self) -> int:
        is_record = self._extradata[:1] == b"\x01" and len(self._extradata) > 22
        return (self._extradata[21] & 3) + 1 if is_record else 0

    @staticmethod
    def _units(packet: Any, length_size: int) -> Iterator[Any]:
        return stream_units(memoryview(packet), length_size)

    def _obstacle(self, words: str) -> None:
        if words not in self.obstacles:
            self.obstacles.append(words)


def orientation_filters(matrix: tuple[int, ...]) -> tuple[str, ...]:
    """libavfilter filters that apply a display matrix, by the rules of FFmpeg's own tools (`autorotate`).

    Only quarter turns and mirrors are applied; any other angle is shown as stored.
    """
    if not matrix or not (matrix[0] or matrix[1]):
        return ()
    angle = round(degrees(atan2(matrix[1], matrix[0]))) % 360
    if angle == 90:
        return ("transpose=cclock_flip",) if matrix[3] > 0 else ("transpose=clock",)
    if angle == 180:
        return (*(["hflip"] if matrix[0] < 0 else []), *(["vflip"] if matrix[4] < 0 else []))
    if angle == 270:
        return ("transpose=clock_flip",) if matrix[3] < 0 else ("transpose=cclock",)
    return ("vflip",) if angle == 0 and matrix[4] < 0 else ()


def _is_turned(orientation: tuple[str, ...]) -> bool:
    return any(name.startswith("transpose") for name in orientation)


def _missing_frames(stream: VideoStream, source: ByteSource) -> int:
    size, entries, missing = source.size_bytes or 0, stream.index_entries, 0
    while missing < len(entries) and entries[-1 - missing].pos + entries[-1 - missing].size > size:
        missing += 1
    return missing if size else 0


def _display_matrix(frame: VideoFrame) -> tuple[int, ...]:
    data = side_data(frame, SideDataType.DISPLAYMATRIX)
    return struct.unpack("=9i", data[:36]) if data is not None else ()


def _colour(frame: VideoFrame) -> Colour:
    full = frame.color_range == FULL or frame.format.name.startswith("yuvj")
    return Colour(int(frame.colorspace), int(frame.color_primaries), int(frame.color_trc), full)


def _too_long(duration: Fraction, limit_seconds: float | None) -> LimitExceeded:
    return LimitExceeded(
        f"the video is {float(duration):.3f} s long; at most {limit_seconds:g} s are allowed",
        word="duration_too_long",
    )
