"""Finding the frame that a full decode of a video displays last, at the cost of its last group of pictures.

The method: decode from the last key frame to the end of the medium. The picture is *proven* when its PTS equals the
greatest PTS of the packets that edit lists let through and the decoder, told to report every error, reported none.
What cannot be proven from one key frame is tried from an earlier one, and in the end by decoding everything. Of a
damaged end the answer is what a full decode shows: the decoder conceals what it can, and a warning says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import chain, islice
from typing import Final

import av.error
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from shared.errors import UnsupportedMedia
from shared.media.byte_file import MERGED_GAP_BYTES, ByteFile, merged
from shared.media.container import MAX_PIXELS, has_lost_its_index, media_errors
from shared.media.frame_search import FinalFrame, FrameSearch, is_mov, origin_seconds
from shared.media.mp4_boxes import read_layout
from shared.media.source import ByteSource
from shared.media.step import Progress, no_progress
from shared.media.tail import (
    Decoded,
    Tail,
    decode_leniently,
    decode_strictly,
    expected_pts,
    has_presentation_times,
    media_packets,
    read_tail,
    shows_in_stored_order,
)
from shared.media.tail_seek import SEEKS_BY_BYTE, positions_from_the_end

# Of these a packet flagged as a key frame really starts afresh. Any other codec (palette deltas, screen codecs whose
# containers flag every frame) is decoded from its start.
TRUSTED_KEY_FRAMES: Final = """
    h264 hevc vvc vp8 vp9 av1 mpeg1video mpeg2video mpeg4 msmpeg4v1 msmpeg4v2 msmpeg4v3 wmv1 wmv2
    wmv3 vc1 h263 flv1 theora mjpeg prores dnxhd dvvideo rawvideo v210 huffyuv ffvhuff utvideo magicyuv jpeg2000 cfhd
    hap ffv1 png
