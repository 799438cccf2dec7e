"""How long a medium is presented, from as few of its bytes as its format allows.

Three ways, cheapest first:

- `container`: the header is exact by construction (PCM sizes, FLAC's total if the last frame ends there, a LAME-tagged
  mp3, the sample tables of an unfragmented mp4). Only the header is read, and FLAC's end.
- `packets`: the header rounds, estimates or is silent. Timestamps of the first and last packets are read where the
  container can seek by time or byte, of all packets where it cannot.
- `decode`: packets carry neither time nor duration, or may be parts. Frames are decoded and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, Literal

import av
import av.error
from av.audio.frame import AudioFrame
from av.container import InputContainer
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from shared.media.byte_file import ByteFile
from shared.media.container import only, open_container, packets_of, packets_to_damage
from shared.media.pacing import last_picture_ticks
from shared.media.probe.hollow_file import HollowFile
from shared.media.probe.mp3_header import counts_its_frames
from shared.media.probe.sample_table import sample_table_spans
from shared.media.probe.spans import FirstSound, Span, SpanMeter, first_sound, joined
from shared.media.tail_seek import SEEKS_BY_BYTE, positions_from_the_end

Method = Literal["container", "packets", "decode"]

MOV: Final = "mov,mp4,m4a,3gp,3g2,mj2"
MATROSKA: Final = "matroska,webm"
_HAS_ZERO: Final = frozenset({MOV, MATROSKA, "avi"})
"""Timelines that begin at zero, whatever the first packet says; elsewhere the earliest PTS is the beginning."""
_COUNTED_IN_HEADER: Final = frozenset({"caf"})
_PCM_CONTAINERS: Final = frozenset({"wav", "w64", "aiff", "au"})
_SEEKS_BY_TIME: Final = frozenset({MATROSKA, MOV, "ogg", "avi"})
_SEEKS_BY_BYTE: Final = SEEKS_BY_BYTE | {"mpegts", "asf"}
_WITHOUT_TIMESTAMPS: Final = frozenset({"mp3", "aac", "ac3", "eac3", "dts", "truehd", "mlp", "amr", "amrnb", "amrwb"})
"""Audio streams whose packets are simply counted."""
_MUTE_AT_FIRST: Final = ("wma", "vorbis")
"""Their decoders need two packets for the first sound: the first packet's time is not presented."""
_TAIL_MICROSECONDS: Final = 3_000_000
_TAIL_BYTES: Final = 2 * 1024 * 1024
_FLAC_TAIL_BYTES: Final = 64 * 1024
"""More than two frames of CD sound."""
_SMALL_BYTES: Final = 1024 * 1024
"""Below this, reading everything is no dearer than seeking."""
_MOST_HEAD_PACKETS: Final = 500


@dataclass(frozen=True)
class Timeline:
    """The answer.

    Attributes:
        duration: presented seconds; None where nothing tells (no audio or video stream, no packet).
        method: how it was found.
        spans: what is known of each real stream, by index.
    """

    duration: Fraction | None
    method: Method
    spans: dict[int, Span]


def measure_timeline(
    file: HollowFile, container: InputContainer, streams: list[Stream], progress: Callable[[float], None]
) -> Timeline:
    """Find out how long a medium is presented.

    Args:
        file: the bytes; opened a second time where all packets must be read.
        container: `file`, freshly opened with `header_only`.
        streams: its real audio and video streams; cover art is not one of them.
        progress: told the share of the file that was read.

    Raises:
        LastFrameError: whatever the source or the container raises.
    """
    is_video = any(stream.type == "video" for stream in streams)
    if not streams:
        return Timeline(_seconds(container.duration, Fraction(1, av.time_base)), "container", {})
    if file.is_hollow:
        spans = sample_table_spans(file, container, streams)
        return Timeline(_duration(MOV, is_video, spans), "container", spans)
    if not is_video and _is_exact(file, container, streams[0]):
        stream = streams[0]
        length = _seconds(stream.duration, stream.time_base)
        return Timeline(length, "container", {stream.index: Span(start=Fraction(0), end=length)})
    if not is_video and _only_decoding_tells(container, streams[0]):
        return _by_decoding(file, streams)
    sound = None if is_video else first_sound(streams[0], packets_of(container, streams[0]))
    starts = _late_starts(file, container, streams) if is_video else {}
    timeline = _by_tail(file, container, streams, sound, starts)
    return timeline or _by_all_packets(file, streams, sound, starts, progress)


