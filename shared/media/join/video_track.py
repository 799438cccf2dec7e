"""The joined picture as one stream of packets, copied or encoded, on the join's clock."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import islice, pairwise
from typing import Any

from av.packet import Packet
from av.video.stream import VideoStream

from shared.errors import ProcessingFailed, UnsupportedMedia
from shared.media.container import first_video_stream, only, open_container, packets_of
from shared.media.join.ahead import ahead
from shared.media.join.encoder import Encoders
from shared.media.join.parameter_sets import build_avcc, chroma_info_of, has_idr, to_four_byte_lengths
from shared.media.join.plan import JoinPlan, Part
from shared.media.join.renumber import renumbered_sample
from shared.media.join.timeline import decode_ticks, placed_ticks
from shared.media.step import StepContext

ENCODED_AHEAD = 120
"""How many encoded packets may wait for their turn while clips before them are copied."""


@contextmanager
def video_header(plan: JoinPlan, encoders: Encoders, context: StepContext) -> Iterator[tuple[VideoStream, bytes]]:
    """A template for the muxers, and the extradata that describes copied and encoded clips alike."""
    if not plan.copied:
        sets = encoders.parameter_sets
        with encoders.software_header() as template:
            header = template.codec_context.extradata or b""
            yield template, header if len(sets) == 1 else build_avcc(sets, chroma_info_of(sets[-1]))
        return
    clip = plan.copied[0].clip
    with open_container(clip.source, max_pixels=context.max_pixels) as container:
        template = first_video_stream(container)
        sets = [*plan.copied_sets, *encoders.parameter_sets]
        own = clip.parameter_sets
        if own is None or (len(sets) == 1 and own.length_size == 4):
            yield template, clip.extradata
        else:
            yield template, build_avcc(sets, chroma_info_of(max(sets, key=lambda one: one.profile)))


def video_packets(
    plan: JoinPlan, encoders: Encoders, context: StepContext, warn: Callable[[str], None]
) -> Generator[Packet[Any], None, None]:
    """Every packet of the joined picture in decoding order, timed in ticks of 1/`plan.timescale` seconds.

    The encoder works in a thread, ahead of the copying.

    Raises:
        UnsupportedMedia: a clip cannot be decoded, or changed since it was measured; names the clip.
    """
    shown = array("q")
    for part in plan.parts:
        shown.extend(sorted(placed_ticks(part.times, part.start, plan.timescale)))
    end = round(plan.duration * plan.timescale)
    durations = {now: following - now for now, following in pairwise([*shown, end])}
    clock = decode_ticks(shown, end, plan.reorder_depth)
    time_base = Fraction(1, plan.timescale)
    encoding = (packet for part in plan.encoded for packet in encoders.packets(part, warn))
    with ahead(encoding, ENCODED_AHEAD) as encoded:
        for part in plan.parts:
            places = list(placed_ticks(part.times, part.start, plan.timescale))
            packets = _copied(part, plan, context) if part.is_copied else _encoded(encoded, part)
            for (packet, place), dts in zip(packets, islice(clock, len(places)), strict=True):
                pts = places[place]
                if dts > pts:
                    raise ProcessingFailed("an encoder reordered frames further than planned", word="internal_error")
                packet.pts, packet.dts, packet.duration, packet.time_base = pts, dts, durations[pts], time_base
                yield packet


def _copied(part: Part, plan: JoinPlan, context: StepContext) -> Iterator[tuple[Packet[Any], int]]:
    """The clip's own packets, with the index of each in the plan's times; H.264 in 4-byte-length form.

    An `avc1` track's sync samples are IDR pictures (ISO/IEC 14496-15 §5.4.2.2): sources also mark the pictures that an
    open group begins with, and browsers that seek to one of those stop at the pictures before it.
    """
    clip, planned, found = part.clip, len(part.times.ticks), 0
    length_size = clip.parameter_sets.length_size if clip.parameter_sets else 4
    pps_ids = part.header.pps_ids if part.header else {}
    with open_container(clip.source, max_pixels=context.max_pixels) as container:
        stream = first_video_stream(container)
        only(container, [stream])
        for packet in packets_of(container, stream):
            if not packet.size:
                continue
            if found == planned:
                break
            if packet.is_keyframe and clip.parameter_sets is not None:
                packet.is_keyframe = has_idr(memoryview(packet), length_size)
            if length_size == 4 and not pps_ids:
                yield packet, found
            else:
                data = memoryview(packet)
                rewritten = renumbered_sample(data, length_size, pps_ids) if pps_ids else None
                sample = Packet(rewritten or to_four_byte_lengths(data, length_size))
                sample.is_keyframe = packet.is_keyframe
                yield sample, found
            found += 1
    if found != planned:
        raise UnsupportedMedia("the file changed while it was read", input_name=clip.label)


def _encoded(packets: Iterator[Packet[Any]], part: Part) -> Iterator[tuple[Packet[Any], int]]:
    """The encoder's packets in 4-byte-length form, with the frame's place in the clip."""
    for packet in islice(packets, len(part.times.ticks)):
        sample = Packet(to_four_byte_lengths(memoryview(packet), 0))
        sample.is_keyframe = packet.is_keyframe
        assert packet.pts is not None
        yield sample, packet.pts
