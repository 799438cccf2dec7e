"""Give an H.264 stream's parameter sets other ids, so that it can be copied beside streams that use the same ones.

Encoders number from 0, and a track has one header: two streams that were encoded differently name different sets by
the same ids. A slice names its PPS in an Exp-Golomb code (ITU-T H.264 §7.3.3). When a code of eight more bits takes
that place, all that follows moves by exactly one byte: nothing behind it has to be understood, the alignment of the
CABAC data included, and the pictures stay what they were to the bit.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from shared.media.join.parameter_sets import (
    Bits,
    ParameterSets,
    free_id,
    pps_id,
    sps_id,
    stream_units,
    unescape,
)

_MAX_PPS_ID = 255
_SLICE, _IDR_SLICE, _SEI, _AUXILIARY_SLICE = 1, 5, 6, 19
_LEFT_OUT = frozenset({7, 8, 9, 13, 14, 15, 20, 21})
"""Parameter sets and delimiters, which an `avc1` sample does not carry, and the layers of SVC, MVC and 3D, which only
decoders for those read and which name parameter sets as well (H.264 table 7-1)."""
_BUFFERING_PERIOD = 0
"""The one SEI message that names an SPS (§D.1.2). It tells a hypothetical decoder's bit rate, not how to decode."""
_HEAD_BYTES = 24
"""`first_mb_in_slice`, `slice_type` and the PPS id end within eight bytes, twelve when escaped."""


@dataclass(frozen=True)
class Renumbered:
    """One stream's parameter sets as a shared header names them.

    Attributes:
        sets: under their new ids, for samples with 4-byte lengths.
        pps_ids: the new id of each PPS; empty where all ids stayed.
    """

    sets: ParameterSets
    pps_ids: Mapping[int, int]


def renumber(sets: ParameterSets, taken: Collection[int]) -> Renumbered | None:
    """`sets` under ids outside `taken`; unchanged where they are outside already, None where there are none left."""
    if not sets.used_ids() & set(taken):
        return Renumbered(replace(sets, length_size=4), {})
    used = set(taken)
    sps_ids: dict[int, int] = {}
    pps_ids: dict[int, int] = {}
    for old in sorted({pps_id(nal) for nal in sets.pps}):
        length = _code(old)[1] + 8
        new = next((n for n in range(_MAX_PPS_ID + 1) if n not in used and _code(n)[1] == length), None)
        if new is None:
            return None
        pps_ids[old] = new
        used.add(new)
    for old in sorted({sps_id(nal) for nal in sets.sps}):
        new = free_id(used)
        if new is None:
            return None
        sps_ids[old] = new
        used.add(new)
    try:
        sps = tuple(nal[:4] + _with_ids(nal[4:], [sps_ids]) for nal in sets.sps)
        pps = tuple(nal[:1] + _with_ids(nal[1:], [pps_ids, sps_ids]) for nal in sets.pps)
    except KeyError:  # a PPS of an SPS that is not there
        return None
    return Renumbered(ParameterSets(sps, pps, length_size=4), pps_ids)


def renumbered_sample(data: bytes | memoryview, length_size: int, pps_ids: Mapping[int, int]) -> bytes:
    """A sample with 4-byte NAL lengths whose slices name their PPS by its new id.

    Args:
        length_size: of the lengths in `data`; 0 for Annex B.

    Raises:
        ValueError: the sample is damaged.
    """
    sample = bytearray()
    for unit in stream_units(data, length_size):
        kind = unit[0] & 31
        if kind in _LEFT_OUT:
            continue
        changed = bytes(unit)
        if kind in (_SLICE, _IDR_SLICE, _AUXILIARY_SLICE):
            changed = _slice(changed, pps_ids)
        elif kind == _SEI:
            changed = _without_buffering_period(changed)
        if changed:
            sample += len(changed).to_bytes(4, "big") + changed
    return bytes(sample)


def _slice(unit: bytes, pps_ids: Mapping[int, int]) -> bytes:
    # The cut stands behind a byte that has no part in any emulation prevention.
    cut = next((at for at in range(_HEAD_BYTES, len(unit)) if unit[at - 1] > 3), len(unit))
    head = unescape(unit[1:cut])
    bits = Bits(head)
    bits.exp_golomb()
    bits.exp_golomb()
    before = bits.position
    old = bits.exp_golomb()
    if old not in pps_ids:
        raise ValueError("a slice names a parameter set that is not there")
    behind = len(head) * 8 - bits.position
    code, length = _code(pps_ids[old])
    whole = int.from_bytes(head, "big")
    first = whole >> (len(head) * 8 - before)
    changed = ((first << length | code) << behind) | (whole & ((1 << behind) - 1))
    return unit[:1] + _escape(changed.to_bytes(len(head) + 1, "big").rstrip(b"\0")) + unit[cut:]


def _with_ids(payload: bytes, new_ids: list[Mapping[int, int]]) -> bytes:
    """A parameter set's payload with the ids that it begins with replaced."""
    head = unescape(payload)
    bits = Bits(head)
    value, length = 1, 1  # a leading one keeps the zeros behind it
    for ids in new_ids:
        code, size = _code(ids[bits.exp_golomb()])
        value, length = value << size | code, length + size
    behind = len(head) * 8 - bits.position
    value, length = value << behind | (int.from_bytes(head, "big") & ((1 << behind) - 1)), length + behind - 1
    padding = -length % 8
    value = (value << padding) & ((1 << (length + padding)) - 1)
    return _escape(value.to_bytes((length + padding) // 8, "big").rstrip(b"\0"))


def _without_buffering_period(unit: bytes) -> bytes:
    """An SEI unit without the messages of that type; empty when none are left."""
    payload, kept, at = unescape(unit[1:]), bytearray(), 0
    while at + 2 <= len(payload) and payload[at:] != b"\x80":
        begin, numbers = at, []
        for _ in range(2):  # type and size: bytes of 255 add up, the first other one ends the number (§7.3.2.3.1)
            number = 0
            while at < len(payload) and payload[at] == 255:
                number, at = number + 255, at + 1
            numbers.append(number + (payload[at] if at < len(payload) else 0))
            at += 1
        at += numbers[1]
        if numbers[0] != _BUFFERING_PERIOD:
            kept += payload[begin:at]
    return unit[:1] + _escape(bytes(kept) + b"\x80") if kept else b""


def _code(number: int) -> tuple[int, int]:
    """The Exp-Golomb code of a number, and its length in bits."""
    return number + 1, 2 * (number + 1).bit_length() - 1


def _escape(payload: bytes) -> bytes:
    """With emulation prevention bytes (H.264 §7.4.1); the last byte is not 0 here."""
    return re.sub(rb"\0\0(?=[\0-\3])", b"\0\0\3", payload)