def _late_starts(file: ByteFile, container: InputContainer, streams: list[Stream]) -> dict[int, Fraction]:
    """Where sound begins whose first packets decode to nothing, by stream index; it may be where the medium begins."""
    starts = {}
    if container.format.name not in _HAS_ZERO:
        for index in [s.index for s in streams if s.type == "audio" and _codec_name(s).startswith(_MUTE_AT_FIRST)]:
            with open_container(file) as fresh:
                only(fresh, [fresh.streams[index]])
                found = first_sound(fresh.streams[index], packets_of(fresh, fresh.streams[index]))
            if found is not None and found.start_seconds is not None:
                starts[index] = found.start_seconds
    return starts


def _begun(spans: dict[int, Span], starts: dict[int, Fraction]) -> dict[int, Span]:
    for index, start in starts.items():
        span = spans[index]
        if span.start is not None and not span.closed:
            span.start = max(span.start, start)
    return spans


def foresee_method(file: HollowFile, container: InputContainer, streams: list[Stream]) -> tuple[Method, int]:
    """How `measure_timeline` will go about it, and about how many bytes it will read beyond the header.

    Args: as of `measure_timeline`.
    """
    is_video = any(stream.type == "video" for stream in streams)
    if not streams or file.is_hollow or (not is_video and _is_exact(file, container, streams[0])):
        return "container", 0
    if not is_video and _only_decoding_tells(container, streams[0]):
        return "decode", file.size_bytes
    return "packets", 2 * _TAIL_BYTES if _can_skip_the_middle(file, container) else file.size_bytes


def _is_exact(file: ByteFile, container: InputContainer, stream: Any) -> bool:
    """Whether this audio file's header can be believed."""
    name = container.format.name
    if not stream.duration or stream.duration < 0:
        return False
    if name == "mp3":
        return counts_its_frames(file)
    if name == "flac":
        return _ends_as_declared(file, container, stream)
    if name in _COUNTED_IN_HEADER:
        return True
    codec = stream.codec_context
    if name not in _PCM_CONTAINERS or codec is None or not codec.name.startswith("pcm_"):
        return False
    first = next((packet for packet in packets_of(container, stream) if packet.size), None)
    if first is None or first.pos is None or not first.duration:
        return False
    frame_bytes = Fraction(first.size) / (first.duration * first.time_base * codec.sample_rate)
    samples = stream.duration * stream.time_base * codec.sample_rate
    return bool(first.pos + samples * frame_bytes <= file.size_bytes + frame_bytes)


def _only_decoding_tells(container: InputContainer, stream: Stream) -> bool:
    """Of sounds whose header is not exact: WMA, whose decoder swallows a frame at either end and whose container does
    not say which; FLAC with a wrong total, whose last frame may be a part of one."""
    return _codec_name(stream).startswith("wma") or (container.format.name == "flac" and bool(stream.duration))


def _ends_as_declared(file: ByteFile, container: InputContainer, stream: Any) -> bool:
    """Whether the last FLAC frame ends with the sample that the header calls the last: not in a file that broke off,
    nor in one of several glued together."""
    for tail_bytes in (_FLAC_TAIL_BYTES, _TAIL_BYTES):
        container.seek(max(0, file.size_bytes - tail_bytes), unsupported_byte_offset=True)
        meter = SpanMeter([stream])
        meter.add_all(packets_to_damage(container.demux(stream)))
        end = meter.spans()[stream.index].end
        if end is not None:
            break
    container.seek(0)
    return bool(end == stream.duration * stream.time_base)


