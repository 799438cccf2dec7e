"""From when to when each stream of an mp4 or mov is presented: the demuxer's own tables and edit lists, read over
samples that are not there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import av.error
from av.container import InputContainer
from av.stream import Stream

from shared.media.byte_file import ByteFile
from shared.media.container import only
from shared.media.probe.spans import Span, SpanMeter, joined

_NO_FILLIN: Final = 0x10  # AVFMT_FLAG_NOFILLIN
_NO_PARSE: Final = 0x20  # AVFMT_FLAG_NOPARSE
_MOST_HEAD_PACKETS: Final = 500
_TAIL_SAMPLES: Final = 8
"""Of a sound's last samples, so many that a whole frame's length is among their durations."""


def sample_table_spans(file: ByteFile, container: InputContainer, streams: list[Stream]) -> dict[int, Span]:
    """The span of each stream by its index.

    Args:
        file: a hollow file; only its size is asked.
        container: `file`, opened with `header_only`.
    """
    container.flags |= _NO_FILLIN | _NO_PARSE  # sample contents are zeros
    is_cut_off = _is_cut_off(file, streams)
    spans = {}
    for stream in streams:
        only(container, [stream])  # streams begin and end far from one another, so each is measured alone
        spans[stream.index] = span = _sample_span(container, stream, is_cut_off)
        if stream.type == "audio":
            _end_as_presented(stream, span)
    return spans


def _sample_span(container: InputContainer, stream: Stream, is_cut_off: bool) -> Span:
    """By the first and the last packets; by all of them where an edit list or a cut hides the last ones."""
    container.seek(0)
    head = SpanMeter([stream])
    entries = stream.index_entries
    if is_cut_off or not len(entries) or entries[-1].is_discard:
        head.add_all(_whole(container.demux(stream)))
        return head.spans()[stream.index]
    head.add_all(container.demux(stream), until_complete=_MOST_HEAD_PACKETS)
    container.seek(max(0, entries[-min(len(entries), _TAIL_SAMPLES)].timestamp), stream=stream)
    tail = SpanMeter([stream])
    tail.add_all(container.demux(stream))
    return joined(head.spans(), tail.spans())[stream.index]


def _end_as_presented(stream: Any, span: Span) -> None:
    """Apply the edit list's end, which the demuxer leaves to players, or undo a shortened last packet.

    An edit shorter than the samples cuts the padding of the last frame. Without one (nor priming to cut) nothing tells
    players to drop samples, so the last AAC frame sounds in full however short the sample table calls it.
    """
    if span.start is None or span.end is None or not stream.duration:
        return
    edited = span.start + stream.duration * stream.time_base
    if edited < span.end:
        span.end = edited
    elif stream.codec_context.name == "aac" and not _has_priming(stream):
        span.end += span.frame_duration - span.last_duration


def _has_priming(stream: Stream) -> bool:
    """Whether an edit list hides samples in front of the first presented one."""
    return len(stream.index_entries) > 0 and stream.index_entries[0].is_discard


def _is_cut_off(file: ByteFile, streams: list[Stream]) -> bool:
    """Whether the index names samples that this file no longer has."""
    return any(
        len(stream.index_entries) and stream.index_entries[-1].pos + stream.index_entries[-1].size > file.size_bytes
        for stream in streams
    )


def _whole(packets: Iterator[Any]) -> Iterator[Any]:
    """The packets in front of the place where the file was cut."""
    try:
        for packet in packets:
            if not packet.is_corrupt:
                yield packet
    except av.error.FFmpegError:
        return
