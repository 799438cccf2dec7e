"""H.264 parameter sets: read them from avcC or Annex B, know their ids, and merge two generations into one avcC.

A stream that was copied keeps its own SPS and PPS; what had to be encoded beside it uses other ids (x264's
`sps-id`), so one `avc1` sample entry can carry both and every slice still finds the set it names.
Formats: ISO/IEC 14496-15 §5.3.3.1 (AVCDecoderConfigurationRecord), ITU-T H.264 §7.3.2.1.1, §7.3.2.2, Annex B.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

NAL_IDR, NAL_SPS, NAL_PPS, NAL_DELIMITER = 5, 7, 8, 9
NAL_SPS_EXTENSION = 13
MAX_PARAMETER_SET_ID = 31
"""Largest `seq_parameter_set_id` (H.264 §7.4.2.1.1)."""

PROFILES_WITH_CHROMA_INFO = frozenset({100, 110, 122, 144, 244, 44})
"""Profiles whose avcC carries chroma format and bit depths after the parameter sets (14496-15 §5.3.3.1.2)."""


@dataclass(frozen=True)
class ParameterSets:
    """The parameter sets of one H.264 stream.

    Attributes:
        sps: sequence parameter sets, NAL header included, without trailing zeros.
        pps: picture parameter sets, likewise.
        length_size: bytes of a NAL's length prefix in this stream's samples; 0 means Annex B start codes.
    """

    sps: tuple[bytes, ...]
    pps: tuple[bytes, ...]
    length_size: int

    @property
    def profile(self) -> int:
        """`profile_idc` of the first SPS: 66 baseline, 77 main, 100 high, 110 high 10, ..."""
        return self.sps[0][1]

    @property
    def level(self) -> int:
        """`level_idc`, ten times the level."""
        return self.sps[0][3]

    def used_ids(self) -> set[int]:
        """Every SPS and PPS id that these sets define."""
        return {sps_id(nal) for nal in self.sps} | {pps_id(nal) for nal in self.pps}

    def free_id(self) -> int | None:
        """The smallest id that no SPS and no PPS uses; None when all 32 are taken."""
        return free_id(self.used_ids())


def free_id(taken: Collection[int]) -> int | None:
    """The smallest id that an SPS may have and that is not taken."""
    return next((number for number in range(MAX_PARAMETER_SET_ID + 1) if number not in taken), None)


def read_parameter_sets(extradata: bytes) -> ParameterSets | None:
    """The sets in a stream's extradata, avcC or Annex B; None where it holds no complete pair."""
    if extradata[:1] == b"\x01" and len(extradata) >= 7:
        sps, pps, length_size = _read_avcc(extradata)
    else:
        nals = [bytes(nal) for nal in annex_b_units(extradata)]
        sps = [nal for nal in nals if nal[0] & 31 == NAL_SPS]
        pps = [nal for nal in nals if nal[0] & 31 == NAL_PPS]
        length_size = 0
    sps = [nal for nal in (nal.rstrip(b"\0") for nal in sps) if len(nal) >= 4]
    pps = [nal for nal in (nal.rstrip(b"\0") for nal in pps) if len(nal) >= 2]
    return ParameterSets(tuple(sps), tuple(pps), length_size) if sps and pps else None


def _read_avcc(extradata: bytes) -> tuple[list[bytes], list[bytes], int]:
    length_size = (extradata[4] & 3) + 1
    position = 5
    found: list[list[bytes]] = []
    for mask in (31, 255):
        count = extradata[position] & mask if position < len(extradata) else 0
        position += 1
        units = []
        for _ in range(count):
            size = int.from_bytes(extradata[position : position + 2], "big")
            units.append(extradata[position + 2 : position + 2 + size])
            position += 2 + size
        found.append(units)
    return found[0], found[1], length_size


