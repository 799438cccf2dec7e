"""Stitch: the finished file is decoded and measured, never only described."""

from __future__ import annotations

import os
import subprocess
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from services.stitch.stitch import Stitched, plan, stitch
from shared.errors import InvalidRequest, LastFrameError, LimitExceeded, ProcessingFailed, UnsupportedMedia
from shared.media.join.clip import read_clip
from shared.media.join.look import read_wishes
from shared.media.join.movie import Output, write_join
from shared.media.join.plan import plan_join
from shared.media.join.sound import clips_sound
from shared.media.source import FileSource
from shared.media.step import StepContext
from tests.support.clips import ClipRecipe, Seen, boxes, look_at, make_clip, with_index_in_front
from tests.support.missing import needed

NTSC = Fraction(30000, 1001)

NULL_OUTPUT = {
    False: ["-f", "null", "-"],
    # FFmpeg's null muxer counts in guessed frames and calls two pictures inside one an error.
    True: ["-vsync", "passthrough", "-enc_time_base", "1:90000", "-f", "null", "-"],
}


class Bench:
    """Makes clips in a folder and stitches them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0

    def clip(self, suffix: str = "mp4", **recipe: object) -> Path:
        self.count += 1
        return make_clip(self.folder / f"in{self.count}.{suffix}", ClipRecipe(**recipe))  # type: ignore[arg-type]

    def stitch(self, paths: list[Path], **options: object) -> tuple[Stitched, Path]:
        self.count += 1
        scratch = self.folder / f"scratch{self.count}"
        scratch.mkdir()
        sources = [FileSource(path, f"video_urls[{index}]") for index, path in enumerate(paths)]
        done = stitch(StepContext(scratch), list(sources), **options)  # type: ignore[arg-type]
        return done, scratch / done.file_name


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def check(done: Stitched, path: Path, *, vfr: bool = False) -> Seen:
    """What must hold for every stitch: planned frames, no gap, sound as long as the picture, index first, clean."""
    seen = look_at(path)
    assert len(seen.pts) == done.frames
    assert seen.pts[0] == 0
    assert path.stat().st_size == done.output_file_size
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
        decoding = [p.dts for p in packets]
        assert decoding == sorted(set(decoding))
        shown = sorted((p.pts, p.duration) for p in packets)
        stream = container.streams.video[0]
        end = (shown[-1][0] + shown[-1][1]) * stream.time_base
        assert abs(float(end) - done.output_duration) < 0.001
        assert abs(float(stream.duration * stream.time_base) - done.output_duration) < 0.04
        for sound in container.streams.audio:
            assert abs(sound.duration * sound.time_base - end) <= Fraction(1, sound.rate)
            assert seen.sound_start == 0
    assert boxes(path).index("moov") < boxes(path).index("mdat")
    command = [needed("ffmpeg"), "-v", "error", "-xerror", "-i", str(path), *NULL_OUTPUT[vfr]]
    judged = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (judged.returncode, judged.stderr) == (0, "")
    return seen


def check_sync(seen: Seen, sources: list[Path], starts: list[float]) -> None:
    """Every click stands as far from its flash as in its own source, to the millisecond."""
    flashes, clicks = iter(seen.flashes), iter(seen.clicks)
    for source, start in zip(sources, starts, strict=True):
        own = look_at(source)
        if own.flashes:
            flash = next(flashes)
            assert abs(flash - start - (own.flashes[0] - float(own.pts[0]))) < 0.0341  # on the frame grid
        if own.clicks:
            click = next(clicks)
            assert abs(click - start - (own.clicks[0] - float(own.pts[0]))) < 0.001
    assert next(flashes, None) is None
    assert next(clicks, None) is None


def starts_of(paths: list[Path], done: Stitched, rate: Fraction | None = None) -> list[float]:
    starts, now = [], Fraction(0)
    for path in paths:
        starts.append(float(now))
        frames = len(look_at(path).pts)
        with av.open(str(path)) as container:
            own = container.streams.video[0].average_rate
        duration = frames / own
        now += round(duration * rate) / rate if rate else duration
    assert abs(float(now) - done.output_duration) < 0.001
    return starts


def test_equal_clips_are_copied_bit_exact(bench: Bench) -> None:
    paths = [bench.clip(hue=hue) for hue in (60, 128, 200)]
    done, path = bench.stitch(paths)
    seen = check(done, path)
    assert done.copied == [{"index": 0}, {"index": 1}, {"index": 2}]
    assert done.reencoded == []
    assert done.warnings == []
    assert seen.md5 == [md5 for source in paths for md5 in look_at(source).md5]
    assert {later - earlier for earlier, later in pairwise(seen.pts)} == {Fraction(1, 30)}
    check_sync(seen, paths, [0.0, 1.0, 2.0])
    assert done.max_av_offset_ms < 0.03


def test_sound_does_not_drift_over_ten_clips_at_29_97(bench: Bench) -> None:
    kinds = [("stereo", 44100), ("mono", 24000), ("5.1", 48000), (None, 48000)]
    paths = []
    for number in range(10):
        layout, rate = kinds[number % 4]
        paths.append(bench.clip(rate=NTSC, frames=29 + number % 3, layout=layout, sample_rate=rate))
    done, path = bench.stitch(paths)
    seen = check(done, path)
    assert len(done.copied) == 10
    check_sync(seen, paths, starts_of(paths, done))
    with av.open(str(path)) as container:
        assert (container.streams.audio[0].rate, container.streams.audio[0].channels) == (48000, 6)
    assert sum("no audio" in warning for warning in done.warnings) == 2


def test_clips_of_unlike_encoders_that_look_the_same_are_all_copied(bench: Bench) -> None:
    kinds = [
        {"preset": "ultrafast", "bf": "2", "x264-params": "b-adapt=0"},
        {"preset": "ultrafast"},
        {"preset": "medium", "x264-params": "slices=3:ref=5:bframes=4"},
        {"preset": "medium", "profile": "main"},
        {"preset": "fast", "profile": "baseline"},
        {"preset": "fast", "x264-params": "nal-hrd=vbr:vbv-maxrate=800:vbv-bufsize=800"},
        {"preset": "fast", "x264-params": "sps-id=4"},
    ]
    paths = [bench.clip(options=options, hue=60 + 20 * index) for index, options in enumerate(kinds)]
    paths[2:4] = [bench.clip(suffix="mkv", options=kinds[2], hue=30), bench.clip(suffix="ts", options=kinds[3], hue=40)]
    done, path = bench.stitch(paths)
    seen = check(done, path)
    assert len(done.copied) == 7
    assert seen.md5 == [md5 for source in paths for md5 in look_at(source).md5]
    check_sync(seen, paths, [float(index) for index in range(7)])
    done, path = bench.stitch([*paths, bench.clip(size=(64, 64))], strategy="auto")  # and one that is encoded
    seen = check(done, path)
    assert [entry["index"] for entry in done.reencoded] == [7]
    assert seen.md5[:210] == [md5 for source in paths for md5 in look_at(source).md5]
    done, path = bench.stitch([*paths, bench.clip(rate=NTSC)])
    assert done.reencoded[0]["reasons"] == ["29.97 fps != 30 fps"]


def test_players_seek_to_pictures_that_decoding_can_begin_with(bench: Bench) -> None:
    options = {"preset": "fast", "x264-params": "open-gop=1:keyint=10:min-keyint=4:bframes=3:b-adapt=0:scenecut=0"}
    paths = [bench.clip(options=options, hue=hue) for hue in (60, 200)]
    with av.open(str(paths[0])) as container:
        marked = sum(packet.is_keyframe for packet in container.demux(video=0) if packet.size)
    assert marked > 1  # x264 calls the first picture of an open group a key frame
    done, path = bench.stitch(paths)
    check(done, path)
    assert len(done.copied) == 2
    with av.open(str(path)) as container:
        index = container.streams.video[0].index_entries
        assert [place for place, entry in enumerate(index) if entry.is_keyframe] == [0, 30]


def test_only_what_differs_is_encoded_beside_copied_clips(bench: Bench) -> None:
    plain = bench.clip()
    paths = [
        plain,
        bench.clip(size=(96, 160), hue=200),
        bench.clip(rate=Fraction(8), frames=9, flash_frame=4, layout=None),
        bench.clip(rotation=90, layout="mono", sample_rate=24000),
        bench.clip(suffix="mkv"),
        bench.clip(codec="libx265", options={"preset": "ultrafast", "x265-params": "log-level=none"}),
        bench.clip(suffix="webm", codec="libvpx-vp9", options={"deadline": "realtime"}, sound_codec="libopus"),
        bench.clip(sample_aspect=Fraction(64, 45)),
        bench.clip(suffix="ts"),
        bench.clip(pix_fmt="yuv420p10le", rate=NTSC),
    ]
    done, path = bench.stitch(paths)
    seen = check(done, path)
    assert [entry["index"] for entry in done.copied] == [0, 4, 8]  # mp4, Matroska and MPEG-TS share one header
    reasons = {entry["index"]: entry["reasons"] for entry in done.reencoded}
    assert "96x160 != 160x96" in reasons[1]
    assert "8 fps != 30 fps" in reasons[2]
    assert "no audio" in reasons[2]
    assert "96x160 != 160x96" in reasons[3]
    assert "hevc != h264" in reasons[5]
    assert "vp9 != h264" in reasons[6]
    assert "pixel aspect 64:45 != 1:1" in reasons[7]
    assert "yuv420p10le != yuv420p" in reasons[9]
    assert {later - earlier for earlier, later in pairwise(seen.pts)} == {Fraction(1, 30)}
    starts = starts_of(paths, done, Fraction(30))
    check_sync(seen, paths, starts)
    for index in (0, 4, 8):
        first = round(starts[index] * 30)
        assert seen.md5[first : first + 30] == look_at(paths[index]).md5


@pytest.mark.parametrize("profile", ["baseline", "main", "high"])
def test_encoded_clips_keep_the_profile_and_a_free_id(bench: Bench, profile: str) -> None:
    extras = {"baseline": "sps-id=1", "main": "bframes=2", "high": "8x8dct=1"}
    options = {"preset": "ultrafast", "profile": profile, "x264-params": extras[profile]}
    base = {"options": options, "frames": 20}
    paths = [bench.clip(**base), bench.clip(size=(64, 64), frames=10, flash_frame=None), bench.clip(**base)]
    done, path = bench.stitch(paths)
    check(done, path)
    assert len(done.copied) == 2
    with av.open(str(path)) as container:
        avcc = container.streams.video[0].codec_context.extradata
        assert container.streams.video[0].codec_context.codec_tag == "avc1"
    assert avcc[1] == {"baseline": 66, "main": 77, "high": 100}[profile]
    assert avcc[5] & 31 == 2


def test_start_offsets_and_sound_that_begins_apart_from_its_picture(bench: Bench) -> None:
    paths = [
        bench.clip(start_seconds=Fraction(3)),
        bench.clip(sound_delay_seconds=0.25),
        bench.clip(sound_delay_seconds=-0.15, start_seconds=Fraction(1, 2)),
        bench.clip(suffix="ts", start_seconds=Fraction(7)),
        bench.clip(sound_seconds=0.5),
        bench.clip(sound_seconds=2.5),
    ]
    done, path = bench.stitch(paths)
    seen = check(done, path)
    assert len(done.copied) == 6
    check_sync(seen, paths, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0])


def test_reordered_pictures_in_avi_keep_their_order_and_their_sound(bench: Bench) -> None:
    """AVI has no presentation times; libavformat then calls the order of storage that of display."""
    mp4 = bench.clip()
    avi = mp4.with_suffix(".avi")
    stored_order = "setts=pts=DTS-STARTDTS:dts=DTS-STARTDTS"
    copied = ["-c:v", "copy", "-bsf:v", stored_order, "-c:a", "pcm_s16le"]
    subprocess.run([needed("ffmpeg"), "-v", "error", "-i", str(mp4), *copied, str(avi)], check=True, timeout=60)
    done, path = bench.stitch([mp4, avi])
    seen = check(done, path)
    assert [part["reasons"] for part in done.reencoded] == [["its packets carry no timestamps"]]
    own = look_at(mp4)
    assert len(seen.pts) == 2 * len(own.pts)
    assert seen.md5[: len(own.md5)] == own.md5
    assert seen.flashes[1] - seen.flashes[0] == pytest.approx(1.0, abs=0.001)
    assert seen.clicks[1] - seen.clicks[0] == pytest.approx(1.0, abs=0.001)


def test_variable_frame_rate_keeps_its_times(bench: Bench) -> None:
    times = tuple(np.cumsum([0, *([20, 45, 33, 60] * 7)]).tolist())
    odd = bench.clip(times=times, time_base=Fraction(1, 1000), flash_frame=9)
    paths = [odd, odd]
    done, path = bench.stitch(paths)
    seen = check(done, path, vfr=True)
    own = look_at(odd).pts
    assert len(done.copied) == 2
    assert [float(pts) for pts in seen.pts[: len(own)]] == pytest.approx([float(p - own[0]) for p in own], abs=1e-4)
    assert seen.pts[len(own)] - seen.pts[len(own) - 1] > 0


def test_reencode_encodes_everything_and_copy_refuses_by_name(bench: Bench) -> None:
    equal = [bench.clip(frames=15), bench.clip(frames=15)]
    done, path = bench.stitch(equal, strategy="reencode", quality="low")
    check(done, path)
    assert [entry["reasons"] for entry in done.reencoded] == [["strategy reencode"]] * 2
    with pytest.raises(ProcessingFailed) as caught:
        bench.stitch([*equal, bench.clip(size=(64, 64), frames=5, flash_frame=None)], strategy="copy")
    assert caught.value.input_name == "video_urls[2]"
    assert caught.value.word == "clips_differ"
    assert "64x64 != 160x96" in caught.value.detail
    done, _ = bench.stitch(equal, strategy="copy")
    assert len(done.copied) == 2


@pytest.mark.parametrize(
    ("codec", "suffix", "options", "tag"),
    [
        ("libx265", "mp4", {"preset": "ultrafast", "x265-params": "log-level=none"}, "hvc1"),
        ("libvpx-vp9", "webm", {"deadline": "realtime", "cpu-used": "8"}, "vp09"),
        ("libsvtav1", "mp4", {"preset": "12", "svtav1-params": "enable-stat-report=0"}, "av01"),
    ],
)
def test_other_codecs_are_copied_when_all_are_equal(
    bench: Bench, codec: str, suffix: str, options: dict[str, str], tag: str
) -> None:
    sound = "libopus" if suffix == "webm" else "aac"
    paths = [bench.clip(suffix=suffix, codec=codec, options=options, sound_codec=sound, hue=h) for h in (90, 160)]
    done, path = bench.stitch(paths)
    seen = check(done, path)
    assert len(done.copied) == 2
    assert seen.md5 == [md5 for source in paths for md5 in look_at(source).md5]
    assert done.warnings == (["HEVC was copied; not every browser can play it"] if tag == "hvc1" else [])
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.codec_tag == tag


def test_all_mute_gives_a_mute_file(bench: Bench) -> None:
    done, path = bench.stitch([bench.clip(layout=None, frames=5), bench.clip(layout=None, frames=1)])
    check(done, path)
    with av.open(str(path)) as container:
        assert len(container.streams) == 1
    assert done.warnings == []


def test_letterbox_rotation_and_colour_are_where_they_belong(bench: Bench) -> None:
    paths = [
        bench.clip(frames=40, flash_frame=None, colour=(6, 6, 6, 1)),
        bench.clip(frames=10, flash_frame=None, size=(96, 160), hue=200),
        bench.clip(frames=10, flash_frame=None, rotation=90, hue=90),
        bench.clip(frames=10, flash_frame=None, pix_fmt="yuvj420p", colour=(6, 6, 6, 2)),
    ]
    done, path = bench.stitch(paths)
    check(done, path)
    with av.open(str(path)) as container:
        pictures = [frame.to_ndarray() for frame in container.decode(video=0)]
    upright = pictures[45]
    assert upright[40:60, :40].mean() == pytest.approx(16, abs=2)  # black bars left and right
    assert upright[40:60, 120:160].mean() == pytest.approx(16, abs=2)
    assert upright[60:68, 70:90].mean() > 50
    turned = pictures[55]
    assert turned[40:60, :40].mean() == pytest.approx(16, abs=2)
    full = pictures[65][2:20, 2:36].mean()  # the marker in the corner, full range (0-255) in the source
    source = 40 + 5 * 11 % 150
    assert full == pytest.approx(16 + source * 219 / 255, abs=4)


def test_odd_sizes_interlace_and_single_frames(bench: Bench) -> None:
    paths = [
        bench.clip(size=(161, 97), pix_fmt="yuv444p", frames=6, flash_frame=2),
        bench.clip(frames=1, flash_frame=None, layout=None),
        bench.clip(interlaced=True, rate=Fraction(25), frames=25),
        bench.clip(suffix="avi", codec="mpeg4", options={}, sound_codec="libmp3lame"),
        bench.clip(suffix="flv", codec="flv", options={}, sound_codec="libmp3lame", sample_rate=44100),
    ]
    done, path = bench.stitch(paths, resolution="320x240", frame_rate=25.0, quality="low")
    seen = check(done, path)
    assert done.resolution == "320x240"
    assert {later - earlier for earlier, later in pairwise(seen.pts)} == {Fraction(1, 25)}
    assert len(done.reencoded) == 5


def test_an_edit_list_that_hides_frames_is_honoured(bench: Bench) -> None:
    whole = bench.clip(frames=40, flash_frame=20, gop=40)
    trimmed = bench.folder / "trimmed.mp4"
    with av.open(str(whole)) as source, av.open(str(trimmed), "w") as output:
        pairs = {s.index: output.add_stream_from_template(s, opaque=True) for s in source.streams}
        for packet in source.demux():
            if packet.size:
                shift = round(Fraction(1, 3) / packet.time_base)
                packet.pts, packet.dts, packet.stream = (
                    packet.pts - shift,
                    packet.dts - shift,
                    pairs[packet.stream_index],
                )
                output.mux(packet)
    own = look_at(trimmed)
    assert len(own.pts) == 30  # ten frames lie before the edit
    done, path = bench.stitch([trimmed, whole])
    seen = check(done, path)
    assert "an edit list hides some of its frames" in done.reencoded[0]["reasons"]
    assert len(seen.pts) == 70
    check_sync(seen, [trimmed, whole], [0.0, 1.0])


def test_a_recording_that_begins_between_key_frames_starts_at_its_first_picture(bench: Bench) -> None:
    whole = bench.clip(suffix="ts", frames=60, gop=20, flash_frame=50)
    recording = bench.folder / "tuned_in.ts"
    data = whole.read_bytes()
    recording.write_bytes(data[len(data) // 188 // 4 * 188 :])  # MPEG-TS packets have 188 bytes
    own = look_at(recording)
    assert 20 <= len(own.pts) < 50
    done, path = bench.stitch([whole, recording])
    check(done, path)
    assert done.frames == 60 + len(own.pts)
    assert "it does not begin with a picture that can be decoded" in done.reencoded[0]["reasons"]
    check_sync(look_at(path), [whole, recording], [0.0, 2.0])


def test_what_cannot_be_used_is_named(bench: Bench) -> None:
    good = bench.clip(frames=5, flash_frame=None)
    broken = bench.folder / "broken.mp4"
    broken.write_bytes(b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 40)
    sound_only = bench.folder / "sound.m4a"
    with av.open(str(sound_only), "w", format="ipod") as output:
        stream = output.add_stream("aac", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 48000
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    for bad in (broken, sound_only):
        with pytest.raises(UnsupportedMedia) as caught:
            bench.stitch([good, bad, good])
        assert caught.value.input_name == "video_urls[1]"
    with pytest.raises(InvalidRequest) as few:
        bench.stitch([good])
    assert few.value.word == "too_few_videos"
    with pytest.raises(InvalidRequest) as many:
        bench.stitch([good] * 11)
    assert many.value.word == "too_many_videos"
    for wrong in ({"strategy": "fast"}, {"resolution": "big"}, {"frame_rate": 0.5}, {"quality": "best"}):
        with pytest.raises(InvalidRequest):
            bench.stitch([good, good], **wrong)


def test_limits_are_kept(bench: Bench) -> None:
    paths = [bench.clip(frames=60), bench.clip(frames=60)]
    sources = [FileSource(path, f"video_urls[{index}]") for index, path in enumerate(paths)]
    with pytest.raises(LimitExceeded) as caught:
        plan(StepContext(bench.folder, max_duration_seconds=1.0), list(sources))
    assert (caught.value.word, caught.value.input_name) == ("duration_too_long", "video_urls[0]")
    with pytest.raises(LastFrameError) as pixels:
        plan(StepContext(bench.folder, max_pixels=100 * 100), list(sources))
    assert pixels.value.input_name == "video_urls[0]"


def test_a_clip_that_is_cut_off_is_joined_as_far_as_it_goes_and_said(bench: Bench) -> None:
    whole = bench.clip(layout=None)
    front = with_index_in_front(whole, bench.folder / "front.mp4")
    front.write_bytes(front.read_bytes()[: front.stat().st_size * 7 // 10])
    done, path = bench.stitch([whole, front])
    check(done, path)
    missing = 60 - done.frames
    assert missing > 3
    words = [f"video_urls[1] is cut off: {count} of its pictures are missing" for count in (missing, missing + 1)]
    assert set(words) & set(done.warnings)  # one more where half a picture was left to be repaired


def test_a_damaged_clip_is_repaired_to_its_planned_length(bench: Bench) -> None:
    good, hurt = bench.clip(frames=30), bench.clip(frames=30, size=(64, 64), layout=None, flash_frame=None)
    data = bytearray(hurt.read_bytes())
    with av.open(str(hurt)) as container:
        victims = [p for p in container.demux(video=0) if p.size][20:24]
    for packet in victims:
        data[packet.pos + 4 : packet.pos + packet.size] = os.urandom(packet.size - 4)
    hurt.write_bytes(data)
    done, path = bench.stitch([good, hurt])
    seen = check(done, path)
    assert len(seen.pts) == 60


def test_equal_rotated_clips_are_copied_with_their_rotation(bench: Bench) -> None:
    paths = [bench.clip(rotation=90, hue=hue) for hue in (80, 170)]
    done, path = bench.stitch(paths)
    seen = check(done, path)
    assert (len(done.copied), done.resolution) == (2, "96x160")
    assert seen.md5 == [md5 for source in paths for md5 in look_at(source).md5]
    with av.open(str(path)) as container, av.open(str(paths[0])) as source:
        assert next(container.decode(video=0)).rotation == next(source.decode(video=0)).rotation != 0


def test_hdr_stays_hdr_when_all_are_equal_and_becomes_sdr_when_not(bench: Bench) -> None:
    hdr = {
        "codec": "libx265",
        "pix_fmt": "yuv420p10le",
        "options": {"preset": "ultrafast", "x265-params": "log-level=none"},
        "colour": (9, 9, 16, 1),
        "flash_frame": None,
    }
    paths = [bench.clip(**hdr), bench.clip(**hdr, hue=100)]
    done, path = bench.stitch(paths)
    check(done, path)
    assert len(done.copied) == 2
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.color_trc == 16
    done, path = bench.stitch([paths[0], bench.clip(frames=40)])
    check(done, path)
    assert any("HDR was brought to SDR" in warning for warning in done.warnings)
    assert done.copied == [{"index": 1}]
    with av.open(str(path)) as container:
        first = next(container.decode(video=0)).to_ndarray()
    assert 20 < first[30:40, 60:150].mean() < 235


def test_one_pass_writes_a_file_with_sound_and_one_without(bench: Bench) -> None:
    paths = [bench.clip(), bench.clip(size=(64, 64), frames=12, flash_frame=None)]
    context = StepContext(bench.folder)
    clips = [read_clip(index, FileSource(path), context) for index, path in enumerate(paths)]
    joined = plan_join(clips, read_wishes("auto", None, None, None))
    sound = clips_sound(joined, pytest.fail)
    full, silent = bench.folder / "full.mp4", bench.folder / "silent.mp4"
    written = write_join(joined, [Output(full, True), Output(silent, False)], context, sound)
    assert (written.frames, written.samples) == (42, 42 * 1600)
    one, other = look_at(full), look_at(silent)
    assert (one.pts, one.md5) == (other.pts, other.md5)
    assert one.samples >= written.samples
    assert other.samples == 0