def _by_tail(
    file: ByteFile,
    container: InputContainer,
    streams: list[Stream],
    sound: FirstSound | None,
    starts: dict[int, Fraction],
) -> Timeline | None:
    """First and last packets; None where this container must be read whole."""
    name, size = container.format.name, file.size_bytes
    if not _can_skip_the_middle(file, container):
        return None
    if sound is None:
        meter = SpanMeter(streams)
        meter.add_all(packets_of(container, *streams), until_complete=_MOST_HEAD_PACKETS)
        head = meter.spans()
    else:
        head = {streams[0].index: Span(start=sound.start_seconds)}
    if any(span.start is None for span in head.values()):
        return None
    try:
        if name in _SEEKS_BY_BYTE:
            # FLV must be entered at a tag; the others anywhere.
            target = next(positions_from_the_end(file, name), 0) if name == "flv" else max(0, size - _TAIL_BYTES)
            container.seek(target, unsupported_byte_offset=True)
        else:
            container.seek(max(0, (container.duration or 0) + (container.start_time or 0) - _TAIL_MICROSECONDS))
    except av.error.FFmpegError:
        return None
    meter = SpanMeter(streams)
    packets = packets_to_damage(packets_of(container, *streams))
    meter.add_all(filter(_is_mpeg_frame, packets) if name == "mp3" else packets)
    tail = meter.spans()
    if any(span.end is None for span in tail.values()):
        return None
    spans = _begun(joined(head, tail), starts)
    _end_with_the_last_picture(container, streams, spans)
    return Timeline(_duration(name, sound is None, spans), "packets", spans)


def _can_skip_the_middle(file: ByteFile, container: InputContainer) -> bool:
    """Whether the last packets can be reached without reading all those before."""
    name = container.format.name
    if file.size_bytes <= _SMALL_BYTES or _is_chained(file, name):
        return False
    return bool(container.duration) if name in _SEEKS_BY_TIME else name in _SEEKS_BY_BYTE


def _is_chained(file: ByteFile, name: str) -> bool:
    """Whether an Ogg file ends in another logical stream than it begins with (RFC 3533 section 4)."""
    if name != "ogg":
        return False
    head = file.bytes_at(0, 64 * 1024)
    tail = file.bytes_at(max(0, file.size_bytes - 64 * 1024), 64 * 1024)
    last = tail.rfind(b"OggS")
    first_serials = {head[at + 14 : at + 18] for at in _pages(head) if head[at + 5] & 0x02}
    return last >= 0 and tail[last + 14 : last + 18] not in first_serials


def _pages(data: bytes) -> Iterator[int]:
    at = data.find(b"OggS")
    while 0 <= at < len(data) - 18:
        yield at
        at = data.find(b"OggS", at + 4)


def _by_all_packets(
    file: ByteFile,
    streams: list[Stream],
    sound: FirstSound | None,
    starts: dict[int, Fraction],
    progress: Callable[[float], None],
) -> Timeline:
    indexes = [stream.index for stream in streams]
    with open_container(file) as container:
        name = container.format.name
        chosen = [container.streams[index] for index in indexes]
        meter = SpanMeter(chosen, {indexes[0]: sound.frame_samples} if sound else None)
        packets = packets_to_damage(packets_of(container, *chosen))
        if name == "mp3":
            packets = filter(_is_mpeg_frame, packets)
        meter.add_all(_reporting(packets, file, progress))
        spans = _begun(meter.spans(), starts)
        _end_with_the_last_picture(container, chosen, spans)
        if name == "wav" and _codec_name(chosen[0]).startswith("adpcm"):
            _without_padding(spans[indexes[0]], chosen[0])
    duration = _audio_duration(name, spans[indexes[0]], sound) if sound else _duration(name, True, spans)
    if duration:
        return Timeline(duration, "packets", spans)
    return _by_decoding(file, streams)


