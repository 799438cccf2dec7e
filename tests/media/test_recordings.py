"""What browsers record: WebM that names no frame rate, and fragmented MP4; frames come when the page was drawn."""

from __future__ import annotations

from fractions import Fraction
from itertools import accumulate, pairwise
from pathlib import Path
from statistics import median_low

import av
import pytest

from services.audio.mix_music import mix_music
from services.frames.last_frame import extract
from services.probe.length import measure
from services.stitch.stitch import stitch
from shared.media.source import FileSource
from shared.media.step import StepContext
from tests.support.clips import ClipRecipe, make_clip, with_index_in_front

MILLISECOND = Fraction(1, 1000)
DRAWN = (0, *accumulate((35, 22, 45, 97, 39, 18, 11, 37, 37, 36, 35, 34, 35) * 5))
LAST_STAYS = Fraction(median_low(b - a for a, b in pairwise(DRAWN)), 1000)
_DEFAULT_DURATION = b"\x23\xe3\x83"


def recording(path: Path, times: tuple[int, ...] = DRAWN, codec: str = "libvpx-vp9") -> Path:
    """A WebM as MediaRecorder writes it: its header names no frame rate (DefaultDuration; Void in its place)."""
    make_clip(
        path,
        ClipRecipe(
            codec=codec,
            options={"deadline": "good", "cpu-used": "5"},
            times=times,
            time_base=MILLISECOND,
            layout="stereo",
            sound_codec="libopus",
            sound_seconds=0.6,
            flash_frame=None,
        ),
    )
    with av.open(str(path)) as container:
        assert [packet.pts for packet in container.demux(video=0) if packet.size] == list(times)
    data = bytearray(path.read_bytes())
    at = data.find(_DEFAULT_DURATION)
    assert at >= 0
    while at >= 0:
        size = 4 + (data[at + 3] & 0x7F)
        data[at : at + size] = bytes([0xEC, 0x80 | (size - 2)]) + bytes(size - 2)
        at = data.find(_DEFAULT_DURATION)
    path.write_bytes(data)
    return path


def fragmented(path: Path) -> Path:
    """VP9 in a fragmented MP4; the last sample has a duration of its own."""
    webm = recording(path.with_suffix(".webm"))
    with av.open(str(webm)) as source, av.open(str(path), "w", options={"movflags": "frag_keyframe+empty_moov"}) as out:
        stream = out.add_stream_from_template(source.streams.video[0], opaque=True)
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                packet.duration = 40 if packet.pts == DRAWN[-1] else packet.duration
                out.mux(packet)
    return path


def pictures(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def picture_end(path: Path) -> Fraction:
    """When the last picture goes: by the samples, and by the track, for libavformat drops the durations of VP9."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        ends = [packet.pts + packet.duration for packet in container.demux(stream) if packet.size]
        return max(*ends, stream.start_time + stream.duration) * stream.time_base


def test_the_frame_rate_of_a_recording_is_counted(tmp_path: Path) -> None:
    found = measure(StepContext(tmp_path), FileSource(recording(tmp_path / "in.webm"), "media_url"))
    assert found.frame_rate == pytest.approx((len(DRAWN) - 1) / (DRAWN[-1] / 1000), abs=0.001)


def test_the_frame_rate_of_one_picture_is_unknown(tmp_path: Path) -> None:
    found = measure(StepContext(tmp_path), FileSource(recording(tmp_path / "in.webm", times=(0,)), "media_url"))
    assert found.frame_rate is None


@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9"])
def test_the_last_picture_of_a_recording_is_seen_in_a_stitch(tmp_path: Path, codec: str) -> None:
    path = recording(tmp_path / "in.webm", codec=codec)
    done = stitch(StepContext(tmp_path), [FileSource(path, f"video_urls[{n}]") for n in range(2)])
    shown = pictures(tmp_path / done.file_name)
    assert len(shown) == done.frames == 2 * len(DRAWN)
    assert shown[len(DRAWN)] - shown[len(DRAWN) - 1] == LAST_STAYS
    assert picture_end(tmp_path / done.file_name) == 2 * (Fraction(DRAWN[-1], 1000) + LAST_STAYS)


@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9"])
def test_the_last_picture_of_a_recording_is_seen_under_music(tmp_path: Path, codec: str) -> None:
    path = recording(tmp_path / "in.webm", codec=codec)
    done = mix_music(StepContext(tmp_path), FileSource(path, "video_url"), FileSource(path, "music_url"))
    end = Fraction(DRAWN[-1], 1000) + LAST_STAYS
    assert done.original_duration == pytest.approx(float(end))
    assert picture_end(tmp_path / done.file_name) == end


def test_a_recording_of_one_picture(tmp_path: Path) -> None:
    path = recording(tmp_path / "in.webm", times=(0,))
    done = stitch(StepContext(tmp_path), [FileSource(path, f"video_urls[{n}]") for n in range(2)])
    assert pictures(tmp_path / done.file_name) == [0, Fraction(1, 25)]


def test_vp9_in_a_fragmented_mp4_lasts_as_long_as_its_samples(tmp_path: Path) -> None:
    path = fragmented(tmp_path / "in.mp4")
    seconds = (DRAWN[-1] + 40) / 1000
    assert measure(StepContext(tmp_path), FileSource(path, "media_url")).media_duration == pytest.approx(seconds)
    frame = extract(StepContext(tmp_path), FileSource(path, "video_url"))
    assert (frame.frame_pts, frame.video_duration) == pytest.approx((DRAWN[-1] / 1000, seconds))
    done = stitch(StepContext(tmp_path), [FileSource(path, f"video_urls[{n}]") for n in range(2)])
    assert done.output_duration == pytest.approx(2 * seconds)


def test_vp9_that_was_cut_off_lasts_as_long_as_what_is_left(tmp_path: Path) -> None:
    whole = with_index_in_front(fragmented(tmp_path / "in.mp4"), tmp_path / "whole.mp4")
    with av.open(str(whole)) as container:
        last = container.streams.video[0].index_entries[-1]
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole.read_bytes()[: last.pos])
    frame = extract(StepContext(tmp_path), FileSource(path, "video_url"))
    assert (frame.frame_pts, frame.video_duration) == pytest.approx((DRAWN[-2] / 1000, DRAWN[-1] / 1000))


@pytest.mark.parametrize("codec", ["libx264", "flv1"])
def test_the_last_picture_of_an_uneven_flv_stays_as_long_as_its_header_says(tmp_path: Path, codec: str) -> None:
    times = tuple(sorted(40 * n + n * 37 % 29 for n in range(60) if not n % 7 or not n % 3))
    path = make_clip(
        tmp_path / "in.flv",
        ClipRecipe(codec=codec, options={}, rate=Fraction(25), times=times, time_base=MILLISECOND, layout=None),
    )
    end = times[-1] / 1000 + 0.04
    assert measure(StepContext(tmp_path), FileSource(path, "media_url")).media_duration == pytest.approx(end)
    assert extract(StepContext(tmp_path), FileSource(path, "video_url")).video_duration == pytest.approx(end)
