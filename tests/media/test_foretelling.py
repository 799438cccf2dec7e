"""Plans beside what is then done: the same decisions from a fraction of the bytes, estimates within stated bounds."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from av.bitstream import BitStreamFilterContext

from services.assembly import assemble
from services.assembly import plan as assembly_plan
from services.audio import mix_music, stitch_audio
from services.audio import plan as audio_plan
from services.frames import last_frame
from services.frames import plan as frames_plan
from services.probe import length
from services.probe import plan as length_plan
from services.stitch import stitch
from shared.media.join.clip import Clip, read_clip
from shared.media.source import FileSource
from shared.media.step import StepContext
from tests.support.clips import ClipRecipe, make_clip
from tests.support.media import manifest, media_file
from tests.support.sources import CountingSource

REAL = [media.path for media in manifest("video")]
RECIPES = {
    "h264.mp4": ClipRecipe(frames=90),
    "closed.mov": ClipRecipe(frames=90, options={"preset": "ultrafast", "bf": "0"}),
    "hevc.mp4": ClipRecipe(codec="libx265", options={"preset": "ultrafast", "x265-params": "log-level=none"}),
    "mpeg4.mp4": ClipRecipe(codec="mpeg4", options={}),
    "turned.mp4": ClipRecipe(rotation=90),
    "interlaced.mp4": ClipRecipe(interlaced=True),
    "aspect.mp4": ClipRecipe(sample_aspect=Fraction(4, 3)),
    "late.mp4": ClipRecipe(start_seconds=Fraction(2, 5), sound_delay_seconds=0.1),
    "uneven.mp4": ClipRecipe(times=tuple(n * n for n in range(30)), time_base=Fraction(1, 600)),
    "mute.mp4": ClipRecipe(layout=None),
    "h264.mkv": ClipRecipe(frames=90),
    "vp9.webm": ClipRecipe(codec="libvpx-vp9", options={"deadline": "realtime"}, sound_codec="libopus"),
    "h264.ts": ClipRecipe(frames=60),
}


def facts(clip: Clip) -> dict[str, Any]:
    times = clip.times
    told = {name: value for name, value in vars(clip).items() if name not in ("source", "times")}
    return told | {"times": (list(times.ticks), times.tick, times.length, times.start)}


def assert_alike(data: bytes, scratch: Path) -> tuple[int, int]:
    """Read whole and sparsely, a clip is the same; returns the bytes that either took."""
    context = StepContext(scratch=scratch, max_duration_seconds=None)
    whole, sparse = CountingSource(data), CountingSource(data)
    assert facts(read_clip(0, whole, context)) == facts(read_clip(0, sparse, context, sparsely=True))
    return whole.bytes_fetched, sparse.bytes_fetched


@pytest.mark.parametrize("name", RECIPES)
def test_a_clip_is_the_same_read_sparsely(tmp_path: Path, name: str) -> None:
    data = make_clip(tmp_path / name, RECIPES[name]).read_bytes()
    assert_alike(data, tmp_path)


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_a_clip_that_was_cut_off_too(tmp_path: Path, share: float) -> None:
    recipe = ClipRecipe(frames=120, layout=None)
    path = make_clip(tmp_path / "clip.mp4", recipe)
    with_index_first = make_faststart(path, tmp_path / "first.mp4").read_bytes()
    assert_alike(with_index_first[: round(len(with_index_first) * share)], tmp_path)


def make_faststart(path: Path, target: Path) -> Path:
    options = {"movflags": "faststart"}
    with av.open(str(path)) as source, av.open(str(target), "w", options=options) as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                output.mux(packet)
    return target


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_real_clips_are_the_same_read_sparsely(tmp_path: Path, path: Path) -> None:
    whole, sparse = assert_alike(path.read_bytes(), tmp_path)
    assert sparse <= whole


def test_key_frames_with_other_parameter_sets_are_seen(tmp_path: Path) -> None:
    """They stand in the middle, where nothing else is looked at."""
    first = make_clip(tmp_path / "a.mp4", ClipRecipe(frames=60, gop=30, layout=None))
    other = make_clip(tmp_path / "b.mp4", ClipRecipe(frames=60, gop=30, layout=None, options={"preset": "medium"}))
    data = spliced(first, other, tmp_path / "both.mp4").read_bytes()
    context = StepContext(scratch=tmp_path)
    clip = read_clip(0, CountingSource(data), context, sparsely=True)
    assert clip.obstacles == ("its parameter sets change inside the clip",)
    assert_alike(data, tmp_path)


def spliced(first: Path, second: Path, target: Path) -> Path:
    """One track of two encodes; the second's parameter sets come before each of its key frames."""
    with av.open(str(first)) as one, av.open(str(second)) as two, av.open(str(target), "w") as output:
        stream = output.add_stream_from_template(one.streams.video[0])
        end = 0
        for packet in one.demux(video=0):
            if packet.size:
                packet.stream = stream
                output.mux(packet)
                end += 1
        step = one.streams.video[0].duration // end
        to_annex_b = BitStreamFilterContext("h264_mp4toannexb", two.streams.video[0])
        for packet in two.demux(video=0):
            for filtered in to_annex_b.filter(packet) if packet.size else ():
                prefixed = av.Packet(_length_prefixed(bytes(filtered)))
                prefixed.pts, prefixed.dts = filtered.pts + end * step, filtered.dts + end * step
                prefixed.time_base, prefixed.is_keyframe = filtered.time_base, filtered.is_keyframe
                prefixed.duration, prefixed.stream = filtered.duration, stream
                output.mux(prefixed)
    return target