"""
_BACK_SECONDS: Final = (0, 2, 6, 15, 40, 120)
"""Where to look for a key frame, before the end that the header tells."""
_KEYS_TRIED: Final = 3
_KEYS_TRIED_IN_DAMAGE: Final = 6
_BEYOND_THE_END_SECONDS: Final = 3600
_GUESSED: Final = "the end of the video is damaged; parts of this picture may be guessed by the decoder"


def find_last_frame(
    source: ByteSource,
    *,
    max_pixels: int = MAX_PIXELS,
    max_duration_seconds: float | None = None,
    threads: int = 2,
    progress: Progress = no_progress,
) -> FinalFrame:
    """The frame that a full decode of the first real video stream displays last.

    Raises:
        UnsupportedMedia: no video stream, or not one frame of it can be decoded.
        LimitExceeded: `duration_too_long`, `too_many_pixels`.
        LastFrameError: whatever the source raised.
    """
    progress("reading", 0.0)
    file = ByteFile(source)
    with media_errors(file):
        layout = read_layout(file)
        is_indexed = layout is not None and layout.indexed and not layout.fragmented
        search = FrameSearch(file, is_indexed, max_pixels, max_duration_seconds, threads, progress)
        return _from_the_end(search) or _full_decode(search)


# From the end ---------------------------------------------------------------------------------------------------


def _from_the_end(search: FrameSearch) -> FinalFrame | None:
    """The proven last frame, or what players show of a damaged end; None where only a full decode can tell."""
    seen: set[tuple[int | None, int | None]] = set()
    attempts = [(n, hold) for n in range(len(_BACK_SECONDS) + 1) for hold in (True, False)]
    next_attempt = 0
    for attempt, hold_samples in attempts:
        if attempt < next_attempt or (hold_samples and not search.is_indexed):
            continue
        with search.opened(strict=True, threads=search.threads, hold_samples=hold_samples) as (container, stream):
            search.refuse_longer(declared_seconds(container))
            if stream.codec_context.codec.canonical_name not in TRUSTED_KEY_FRAMES.split():
                return None
            tail, used = _tail(search, container, stream, attempt)
            if tail is None or tail.unbounded:
                return None
            if not tail.packets and hold_samples:
                # libavformat does not forget the end of the file that it met while samples were held back if the
                # first one wanted lies within its read-ahead: then open once more without holding.
                continue
            next_attempt = used + 1
            first = (tail.packets[0].pts, tail.packets[0].pos) if tail.packets else None
            if first is None or first in seen:
                continue
            seen.add(first)
            expected, turn = None, tail.last_decoding_time
            if has_presentation_times(container, tail.packets):
                expected, turn = expected_pts(tail.packets, float(stream.time_base or 0)), None
                if expected is None:
                    return None
            search.progress("decoding", 0.2)
            method, decoded = _decode(stream, tail, expected)
            if decoded.proven and decoded.frame is not None:
                if tail.incomplete:
                    search.warnings.append(_cut_off(tail))
                method = method if len(seen) == 1 else "earlier_key_frame"
                return search.found(container, stream, decoded.frame, method, turn=turn)
            if decoded.lost:
                search.is_damaged = True
                shown = _second_look(search, tail, expected, turn)
                if shown is not None:
                    return shown
    return None


def _decode(stream: VideoStream, tail: Tail, expected: int | None) -> tuple[str, Decoded]:
    """From the last key frame, and if that proves nothing from the one before; with the name of what gave the frame."""
    decoder = stream.codec_context
    start = tail.last_group_start
    if start:
        decoded = decode_strictly(decoder, tail.packets[start:], expected)
        if decoded.proven:
            return "last_gop", decoded
    method = "earlier_key_frame" if start else "last_gop"
    return method, decode_strictly(decoder, tail.packets, expected)


def _second_look(search: FrameSearch, tail: Tail, expected: int | None, turn: int | None) -> FinalFrame | None:
    """The same packets with one thread: frame threads lose good frames around an error, even a harmless one.

    What is damaged indeed is shown as a full decode shows it, the decoder concealing what it can. Concealment copies
    from earlier pictures, so the group in front must be clean (or none be there); else None.
    """
    start = tail.last_group_start
    with search.opened(strict=True, threads=1, hold_samples=search.is_indexed) as (container, stream):
        strict = decode_strictly(stream.codec_context, tail.packets, expected)
        if strict.proven and strict.frame is not None:
            search.is_damaged = False
            return search.found(
                container, stream, strict.frame, "earlier_key_frame" if start else "last_gop", turn=turn
            )
    if not tail.is_whole and (strict.first_error is None or not 0 < start <= strict.first_error):
        return None
    with search.opened(strict=False, threads=1, hold_samples=search.is_indexed) as (container, stream):
        frame = decode_leniently(stream.codec_context, tail.packets)
        if frame is None:
            return None
        is_clean = strict.frame is not None and frame.pts == strict.frame.pts
        if not is_clean or strict.lost > tail.incomplete or tail.is_reordered:
            search.displayed_frames = None
        if tail.incomplete:
            search.warnings.append(_cut_off(tail))
        elif is_clean:
            search.warnings.append(f"the end of the video is damaged: {strict.lost} frames cannot be decoded")
        if not is_clean:
            search.warnings.append(_GUESSED)
        return search.found(container, stream, frame, "last_clean_frame" if is_clean else "concealed", turn=turn)


def _cut_off(tail: Tail) -> str:
    return f"the file is cut off: its last {tail.incomplete} frames are incomplete"


def _tail(search: FrameSearch, container: InputContainer, stream: VideoStream, attempt: int) -> tuple[Tail | None, int]:
    """The stream's end as the `attempt`-th try reads it (None where there are no more tries), and the number of the
    try that it took: where a try finds no key frame the next one follows at once."""
    if search.is_indexed and is_mov(container) and len(stream.index_entries) > 0:
        return _indexed_tail(search, container, stream, attempt), attempt
    if attempt < len(_BACK_SECONDS):
        for used, (target, is_byte) in enumerate(_targets(search.file, container)):
            if used < attempt:
                continue
            with suppress(av.error.FFmpegError):
                container.seek(target, unsupported_byte_offset=is_byte)
                tail = read_tail(container, stream)
                if tail.unbounded or (tail.packets and (not is_byte or tail.packets[0].pts is not None)):
                    return tail, used
        return Tail(), len(_BACK_SECONDS) - 1
    return read_tail(container, stream, from_start=True), len(_BACK_SECONDS)


def _targets(file: ByteFile, container: InputContainer) -> Iterator[tuple[int, bool]]:
    """Where to seek to, each place further from the end: a time in microseconds, or (`True`) a byte."""
    if container.format.name in SEEKS_BY_BYTE:
        positions = positions_from_the_end(file, container.format.name)
        yield from islice(((position, True) for position in positions), len(_BACK_SECONDS))
    elif container.duration is not None:
        end = (container.start_time or 0) + container.duration
        yield from ((end - back_seconds * 1_000_000, False) for back_seconds in _BACK_SECONDS)


def _indexed_tail(search: FrameSearch, container: InputContainer, stream: VideoStream, attempt: int) -> Tail | None:
    """Plan exactly the samples from the `attempt`-th last key frame on, then read them."""
    size_bytes = search.file.size_bytes
    entries = list(stream.index_entries)
    present = [e for e in entries if e.pos + e.size <= size_bytes]
    keys = [i for i, e in enumerate(present) if e.is_keyframe]
    if not keys or attempt >= (_KEYS_TRIED_IN_DAMAGE if search.is_damaged else min(len(keys), _KEYS_TRIED)):
        return None
    search.displayed_frames = sum(not e.is_discard for e in present)
    start = keys[-1 - min(attempt, len(keys) - 1)]
    later_keys = [e.timestamp for e in entries if e.is_keyframe and e.timestamp > present[start].timestamp]
    # libavformat takes the target as a PTS and subtracts its DTS shift: aiming at the key frame itself would land one
    # group too early, so aim just before the next one.
    target = later_keys[0] - 1 if later_keys else entries[-1].timestamp + _ticks(stream, _BEYOND_THE_END_SECONDS)
    search.file.plan(merged(((e.pos, e.pos + e.size) for e in present[start:]), gap_bytes=MERGED_GAP_BYTES))
    container.seek(target, stream=stream)
    tail = read_tail(container, stream, from_start=start == 0)
    tail.incomplete = max(tail.incomplete, len(entries) - len(present))
    return tail


# By decoding everything -----------------------------------------------------------------------------------------


def _full_decode(search: FrameSearch) -> FinalFrame:
    """What every player would show: decode all, conceal damage, keep the last.

    Frame threads lose good frames before an error and conceal otherwise than one thread does, so they are trusted only
    while nothing goes wrong.
    """
    if not search.is_damaged:
        result = _decode_all(search, strict=True, threads=search.threads)
        if result is not None:
            return result
    result = _decode_all(search, strict=False, threads=1)
    if result is None:
        if has_lost_its_index(search.file):
            raise UnsupportedMedia("the file is cut off: its index (moov) is incomplete")
        raise UnsupportedMedia("not one frame of the file's video could be decoded")
    return result


def _decode_all(search: FrameSearch, *, strict: bool, threads: int) -> FinalFrame | None:
    """The last frame; None where there is none, or where `strict` and something went wrong."""
    with search.opened(strict=strict, threads=threads) as (container, stream):
        decoder = stream.codec_context
        starts_afresh = decoder.codec.canonical_name in TRUSTED_KEY_FRAMES.split()
        tick = float(stream.time_base or 0)
        expected_seconds = max(1.0, (container.duration or 0) / 1_000_000)
        last: VideoFrame | None = None
        turn: int | None = None
        is_dated = True
        displayed = errors = 0
        is_timed, is_damaged = not shows_in_stored_order(container), search.is_damaged and not starts_afresh
        for packet in chain(media_packets(container, stream), [None]):
            if packet is not None:
                is_timed = is_timed and packet.pts is not None
                is_dated = is_dated and packet.dts is not None
                is_damaged = packet.is_corrupt or (is_damaged and not (starts_afresh and packet.is_keyframe))
            try:
                for last in decoder.decode(packet):  # noqa: B007
                    displayed += 1
            except av.error.FFmpegError:
                errors += 1
                is_damaged = True
            time = packet.pts if packet is not None and packet.pts is not None else packet.dts if packet else None
            if time is not None:
                turn = time if turn is None else max(turn, time)
                seconds = time * tick - origin_seconds(container)
                search.refuse_longer(seconds)
                search.progress("decoding", min(0.95, max(0.0, seconds / expected_seconds)))
        if strict and displayed == 0:
            return None  # a decoder that refuses everything only when told to be strict says nothing about damage
        search.is_damaged = search.is_damaged or is_damaged
        if last is None or (strict and (errors or is_damaged)):
            return None
        search.displayed_frames = displayed
        search.warnings = [_GUESSED] if search.is_damaged else []
        method = "concealed" if search.is_damaged else "full_decode"
        return search.found(container, stream, last, method, turn=turn if is_dated and not is_timed else None)


# Facts of a container -------------------------------------------------------------------------------------------


def declared_seconds(container: InputContainer) -> float:
    """The index' duration where the format has one, else 0 (then the packets will tell: other headers may lie)."""
    if is_mov(container) and container.duration is not None:
        return container.duration / 1_000_000
    return 0.0


def _ticks(stream: VideoStream, seconds: int) -> int:
    return int(seconds / (stream.time_base or Fraction(1, 90000)))
