"""Assembly, judged by decoding what it wrote: exact lengths, untouched pictures, one clock for sound and picture."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from services.assembly import assemble as assemble_module
from services.assembly.assemble import Assembly, assemble
from services.assembly.estimate import estimate_seconds
from shared.errors import (
    InvalidRequest,
    LastFrameError,
    LimitExceeded,
    ProcessingFailed,
    SourceUnavailable,
    UnsupportedMedia,
)
from shared.media.audio.formats import FORMATS
from shared.media.audio.writer import AudioWriter
from shared.media.source import FileSource
from shared.media.step import StepContext
from tests.media.audio_tools import declared_samples, ffmpeg
from tests.support.clips import ClipRecipe, look_at, make_clip

RATE = 44_100
SCENE_FRAMES = (30, 45, 20)
PICTURE_SECONDS = sum(SCENE_FRAMES) / 30


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three scenes of equal make, 3.167 s of picture, each with a sound that must not be heard."""
    folder = tmp_path_factory.mktemp("scenes")
    return [
        make_clip(folder / f"{number}.mp4", ClipRecipe(frames=frames, hue=90 + 40 * number))
        for number, frames in enumerate(SCENE_FRAMES)
    ]


def make_master(folder: Path, seconds: float, *, name: str = "master.mp3", rate: int = RATE, channels: int = 2) -> Path:
    """A 440 Hz tone, a quarter second of 880 Hz at both ends."""
    samples = round(seconds * rate)
    clock = np.arange(samples) / rate
    outer = (clock < 0.25) | (clock >= seconds - 0.25)
    wave = (0.4 * np.sin(2 * np.pi * np.where(outer, 880, 440) * clock)).astype(np.float32)
    with AudioWriter(folder / name, FORMATS[name.rpartition(".")[2]], rate, channels) as writer:
        writer.write(np.repeat(wave[None], channels, 0))
    return folder / name


def run(folder: Path, scenes: Sequence[Path], master: Path, **options: Any) -> Assembly:
    sources = [FileSource(path, label=f"scene_videos[{index}].video_url") for index, path in enumerate(scenes)]
    sound = FileSource(master, label="master_audio.audio_url")
    try:
        return assemble(StepContext(folder), sources, sound, **options)
    finally:
        for source in [*sources, sound]:
            source.close()


def heard(path: Path) -> np.ndarray:
    """The first channel, to the sample that the file declares."""
    with av.open(str(path)) as container:
        to_planes = av.AudioResampler(format="fltp")
        parts = [plane.to_ndarray()[0] for frame in container.decode(audio=0) for plane in to_planes.resample(frame)]
    return np.concatenate(parts)[: declared_samples(path)]


def pitch(wave: np.ndarray, rate: int = RATE) -> float:
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
    return float(spectrum.argmax() * rate / len(wave))


def assert_plays_cleanly(folder: Path) -> None:
    for name in ("full.mp4", "video_only.mp4", "audio_only.mp3"):
        command = [ffmpeg(), "-v", "error", "-i", str(folder / name), "-f", "null", "-"]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stderr == ""