def build_avcc(generations: list[ParameterSets], chroma_info: bytes) -> bytes:
    """One avcC that holds every generation's sets, with 4-byte NAL lengths.

    Args:
        generations: the copied stream's sets first; their ids must not clash.
        chroma_info: what `chroma_info_of` found in the copied stream's avcC; empty where the profile has none.
    """
    sps = [nal for sets in generations for nal in sets.sps]
    pps = [nal for sets in generations for nal in sets.pps]
    compatibility = 0xFF
    for nal in sps:
        compatibility &= nal[2]
    record = bytearray((1, max(nal[1] for nal in sps), compatibility, max(nal[3] for nal in sps), 0xFF))
    record.append(0xE0 | len(sps))
    for nal in sps:
        record += len(nal).to_bytes(2, "big") + nal
    record.append(len(pps))
    for nal in pps:
        record += len(nal).to_bytes(2, "big") + nal
    return bytes(record + chroma_info)


def chroma_info_of(sets: ParameterSets) -> bytes:
    """The four closing bytes of an avcC: chroma format, bit depths, no SPS extensions; empty below High."""
    if sets.profile not in PROFILES_WITH_CHROMA_INFO:
        return b""
    bits = Bits(unescape(sets.sps[0][4:]))
    bits.exp_golomb()
    chroma_format = bits.exp_golomb()
    if chroma_format == 3:
        bits.take(1)
    luma_depth, chroma_depth = bits.exp_golomb(), bits.exp_golomb()
    return bytes((0xFC | chroma_format, 0xF8 | luma_depth, 0xF8 | chroma_depth, 0))


def sps_id(nal: bytes) -> int:
    """`seq_parameter_set_id`: the first Exp-Golomb code after profile, constraints and level."""
    return Bits(unescape(nal[4:])).exp_golomb()


def pps_id(nal: bytes) -> int:
    """`pic_parameter_set_id`: the first Exp-Golomb code of the payload."""
    return Bits(unescape(nal[1:])).exp_golomb()


def annex_b_units(data: bytes | memoryview) -> Iterator[bytes]:
    """The NAL units between start codes, without the zero bytes that pad them."""
    whole = bytes(data)
    start = whole.find(b"\0\0\1")
    while start >= 0:
        start += 3
        end = whole.find(b"\0\0\1", start)
        unit = (whole[start:] if end < 0 else whole[start:end]).rstrip(b"\0")
        if unit:
            yield unit
        start = end


def prefixed_units(data: bytes | memoryview, length_size: int) -> Iterator[memoryview]:
    """The NAL units of a sample whose units carry a length of `length_size` bytes.

    Raises:
        ValueError: a length runs past the end of the sample (the file is damaged).
    """
    view, position = memoryview(data), 0
    while position + length_size <= len(view):
        size = int.from_bytes(view[position : position + length_size], "big")
        position += length_size
        if size > len(view) - position:
            raise ValueError("a NAL unit is longer than its sample")
        if size:
            yield view[position : position + size]
        position += size


def stream_units(data: bytes | memoryview, length_size: int) -> Iterator[bytes | memoryview]:
    """The NAL units of a sample: behind lengths of `length_size` bytes, or between start codes where that is 0."""
    return prefixed_units(data, length_size) if length_size else annex_b_units(data)


def has_idr(data: bytes | memoryview, length_size: int) -> bool:
    """Whether decoding may begin with this sample: nothing behind it refers to what was before."""
    return any(unit[0] & 31 == NAL_IDR for unit in stream_units(data, length_size))


def to_four_byte_lengths(data: bytes | memoryview, length_size: int) -> bytes:
    """A sample as `avc1` wants it: 4-byte lengths, no parameter sets, no access unit delimiters."""
    sample = bytearray()
    for unit in stream_units(data, length_size):
        if unit[0] & 31 not in (NAL_SPS, NAL_PPS, NAL_DELIMITER, NAL_SPS_EXTENSION):
            sample += len(unit).to_bytes(4, "big") + unit
    return bytes(sample)


class Bits:
    """Reads single bits and Exp-Golomb codes (H.264 §9.1), high bit first."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "big"), len(data) * 8
        self._length = self._left

    @property
    def position(self) -> int:
        """How many bits were read."""
        return self._length - self._left

    def take(self, count: int) -> int:
        if count > self._left:
            raise ValueError("a parameter set ends too early")
        self._left -= count
        return (self._value >> self._left) & ((1 << count) - 1)

    def exp_golomb(self) -> int:
        zeros = 0
        while not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)


def unescape(payload: bytes) -> bytes:
    """The payload without emulation prevention bytes (H.264 §7.4.1)."""
    return payload.replace(b"\0\0\3", b"\0\0")
