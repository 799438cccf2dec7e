"""H.264 streams under other parameter set ids: nothing but the ids may change."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from random import Random

import av
import numpy as np
import pytest

from shared.media.join.parameter_sets import (
    Bits,
    ParameterSets,
    annex_b_units,
    build_avcc,
    chroma_info_of,
    pps_id,
    read_parameter_sets,
    sps_id,
    to_four_byte_lengths,
    unescape,
)
from shared.media.join.renumber import renumber, renumbered_sample

SIZE = 96


def _stream(**options: str) -> tuple[ParameterSets, list[bytes]]:
    """Header and Annex B packets of a noisy clip: noise makes many emulation prevention bytes."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width = encoder.height = SIZE
    encoder.pix_fmt, encoder.framerate, encoder.time_base = "yuv420p", 25, Fraction(1, 25)
    encoder.flags |= av.codec.context.Flags.global_header
    encoder.options = {"preset": "medium", "crf": "12", **options}
    encoder.open()
    noise = np.random.default_rng(7)
    packets = []
    for number in range(12):
        pixels = noise.integers(0, 256, (SIZE * 3 // 2, SIZE)).astype(np.uint8)
        picture = av.VideoFrame.from_ndarray(pixels, format="yuv420p")
        picture.pts = number
        packets += encoder.encode(picture)
    packets += encoder.encode(None)
    sets = read_parameter_sets(encoder.extradata)
    assert sets is not None
    return sets, [bytes(packet) for packet in packets]


def _decoded(sets: list[ParameterSets], samples: list[bytes]) -> Iterator[bytes]:
    decoder = av.CodecContext.create("h264", "r")
    decoder.extradata = build_avcc(sets, chroma_info_of(sets[-1]))
    decoder.options = {"err_detect": "explode"}
    for sample in [*map(av.Packet, samples), None]:
        for frame in decoder.decode(sample):
            yield frame.to_ndarray().tobytes()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"preset": "ultrafast", "profile": "baseline"},
        {"x264-params": "slices=5:8x8dct=1:weightp=2"},
        {"x264-params": "cabac=0:bframes=3:ref=4"},
        {"x264-params": "tff=1", "flags": "+ilme+ildct"},
        {"x264-params": "sps-id=2"},
        {"x264-params": "sps-id=6"},
        {"x264-params": "nal-hrd=vbr:vbv-maxrate=9000:vbv-bufsize=9000"},
        {"x264-params": "bframes=0:scenecut=0:ref=1"},
    ],
)
def test_pictures_are_the_same_under_other_ids(options: dict[str, str]) -> None:
    sets, packets = _stream(**options)
    plain = renumber(sets, set())
    taken = {*sets.used_ids(), 0, 15, 16, 1}
    other = renumber(sets, taken)
    assert plain is not None
    assert other is not None
    assert (plain.pps_ids, plain.sets.sps) == ({}, sets.sps)
    assert not other.sets.used_ids() & taken
    assert {sps_id(nal) for nal in other.sets.sps}.isdisjoint({sps_id(nal) for nal in sets.sps})
    samples = [renumbered_sample(packet, 0, other.pps_ids) for packet in packets]
    own = [to_four_byte_lengths(packet, 0) for packet in packets]
    expected = list(_decoded([sets], own))
    assert len(expected) == 12
    assert list(_decoded([sets, other.sets], samples)) == expected
    assert max(map(len, samples)) - max(map(len, own)) < 16  # a byte a slice, and escapes at its head


def test_any_bits_may_follow_the_id() -> None:
    random = Random(11)
    for _ in range(3000):
        first, kind, old = random.choice([0, 0, 1, 8159]), random.choice([0, 2, 5, 7]), random.choice([0, 1, 2, 5])
        ids = {0: 15, 1: 31, 2: 40, 5: 70}
        head = "".join(_code(number) for number in (first, kind, old))
        rest = "".join(random.choices(["00000000", "00000011", "00000001", "11111111"], [6, 1, 1, 1], k=40))
        stop = "1" + "0" * (-(len(head) + len(rest) + 1) % 8)
        unit = b"\x65" + _escaped(_bytes(head + rest + stop))
        sample = len(unit).to_bytes(2, "big") + unit
        changed = renumbered_sample(sample, 2, ids)
        bits = Bits(unescape(changed[5:]))
        assert [bits.exp_golomb() for _ in range(3)] == [first, kind, ids[old]]
        assert changed[5:] == _escaped(_bytes("".join(_code(n) for n in (first, kind, ids[old])) + rest + stop))


def _code(number: int) -> str:
    return "0" * ((number + 1).bit_length() - 1) + f"{number + 1:b}"


def _bytes(bits: str) -> bytes:
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def _escaped(payload: bytes) -> bytes:
    """Byte by byte, as H.264 §7.4.1 says it."""
    escaped, zeros = bytearray(), 0
    for byte in payload:
        if zeros == 2 and byte <= 3:
            escaped.append(3)
            zeros = 0
        escaped.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(escaped)


def test_the_message_that_names_a_parameter_set_goes_and_others_stay() -> None:
    _, packets = _stream(**{"x264-params": "nal-hrd=vbr:vbv-maxrate=900:vbv-bufsize=900"})
    messages = [unit[1] for unit in annex_b_units(packets[0]) if unit[0] & 31 == 6]
    assert set(messages) > {0}  # a buffering period and others
    sample = renumbered_sample(packets[0], 0, {0: 15})
    kept = [unit[1] for unit in _units(sample) if unit[0] & 31 == 6]
    assert kept == [kind for kind in messages if kind != 0]
    both = b"\x06\x00\x03abc\x05\x02de\x80"
    assert renumbered_sample(len(both).to_bytes(4, "big") + both, 4, {})[4:] == b"\x06\x05\x02de\x80"


def _units(sample: bytes) -> Iterator[bytes]:
    while sample:
        size = int.from_bytes(sample[:4], "big")
        yield sample[4 : 4 + size]
        sample = sample[4 + size :]


def test_ids_run_out_in_order() -> None:
    sets, _ = _stream()
    taken: set[int] = set()
    headers = []
    while (header := renumber(sets, taken)) is not None:
        headers.append(header.sets)
        taken |= header.sets.used_ids()
    assert len(headers) == 16  # its own, and the PPS ids from 15 with a code of nine bits, less one for an SPS
    record = build_avcc(headers, chroma_info_of(sets))
    merged = read_parameter_sets(record)
    assert merged is not None
    assert len({sps_id(nal) for nal in merged.sps}) == len({pps_id(nal) for nal in merged.pps}) == 16


def test_a_slice_of_an_unknown_parameter_set_is_damage() -> None:
    with pytest.raises(ValueError, match="not there"):
        renumbered_sample(b"\0\0\0\1\x65\x88\x84\x00\x10", 0, {1: 31})