def _length_prefixed(annex_b: bytes) -> bytes:
    units = [unit.rstrip(b"\0") for unit in annex_b.split(b"\0\0\1") if unit.strip(b"\0")]
    return b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)


# Estimates


def within(estimated: float, real: float, factor: float) -> bool:
    return real / factor <= estimated <= real * factor


@pytest.mark.parametrize("quality", ["low", "medium", "high"])
def test_reencoded_bytes_within_a_factor_of_four(tmp_path: Path, quality: str) -> None:
    """Two for most; how hard a picture is to encode is seen only by encoding it."""
    if len(REAL) < 2:
        pytest.skip("no real files here")
    paths = [path for path in REAL if path.name in ("4.mp4", "sample.mp4", "h265_bframes.mp4")]
    plan = stitch.plan(
        StepContext(scratch=tmp_path), list(map(FileSource, paths)), strategy="reencode", quality=quality
    )
    done = stitch.stitch(
        StepContext(scratch=tmp_path), list(map(FileSource, paths)), strategy="reencode", quality=quality
    )
    assert within(plan.estimated_bytes, done.output_file_size, 4)
    assert (plan.frames, plan.reencoded) == (done.frames, done.reencoded)


@pytest.mark.parametrize("output_format", ["mp3", "m4a", "wav", "flac", "opus"])
def test_bytes_of_a_sound_within_a_factor_of_two(tmp_path: Path, output_format: str) -> None:
    path = media_file("bach.mp3").path
    parts = [{"source": 0}, {"silence_seconds": 0.5}]
    given = {"output_format": output_format}
    plan = audio_plan.plan_stitch_audio(StepContext(scratch=tmp_path), [FileSource(path)], parts, **given)
    done = stitch_audio.stitch_audio(StepContext(scratch=tmp_path), [FileSource(path)], parts, **given)
    assert within(plan.estimated_bytes, done.output_audio_file_size, 2)
    assert abs(plan.output_samples - done.output_samples) <= 1


def test_music_that_begins_again(tmp_path: Path) -> None:
    video = make_clip(tmp_path / "film.mp4", ClipRecipe(frames=300))
    music = make_clip(tmp_path / "music.mp4", ClipRecipe(frames=120, flash_frame=None))
    plan = audio_plan.plan_music(StepContext(scratch=tmp_path), FileSource(video), FileSource(music))
    done = mix_music.mix_music(StepContext(scratch=tmp_path), FileSource(video), FileSource(music))
    assert abs(plan.expected_loops - done.loops) <= 1
    assert plan.original_duration == done.original_duration
    assert within(plan.estimated_bytes, (tmp_path / done.file_name).stat().st_size, 2)


@pytest.mark.parametrize(
    ("mode", "seconds", "word"),
    [("stretch_to_fit", 6, "slower"), ("stretch_to_fit", 3, "faster"), ("trim", 3, "cut"),
     ("pad", 6, "followed by silence"), ("none", 6, "as it is")],
)  # fmt: skip
def test_what_becomes_of_the_master_audio(tmp_path: Path, mode: str, seconds: int, word: str) -> None:
    scene = make_clip(tmp_path / "scene.mp4", ClipRecipe(frames=30 * seconds))
    master = make_clip(tmp_path / "master.mp4", ClipRecipe(frames=120))
    given = {"audio_sync_mode": mode, "quality": "low"}

    def sources() -> tuple[list[FileSource], FileSource]:
        return [FileSource(scene)], FileSource(master)

    plan = assembly_plan.plan(StepContext(scratch=tmp_path), *sources(), **given)
    done = assemble.assemble(StepContext(scratch=tmp_path), *sources(), **given)
    assert plan.audio_sync == word
    assert plan.audio_stretch_ratio == done.audio_stretch_ratio
    assert plan.frames == done.frames
    assert abs(plan.samples - done.samples) <= (1 if mode != "none" else 48)
    for name, size in done.file_sizes.items():
        assert within(plan.estimated_file_sizes[name], size, 2), name


def test_a_last_frame_that_only_a_full_decode_finds(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.avi", ClipRecipe(codec="huffyuv", pix_fmt="yuv422p", options={}, layout=None))
    source = CountingSource(path.read_bytes())
    plan = frames_plan.plan(StepContext(scratch=tmp_path), source, image_format="png")
    done = last_frame.extract(StepContext(scratch=tmp_path), CountingSource(path.read_bytes()), image_format="png")
    assert (plan.video_codec, plan.video_resolution) == (done.video_codec, done.video_resolution)
    assert plan.bytes_to_fetch <= path.stat().st_size


def test_a_length_that_needs_every_packet(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.flv", ClipRecipe(frames=60, sample_rate=44100))
    source = CountingSource(path.read_bytes())
    plan = length_plan.plan(StepContext(scratch=tmp_path), source)
    done = length.measure(StepContext(scratch=tmp_path), CountingSource(path.read_bytes()))
    assert (plan.duration_method, plan.bytes_to_fetch) == (done.duration_method, path.stat().st_size)