@pytest.mark.parametrize("seconds", [2.0, 3.16, 3.5, 6.0])
def test_stretching_fits_to_the_sample_and_keeps_the_pitch(scenes: list[Path], seconds: float, tmp_path: Path) -> None:
    made = run(tmp_path, scenes, make_master(tmp_path, seconds))
    expected = round(PICTURE_SECONDS * RATE)
    for name in ("full.mp4", "audio_only.mp3"):
        wave = heard(tmp_path / name)
        assert len(wave) == made.samples == expected
        assert pitch(wave[expected // 3 : 2 * expected // 3]) == pytest.approx(440, abs=3)
        # The end of the master is at the end of the movie.
        assert pitch(wave[-RATE // 10 :][: RATE // 12]) == pytest.approx(880, abs=15)
    near = abs(seconds - PICTURE_SECONDS) <= 0.01
    assert made.audio_stretch_ratio == pytest.approx(1.0 if near else PICTURE_SECONDS / seconds, abs=1e-3)
    assert made.audio_duration == pytest.approx(seconds, abs=0.001)
    assert_plays_cleanly(tmp_path)


@pytest.mark.parametrize("seconds", [1.5, 6.5])
def test_a_hopeless_ratio_names_both_lengths(scenes: list[Path], seconds: float, tmp_path: Path) -> None:
    with pytest.raises(ProcessingFailed, match=rf"{seconds:.3f} s and the scenes 3\.167 s") as caught:
        run(tmp_path, scenes, make_master(tmp_path, seconds))
    assert (caught.value.word, caught.value.input_name) == ("audio_sync_failed", "master_audio.audio_url")
    assert not (tmp_path / "full.mp4").exists()


@pytest.mark.parametrize("mode", ["trim", "pad"])
@pytest.mark.parametrize("seconds", [2.0, 5.0])
def test_trim_and_pad_end_with_the_picture_and_touch_nothing_else(
    scenes: list[Path], mode: str, seconds: float, tmp_path: Path
) -> None:
    made = run(tmp_path, scenes, make_master(tmp_path, seconds, name="master.wav"), audio_sync_mode=mode)
    wave, original = heard(tmp_path / "audio_only.mp3"), heard(tmp_path / "master.wav")
    assert len(wave) == made.samples == round(PICTURE_SECONDS * RATE)
    common = min(len(wave), len(original)) - RATE // 50
    assert np.abs(wave[1000:common] - original[1000:common]).max() < 0.05
    if seconds < PICTURE_SECONDS:
        assert np.abs(wave[round(seconds * RATE) + RATE // 20 :]).max() < 1e-3
    assert made.audio_stretch_ratio == 1.0
    says_so = [word for word in made.warnings if "silence was added" in word or "was cut" in word]
    assert bool(says_so) == ((mode == "trim") == (seconds < PICTURE_SECONDS))


@pytest.mark.parametrize("seconds", [2.0, 5.0])
def test_none_leaves_the_audio_alone(scenes: list[Path], seconds: float, tmp_path: Path) -> None:
    made = run(tmp_path, scenes, make_master(tmp_path, seconds), audio_sync_mode="none")
    assert len(heard(tmp_path / "full.mp4")) == len(heard(tmp_path / "audio_only.mp3")) == round(seconds * RATE)
    assert made.samples == round(seconds * RATE)
    assert made.total_video_duration == pytest.approx(PICTURE_SECONDS, abs=0.001)


def test_pictures_are_the_scenes_own(scenes: list[Path], tmp_path: Path) -> None:
    made = run(tmp_path, scenes, make_master(tmp_path, 3.0))
    full, silent = look_at(tmp_path / "full.mp4"), look_at(tmp_path / "video_only.mp4")
    originals = [md5 for path in scenes for md5 in look_at(path).md5]
    assert full.md5 == silent.md5 == originals
    assert [round(float(pts) * 30) for pts in full.pts] == list(range(sum(SCENE_FRAMES)))
    assert silent.samples == 0
    assert (made.frames, made.total_scenes, made.output_resolution) == (95, 3, "160x96")
    assert ([copy["index"] for copy in made.copied], made.reencoded) == ([0, 1, 2], [])
    assert made.file_sizes == {
        "full_video": (tmp_path / "full.mp4").stat().st_size,
        "video_only": (tmp_path / "video_only.mp4").stat().st_size,
        "audio_only": (tmp_path / "audio_only.mp3").stat().st_size,
    }
    assert made.warnings == []
    json.dumps(asdict(made))


def test_one_scene_and_a_mute_full_video(scenes: list[Path], tmp_path: Path) -> None:
    made = run(tmp_path, scenes[:1], make_master(tmp_path, 1.2), include_audio=False)
    assert look_at(tmp_path / "full.mp4").samples == 0
    assert look_at(tmp_path / "full.mp4").md5 == look_at(tmp_path / "video_only.mp4").md5
    assert len(heard(tmp_path / "audio_only.mp3")) == made.samples == RATE
    assert_plays_cleanly(tmp_path)


def test_unlike_scenes_at_another_size(scenes: list[Path], tmp_path: Path) -> None:
    portrait = make_clip(tmp_path / "portrait.mp4", ClipRecipe(size=(90, 160), frames=20, layout=None))
    made = run(
        tmp_path, [scenes[0], portrait], make_master(tmp_path, 1.5), resolution="480p", quality="low",
        audio_sync_mode="pad",
    )  # fmt: skip
    assert made.output_resolution == "854x480"
    assert [entry["index"] for entry in made.reencoded] == [0, 1]
    assert not any("audio" in reason for entry in made.reencoded for reason in entry["reasons"])
    with av.open(str(tmp_path / "full.mp4")) as container:
        pictures = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    assert len(pictures) == made.frames == 50
    assert pictures[-1].shape == (480, 854)
    assert pictures[-1][:, :200].max() < 24  # black beside the portrait
    assert_plays_cleanly(tmp_path)


def test_surround_stays_in_the_video_and_is_folded_for_the_mp3(scenes: list[Path], tmp_path: Path) -> None:
    run(tmp_path, scenes, make_master(tmp_path, 3.2, name="master.flac", rate=96_000, channels=6))
    with av.open(str(tmp_path / "full.mp4")) as full, av.open(str(tmp_path / "audio_only.mp3")) as mp3:
        assert (full.streams.audio[0].layout.name, full.streams.audio[0].rate) == ("5.1", 48_000)
        assert (mp3.streams.audio[0].layout.name, mp3.streams.audio[0].rate) == ("stereo", 48_000)


def test_audio_longer_than_any_movie_is_refused(scenes: list[Path], tmp_path: Path) -> None:
    sources = [FileSource(path) for path in scenes[:1]]
    master = FileSource(make_master(tmp_path, 41.0, name="master.flac"), label="master_audio.audio_url")
    with pytest.raises(LimitExceeded, match=r"41\.000 s; at most 40 s") as caught:
        assemble(StepContext(tmp_path, max_duration_seconds=2.0), sources, master, audio_sync_mode="none")
    assert caught.value.word == "duration_too_long"


def test_missed_expectations_are_reported(scenes: list[Path], tmp_path: Path) -> None:
    made = run(
        tmp_path, scenes, make_master(tmp_path, 3.0), expected_scene_seconds=[1.4, 3.0, None], expected_audio_seconds=9
    )
    assert made.warnings == [
        "scene_videos[1].video_url: 3.000 s were expected, 1.500 s were found",
        "master_audio.audio_url: 9.000 s were expected, 3.000 s were found",
    ]


def test_bad_inputs_are_named(scenes: list[Path], tmp_path: Path) -> None:
    page = tmp_path / "page.mp4"
    page.write_text("<html><body>gone</body></html>")
    master = make_master(tmp_path, 3.0)
    with pytest.raises(UnsupportedMedia, match="HTML") as caught:
        run(tmp_path, [*scenes, page], master)
    assert caught.value.input_name == "scene_videos[3].video_url"
    with pytest.raises(UnsupportedMedia) as caught:
        run(tmp_path, scenes, page)
    assert caught.value.input_name == "master_audio.audio_url"
    for options in ({"audio_sync_mode": "loop"}, {"quality": "best"}, {"resolution": "8k"}):
        with pytest.raises(InvalidRequest):
            run(tmp_path, scenes, master, **options)


class BreakingSource(FileSource):
    """A source that is lost after some reads."""

    reads_left = 0

    def read_at(self, offset: int, length: int) -> bytes:
        self.reads_left -= 1
        if self.reads_left < 0:
            raise SourceUnavailable("the server closed the connection", retryable=True)
        return super().read_at(offset, length)


def test_a_failure_anywhere_ends_all_threads(
    scenes: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lost master, a lost scene, a failing encoder: the first error comes out, and nothing waits for ever."""
    before = threading.active_count()
    master = make_master(tmp_path, 6.0, name="master.wav")
    sources = [FileSource(path, label=f"scene_videos[{index}]") for index, path in enumerate(scenes)]
    for broken in ("master", "scene"):
        for reads in range(12, 60, 12):
            lost = BreakingSource(master if broken == "master" else scenes[1], label=broken)
            lost.reads_left = reads
            inputs = sources if broken == "master" else [sources[0], lost, sources[2]]
            sound = lost if broken == "master" else FileSource(master)
            try:
                assemble(StepContext(tmp_path), inputs, sound)
            except LastFrameError as error:
                assert isinstance(error, SourceUnavailable)
                assert error.input_name == broken

    class FullDisk(AudioWriter):
        def write(self, block: Any) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(assemble_module, "AudioWriter", FullDisk)
    for include_audio in (True, False):
        with pytest.raises(ProcessingFailed, match="could not be written"):
            assemble(StepContext(tmp_path), sources, FileSource(master), include_audio=include_audio)
    assert threading.active_count() == before


def test_the_estimate_grows_with_the_work() -> None:
    guide = estimate_seconds([8, 8, 7], 23)
    assert 1 <= guide < 30
    assert estimate_seconds([None, None, None], None) == pytest.approx(guide, abs=2)
    assert estimate_seconds([60] * 10, 600) > 3 * guide
    assert estimate_seconds([60] * 10, 600, resolution="4k") > estimate_seconds([60] * 10, 600, resolution="720p")
    assert estimate_seconds([60], 60, resolution="1080p", quality="high") >= estimate_seconds(
        [60], 60, resolution="1080p", quality="low"
    )