def _end_with_the_last_picture(container: InputContainer, streams: list[Stream], spans: dict[int, Span]) -> None:
    """End videos where their last picture does, in containers that know better than the packet."""
    for stream in streams:
        span, tick = spans[stream.index], stream.time_base
        if isinstance(stream, VideoStream) and stream.codec_context is not None and span.end is not None and tick:
            begins = span.end - span.last_duration
            ticks = last_picture_ticks(
                container.format.name, stream, round(begins / tick), round(span.last_duration / tick)
            )
            span.end = begins + ticks * tick if ticks else span.end


def _without_padding(span: Span, stream: Any) -> None:
    """End the last block of ADPCM where the `fact` chunk says that the sound does."""
    declared = _seconds(stream.duration, stream.time_base)
    if declared is not None and span.end is not None and 0 < span.end - declared < span.last_duration:
        span.end = declared


def _audio_duration(name: str, span: Span, sound: FirstSound) -> Fraction | None:
    mute = span.counted / span.packets * sound.mute_packets if span.packets else Fraction(0)
    if name in _WITHOUT_TIMESTAMPS or span.undated == span.packets or (name == "ogg" and span.closed):
        return span.counted - mute
    if not span.closed and sound.start_seconds is not None and span.end is not None:
        return span.end - sound.start_seconds
    return span.length


def _duration(name: str, is_video: bool, spans: dict[int, Span]) -> Fraction | None:
    """Presented seconds of the whole: audio by its samples, video to the latest end of any stream."""
    dated = [span for span in spans.values() if span.start is not None and span.end is not None]
    if not dated:
        return max((span.counted for span in spans.values()), default=None) or None
    if any(span.closed for span in dated):
        return max(span.length or Fraction(0) for span in dated)
    end = max(span.end for span in dated if span.end is not None)
    if is_video and name in _HAS_ZERO:
        return end
    return end - min(span.start for span in dated if span.start is not None)


def _by_decoding(file: ByteFile, streams: list[Stream]) -> Timeline:
    """Decode everything and count: samples over the rate, frames over the frame rate."""
    indexes = [stream.index for stream in streams]
    totals = dict.fromkeys(indexes, Fraction(0))
    with open_container(file) as container:
        chosen: list[Any] = [container.streams[index] for index in indexes]
        for packet in packets_to_damage(packets_of(container, *chosen)):
            stream: Any = packet.stream
            for frame in _decoded(packet):
                if isinstance(frame, AudioFrame):
                    totals[stream.index] += Fraction(frame.samples, frame.sample_rate)
                elif isinstance(frame, VideoFrame):
                    totals[stream.index] += 1 / Fraction(stream.average_rate or stream.guessed_rate or 25)
    spans = {index: Span(start=Fraction(0), end=total) for index, total in totals.items()}
    return Timeline(max(totals.values()) or None, "decode", spans)


def _is_mpeg_frame(packet: Any) -> bool:
    """Whether it begins with a sync word (ISO 11172-3 2.4.1.3): tags behind an mp3 or between two come as packets."""
    return not packet.size or (bytes(memoryview(packet)[:2]) >= b"\xff\xe0")


def _decoded(packet: Any) -> list[Any]:
    try:
        return list(packet.decode())
    except av.error.InvalidDataError:
        return []  # a damaged packet, as the last one of a file that broke off


def _codec_name(stream: Any) -> str:
    return stream.codec_context.name if stream.codec_context is not None else ""


def _reporting(packets: Iterator[Any], file: ByteFile, progress: Callable[[float], None]) -> Iterator[Any]:
    size = file.size_bytes or 1
    for number, packet in enumerate(packets):
        if number % 512 == 0:
            progress(min(1.0, file.tell() / size))
        yield packet


def _seconds(ticks: int | None, time_base: Fraction | None) -> Fraction | None:
    return Fraction(ticks) * time_base if ticks is not None and time_base is not None and ticks >= 0 else None
