"""The exact parts of a join on their own: clocks, parameter sets, orientation, letterboxing, tone mapping, threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest

from shared.media.join.aac import SPAN_FRAMES, aac_packets
from shared.media.join.ahead import ahead
from shared.media.join.clip import orientation_filters
from shared.media.join.colour import HLG, PQ, SDR
from shared.media.join.look import Look, named_size, read_wishes
from shared.media.join.parameter_sets import (
    annex_b_units,
    build_avcc,
    chroma_info_of,
    read_parameter_sets,
    to_four_byte_lengths,
)
from shared.media.join.picture import fitted_size
from shared.media.join.sound import SoundTrack
from shared.media.join.timeline import (
    MAX_TIMESCALE,
    common_timescale,
    decode_ticks,
    frame_times,
    placed_ticks,
    regular_times,
)
from shared.media.join.tone_map import sdr_from_hdr

NTSC = Fraction(30000, 1001)


def _x264(**options: str) -> bytes:
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 64, 64, "yuv420p"
    encoder.framerate, encoder.time_base = 25, Fraction(1, 25)
    encoder.flags |= av.codec.context.Flags.global_header
    encoder.options = {"preset": "ultrafast", **options}
    encoder.open()
    return encoder.extradata


@pytest.mark.parametrize("number", [0, 1, 5, 31])
def test_parameter_set_ids_are_read_from_real_headers(number: int) -> None:
    sets = read_parameter_sets(_x264(**{"x264-params": f"sps-id={number}"}))
    assert sets is not None
    assert sets.used_ids() == {number}
    assert sets.free_id() == (1 if number == 0 else 0)


def test_an_avcc_of_two_generations_reads_back() -> None:
    first = read_parameter_sets(_x264(profile="high", **{"x264-params": "8x8dct=1"}))
    second = read_parameter_sets(_x264(**{"x264-params": "sps-id=1:level=51"}))
    assert first is not None
    assert second is not None
    record = build_avcc([first, second], chroma_info_of(first))
    merged = read_parameter_sets(record)
    assert merged is not None
    assert (merged.sps, merged.pps) == (first.sps + second.sps, first.pps + second.pps)
    assert merged.length_size == 4
    assert record[3] == 51  # the higher level speaks for both
    assert record[-4:] == bytes((0xFD, 0xF8, 0xF8, 0))  # 4:2:0, 8 bits
    assert merged.used_ids() == {0, 1}


def test_samples_get_four_byte_lengths_and_lose_parameter_sets() -> None:
    stream = b"\0\0\0\1\x09\xf0" + b"\0\0\1\x67abc" + b"\0\0\0\1\x68de\0" + b"\0\0\1\x65slice\0\0\0\1\x41next"
    assert [unit[0] & 31 for unit in annex_b_units(stream)] == [9, 7, 8, 5, 1]
    expected = b"\0\0\0\x06\x65slice\0\0\0\x05\x41next"
    assert to_four_byte_lengths(stream, 0) == expected
    two_bytes = b"\0\x02\x09\xf0\0\x06\x65slice\0\x05\x41next"
    assert to_four_byte_lengths(two_bytes, 2) == expected
    with pytest.raises(ValueError, match="longer than its sample"):
        to_four_byte_lengths(b"\0\x09\x65", 2)


def test_no_extradata_gives_no_sets() -> None:
    assert read_parameter_sets(b"") is None
    assert read_parameter_sets(b"\x01\x64\0\x1f\xff\xe0\0") is None


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), NTSC, Fraction(30), Fraction(60)])
def test_millisecond_timestamps_return_to_their_frame_grid(rate: Fraction) -> None:
    pts = [round(k / rate * 1000) + 67 for k in range(500)]
    times = frame_times(
        pts, last_duration=round(1000 / rate), time_base=Fraction(1, 1000), rounded=True, nominal_rate=rate
    )
    assert times.constant_rate == rate
    assert times.duration == 500 / rate
    assert times.start == Fraction(67, 1000)


def test_a_jittery_clip_stays_as_it_is() -> None:
    pts = [0, 20, 65, 98, 158, 178]
    times = frame_times(pts, last_duration=40, time_base=Fraction(1, 1000), rounded=True, nominal_rate=Fraction(30))
    assert times.constant_rate is None
    assert [tick * times.tick * 1000 for tick in times.ticks] == pts
    assert times.duration == Fraction(218, 1000)


def test_a_lone_frame_has_its_declared_length() -> None:
    times = frame_times([512], last_duration=0, time_base=Fraction(1, 12800), rounded=False, nominal_rate=Fraction(25))
    assert times.duration == Fraction(1, 25)
    assert times.reorder_depth() == 0


def test_a_hundred_ntsc_clips_end_where_they_should() -> None:
    clip = regular_times(101, NTSC)
    scale = common_timescale([clip, regular_times(7, Fraction(25))])
    assert scale == 30000
    offset = 99 * clip.duration
    last = list(placed_ticks(clip, offset, scale))[-1]
    assert last == (99 * 101 + 100) * 1001


def test_impossible_common_clocks_are_rounded_once() -> None:
    odd = [regular_times(50, Fraction(23040000, 767849)), regular_times(50, Fraction(1000003, 33333))]
    assert common_timescale(odd) == MAX_TIMESCALE
    ticks = list(placed_ticks(odd[1], odd[0].duration, MAX_TIMESCALE))
    exact = [(odd[0].duration + tick * odd[1].tick) * MAX_TIMESCALE for tick in odd[1].ticks]
    assert all(abs(tick - true) <= Fraction(1, 2) for tick, true in zip(ticks, exact, strict=True))


@pytest.mark.parametrize("depth", [0, 1, 2, 5])
def test_decoding_never_goes_back_nor_past_showing(depth: int) -> None:
    shown = [0, 20, 65, 98, 158, 178, 200]
    dts = list(decode_ticks(shown, 240, depth))
    assert dts == sorted(set(dts))
    assert all(a <= b for a, b in zip(dts, shown, strict=True))
    assert len(list(decode_ticks([0], 40, 2))) == 1


@pytest.mark.parametrize(
    ("matrix", "filters"),
    [
        ((), ()),
        ((65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30), ()),
        ((0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30), ("transpose=clock",)),
        ((0, -65536, 0, 65536, 0, 0, 0, 0, 1 << 30), ("transpose=cclock",)),
        ((-65536, 0, 0, 0, -65536, 0, 0, 0, 1 << 30), ("hflip", "vflip")),
        ((65536, 0, 0, 0, -65536, 0, 0, 0, 1 << 30), ("vflip",)),
        ((0, 65536, 0, 65536, 0, 0, 0, 0, 1 << 30), ("transpose=cclock_flip",)),
        ((0, 0, 0, 0, 0, 0, 0, 0, 0), ()),
    ],
)
def test_display_matrices_turn_as_ffmpeg_turns_them(matrix: tuple[int, ...], filters: tuple[str, ...]) -> None:
    assert orientation_filters(matrix) == filters


def test_letterboxes_are_even_and_rounding_draws_no_line() -> None:
    look = Look(1920, 1080, Fraction(1), SDR, None, Fraction(30), 100)
    assert fitted_size(Fraction(9, 16), look) == (608, 1080)
    assert fitted_size(Fraction(1919, 1080), look) == (1920, 1080)
    assert fitted_size(Fraction(4, 1), look) == (1920, 480)
    anamorphic = Look(720, 576, Fraction(64, 45), SDR, None, Fraction(25), 100)
    assert fitted_size(Fraction(16, 9), anamorphic) == (720, 576)
    assert fitted_size(Fraction(4, 3), anamorphic) == (540, 576)


def test_wishes_are_read() -> None:
    assert read_wishes("auto", "source", 29.97, None).frame_rate == NTSC
    assert read_wishes("auto", None, 12.5, None).frame_rate == Fraction(25, 2)
    assert named_size("641x361") == (640, 360)


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_tone_mapping_keeps_black_grey_axis_and_order(transfer: int) -> None:
    ramp = np.repeat(np.linspace(0, 1, 65)[:, None], 3, axis=1)
    mapped = sdr_from_hdr(ramp, transfer)
    assert mapped[0].max() == pytest.approx(0, abs=1e-3)
    assert np.abs(mapped - mapped[:, :1]).max() < 2e-3  # grey stays grey
    assert (np.diff(mapped[:, 0]) >= -1e-9).all()
    white = 0.58 if transfer == PQ else 0.75  # 203 cd/m² (BT.2408)
    at_white = sdr_from_hdr(np.full((1, 3), white), transfer)[0, 0]
    assert 0.88 < at_white < 0.99  # reference white is bright, with room for highlights above
    assert mapped[-1, 0] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(("frames", "span_frames"), [(2 * SPAN_FRAMES, SPAN_FRAMES), (900, 515)])
def test_parallel_aac_gives_the_packets_and_the_sound_of_one_encoder(frames: int, span_frames: int) -> None:
    rate, samples = 48000, frames * 1024 + 777
    clock = np.arange(samples) / rate
    wave = (0.3 * np.sin(2 * np.pi * 440 * clock)).astype(np.float32)[None]
    blocks = (wave[:, at : at + 30000] for at in range(0, samples, 30000))
    packets = list(aac_packets(SoundTrack(rate, 1, samples, blocks), threads=2))
    assert packets[0].pts == -1024
    assert {b.pts - a.pts for a, b in pairwise(packets)} == {1024}
    encoder = av.CodecContext.create("aac", "w")
    encoder.sample_rate, encoder.layout, encoder.format = rate, "mono", "fltp"
    encoder.flags |= av.codec.context.Flags.global_header
    encoder.open()
    decoder = av.CodecContext.create("aac", "r")
    decoder.extradata = encoder.extradata
    heard = np.concatenate([f.to_ndarray() for p in [*packets, None] for f in decoder.decode(p)], axis=1)[0, 1024:]
    seam = slice((span_frames - 200) * 1024, (span_frames + 200) * 1024)
    assert np.abs(heard[seam] - wave[0, seam]).max() < 0.006  # 34 dB under the tone; its own start is at 0.23


def test_a_thread_ahead_passes_errors_on_and_stops_when_left() -> None:
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            yield from range(10**9)
        finally:
            closed.set()

    with ahead(endless(), 4) as numbers:
        assert [next(numbers) for _ in range(10)] == list(range(10))
    assert closed.wait(20)

    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    with ahead(failing(), 4) as numbers:
        assert next(numbers) == 1
        with pytest.raises(ValueError, match="broken"):
            next(numbers)
    before = time.monotonic()
    with pytest.raises(KeyError), ahead(endless(), 1):
        raise KeyError
    assert time.monotonic() - before < 10
