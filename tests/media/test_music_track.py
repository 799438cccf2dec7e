"""Music track, judged by decoding what came out."""

from __future__ import annotations

import hashlib
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from services.audio.mix_music import MixedMusic, mix_music
from shared.errors import InvalidRequest, LimitExceeded, UnsupportedMedia
from shared.media.audio import Block
from shared.media.picture import Orientation
from shared.media.source import FileSource
from shared.media.step import StepContext
from tests.media.audio_tools import decode, ebur128, ffmpeg, level_db, sine, write_sound
from tests.support.clips import boxes
from tests.support.media import media_file

RATE = 48000
TONE_HZ = 3000


@pytest.fixture
def context(tmp_path: Path) -> StepContext:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return StepContext(scratch=scratch)


def mix(context: StepContext, video: Path, music: Path, **options) -> tuple[MixedMusic, Path]:
    result = mix_music(context, FileSource(video, "video_url"), FileSource(music, "music_url"), **options)
    return result, context.scratch / result.file_name


def make_video(
    path: Path,
    seconds: float,
    sound: Block | None = None,
    *,
    codec: str = "libx264",
    sound_codec: str = "flac",
    sound_at: float = 0.0,
    picture_at: float = 0.0,
    **options: str,
) -> Path:
    """25 frames a second of moving grey; B-frames where the codec has them; the sound lossless unless told."""
    with av.open(str(path), "w", container_options={"strict": "-2", **options}) as output:
        video = output.add_stream(codec, rate=25)
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        audio = None
        if sound is not None:
            audio = output.add_stream(sound_codec, rate=RATE, layout="mono" if sound.shape[0] == 1 else "stereo")
            audio.time_base = Fraction(1, RATE)
        for index in range(round(seconds * 25)):
            plane = np.full((96, 64), (index * 5) % 200 + 20, np.uint8)
            frame = av.VideoFrame.from_ndarray(plane, format="yuv420p")
            frame.pts, frame.time_base = index + round(picture_at * 25), Fraction(1, 25)
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
        if audio is not None and sound is not None:
            layout = audio.codec_context.layout.name
            if sound_codec == "flac":
                data = np.rint(sound.T.reshape(1, -1) * 32767).astype(np.int16)
                frame = av.AudioFrame.from_ndarray(data, format="s16", layout=layout)
            else:
                frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound), format="fltp", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = RATE, round(sound_at * RATE), Fraction(1, RATE)
            output.mux(audio.encode(frame))
            output.mux(audio.encode(None))
    return path


def pictures(path: Path) -> list[tuple[float, str]]:
    """Seconds after the first one, and a hash, of every decoded frame."""
    found = []
    with av.open(str(path)) as container:
        for frame in container.decode(container.streams.video[0]):
            found.append((float(frame.pts * frame.time_base), hashlib.md5(frame.to_ndarray().tobytes()).hexdigest()))
    return [(round(seconds - found[0][0], 4), digest) for seconds, digest in found]


def stream_seconds(path: Path) -> tuple[float, float, int]:
    """Duration of picture and sound, and the sound's samples, as the container declares them."""
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert video.start_time == 0
        assert audio.start_time == 0
        samples = round(audio.duration * audio.time_base * RATE)
        return float(video.duration * video.time_base), samples / RATE, samples


def tone_db(sound: Block, hertz: float = TONE_HZ, window: float = 0.1) -> np.ndarray:
    """The level of one frequency in each window, dB."""
    size = round(window * RATE)
    rows = sound[0, : sound.shape[1] // size * size].reshape(-1, size)
    shape = np.hanning(size)
    found = (rows * shape) @ np.exp(-2j * np.pi * hertz * np.arange(size) / RATE) / shape.sum() * 2
    return 20 * np.log10(np.abs(found) + 1e-9)


@pytest.fixture(scope="module")
def voice() -> Block:
    """Real speech at 48 kHz, mono, with five seconds of silence on each side."""
    speech, rate = decode(media_file("jfk.flac").path)
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=RATE)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(speech[:1]), format="fltp", layout="mono")
    frame.sample_rate = rate
    at_48 = np.concatenate([part.to_ndarray() for part in resampler.resample(frame)], axis=1)
    quiet = np.zeros((1, 5 * RATE), np.float32)
    return np.concatenate((quiet, at_48[:, : 11 * RATE - 2000], quiet), axis=1)


@pytest.fixture(scope="module")
def tone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sound(tmp_path_factory.mktemp("tone") / "tone.wav", sine(TONE_HZ, 30, RATE, level=0.3), RATE)


@pytest.mark.parametrize(("voice_db", "duck_db"), [(0, 12.0), (-12, 12.0), (-24, 12.0), (-24, 20.0), (0, 4.0)])
def test_the_duck_is_as_deep_as_asked_for_at_any_voice_level(
    tmp_path: Path, context: StepContext, voice: Block, tone: Path, voice_db: int, duck_db: float
) -> None:
    quieter = voice * np.float32(10 ** (voice_db / 20))
    video = make_video(tmp_path / "v.mp4", voice.shape[1] / RATE, quieter)
    result, path = mix(context, video, tone, duck_db=duck_db, fade_out_seconds=0)
    mixed, _ = decode(path)
    # The voice has energy at the tone's frequency, too: what the mix adds to the original is the music.
    music = tone_db(mixed[:1, : quieter.shape[1]] - quieter)
    free, ducked, after = music[5:45].mean(), np.median(music[55:150]), music[180:-3].mean()
    assert free - ducked == pytest.approx(duck_db, abs=0.5)
    assert after == pytest.approx(free, abs=0.3)
    assert music[55:150].max() - free < -duck_db + 1
    assert result.duck_db_measured == pytest.approx(duck_db, abs=0.1)
    assert result.ducked_seconds == pytest.approx(11, abs=0.8)


def test_the_music_is_down_before_the_voice_begins(tmp_path: Path, context: StepContext, tone: Path) -> None:
    burst = np.zeros((1, 6 * RATE), np.float32)
    burst[:, 3 * RATE : 4 * RATE] = sine(300, 1.0, RATE, level=0.3)
    video = make_video(tmp_path / "v.mp4", 6, burst)
    options = {"attack_seconds": 0.3, "hold_seconds": 0.5, "release_seconds": 1.0, "fade_out_seconds": 0}
    _, path = mix(context, video, tone, **options)
    mixed, _ = decode(path)
    music = tone_db(mixed[:1], window=0.02)
    free = music[20:100].mean()
    assert music[150] - free == pytest.approx(-12, abs=0.6)  # 3.00 s: there
    assert music[130] - free == pytest.approx(0, abs=0.5)  # 2.61 s: still free
    assert music[140] - free == pytest.approx(-6, abs=1.2)  # 2.81 s: halfway down, in dB (onsets count 40 ms early)
    assert music[222] - free == pytest.approx(-12, abs=0.6)  # 4.45 s: held
    assert music[250] - free == pytest.approx(-6, abs=1.2)  # 5.01 s: halfway up
    assert music[280] - free == pytest.approx(0, abs=0.5)


@pytest.mark.parametrize("kind", ["digital silence", "hiss", "hum"])
def test_nothing_ducks_under_a_recording_of_nothing(
    tmp_path: Path, context: StepContext, tone: Path, kind: str
) -> None:
    samples = 4 * RATE
    sounds = {
        "digital silence": np.zeros((1, samples)),
        "hiss": np.random.default_rng(1).standard_normal((1, samples)) * 0.001,
        "hum": sine(50, 4, RATE, level=0.01),
    }
    video = make_video(tmp_path / "v.mp4", 4, sounds[kind].astype(np.float32))
    result, _ = mix(context, video, tone)
    assert result.ducked_seconds == 0
    assert result.duck_db_measured == 0


def test_the_original_keeps_its_level_and_its_place(tmp_path: Path, context: StepContext, voice: Block) -> None:
    video = make_video(tmp_path / "v.mp4", voice.shape[1] / RATE, voice * np.float32(0.5))
    silent = write_sound(tmp_path / "silent.wav", np.zeros((1, RATE), np.float32), RATE)
    result, path = mix(context, video, silent)
    mixed, _ = decode(path)
    assert level_db(mixed[:1, : voice.shape[1]] - voice * np.float32(0.5)) < level_db(voice) - 6 - 20  # AAC's noise
    assert result.warnings == ["the part of the music that is used is silent"]
    _, path = mix(context, video, silent, original_volume_db=-6.0)
    quieter, _ = decode(path)
    assert level_db(quieter) - level_db(mixed) == pytest.approx(-6, abs=0.1)


@pytest.mark.parametrize(
    ("sound_at", "picture_at"), [(0.5, 0.0), (0.0, 0.4), (0.3, 0.4)], ids=["late sound", "late picture", "both"]
)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_offsets_between_picture_and_sound_survive(
    tmp_path: Path, context: StepContext, suffix: str, sound_at: float, picture_at: float
) -> None:
    sound = np.zeros((1, 3 * RATE), np.float32)
    sound[0, RATE : RATE + 480] = 0.5  # one second into the sound
    video = make_video(tmp_path / f"v{suffix}", 3, sound, sound_at=sound_at, picture_at=picture_at)
    silent = write_sound(tmp_path / "silent.wav", np.zeros((1, RATE), np.float32), RATE)
    result, path = mix(context, video, silent)
    mixed, _ = decode(path)
    expected = (1.0 + sound_at - picture_at) * RATE
    rise = int(np.argmax(np.abs(mixed[0]) > 0.25))
    assert abs(rise - expected) <= (2 if suffix == ".mp4" else 50)  # Matroska's clock has milliseconds
    assert result.output_samples == 3 * RATE
    assert pictures(path) == pictures(video)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_the_picture_is_copied_bit_exact(tmp_path: Path, context: StepContext, tone: Path, suffix: str) -> None:
    video = make_video(tmp_path / f"v{suffix}", 2, sine(200, 2, RATE), sound_codec="flac" if suffix != ".ts" else "aac")
    result, path = mix(context, video, tone)
    assert result.picture == "copied"
    assert boxes(path) == ["ftyp", "moov", "free", "free", "mdat"]
    assert [digest for _, digest in pictures(path)] == [digest for _, digest in pictures(video)]
    for (seconds, _), (before, _) in zip(pictures(path), pictures(video), strict=True):
        assert seconds == pytest.approx(before, abs=0.0011)


def test_an_edit_list_into_a_group_of_pictures_survives(tmp_path: Path, context: StepContext, tone: Path) -> None:
    """Packets before the edit must be decoded but not shown."""
    whole = make_video(tmp_path / "whole.mp4", 3)
    cut = tmp_path / "cut.mp4"
    with av.open(str(whole)) as source, av.open(str(cut), "w") as output:
        stream = source.streams.video[0]
        copy = output.add_stream_from_template(stream, opaque=True)
        for packet in source.demux(stream):
            if packet.size:
                packet.stream = copy
                packet.pts -= round(1 / stream.time_base)
                packet.dts -= round(1 / stream.time_base)
                output.mux(packet)
    expected = pictures(cut)
    assert len(expected) == 50
    _, path = mix(context, cut, tone)
    assert pictures(path) == expected
    assert stream_seconds(path)[2] == 2 * RATE


@pytest.mark.parametrize(
    ("codec", "suffix"), [("libvpx", ".webm"), ("wmv2", ".avi"), ("mpeg4", ".avi"), ("libx264", ".avi")]
)
def test_a_picture_that_cannot_be_copied_is_encoded_and_said(
    tmp_path: Path, context: StepContext, tone: Path, codec: str, suffix: str
) -> None:
    video = make_video(tmp_path / f"v{suffix}", 2, codec=codec)
    result, path = mix(context, video, tone)
    with av.open(str(path)) as container:
        name = container.streams.video[0].codec_context.name
        shown = [frame.to_ndarray()[:64].mean() for frame in container.decode(container.streams.video[0])]
    if codec == "mpeg4":
        assert (name, result.picture) == ("mpeg4", "copied")
    else:
        assert name == "h264"
        assert result.picture.startswith("encoded as H.264: ")
    assert len(shown) == 50
    wanted = [(index * 5) % 200 + 20 for index in range(50)]
    assert np.abs(np.array(shown) - wanted).max() < 6
    assert stream_seconds(path)[2] == 2 * RATE


@pytest.mark.parametrize("name", ["elf.mp4", "prog_8s.mp4", "sampleMKV.mkv", "sample_h264.ts", "h265_bframes.mp4"])
def test_real_videos_keep_picture_and_length(context: StepContext, tone: Path, name: str) -> None:
    file = media_file(name)
    result, path = mix(context, file.path, tone)
    assert pictures(path) == [(pytest.approx(at, abs=0.0011), digest) for at, digest in pictures(file.path)]
    seconds = file.video_end_seconds - file.video_start_seconds
    assert result.original_duration == pytest.approx(seconds, abs=0.002)
    assert result.output_samples == round(result.original_duration * RATE)
    picture, _, samples = stream_seconds(path)
    assert picture == pytest.approx(result.original_duration, abs=0.0001)
    assert samples == result.output_samples


def test_a_turned_picture_is_encoded_upright(tmp_path: Path, context: StepContext, tone: Path) -> None:
    """ProRes from a phone: MP4 cannot carry it, and its display matrix would be lost."""
    program = ffmpeg()
    still, video = tmp_path / "still.mov", tmp_path / "turned.mov"
    make = ["-f", "lavfi", "-i", "color=red:s=64x32:r=25:d=1,drawbox=w=32:c=blue:t=fill", "-c:v", "prores_ks"]
    turn = ["-i", str(still), "-c", "copy", "-metadata:s:v", "rotate=90"]
    for command, target in ((make, still), (turn, video)):
        subprocess.run([program, "-v", "error", *command, str(target)], check=True)
    result, path = mix(context, video, tone)
    assert result.picture == "encoded as H.264: MP4 does not carry prores"
    with av.open(str(path)) as container:
        frame = next(container.decode(container.streams.video[0]))
        shown = frame.to_ndarray(format="rgb24")
    assert shown.shape == (64, 32, 3)
    top_is_blue = bool(shown[16, 16, 2] > 150)
    assert top_is_blue != bool(shown[48, 16, 2] > 150)
    with av.open(str(video)) as container:
        first = next(container.decode(container.streams.video[0]))
        expected = Orientation.of(first).apply(first.to_ndarray(format="rgb24"))
    assert np.abs(shown.astype(int) - expected.astype(int)).mean() < 12


def test_rotation_is_kept(context: StepContext, tone: Path) -> None:
    _, path = mix(context, media_file("input_3sec_rotation_90deg.mp4").path, tone)
    with av.open(str(path)) as container:
        assert next(container.decode(container.streams.video[0])).rotation == 90


def test_a_loop_of_a_tone_has_no_step_and_no_dip(tmp_path: Path, context: StepContext) -> None:
    """3.3 s of a tone whose ends do not meet, under 12 s of picture: the worst case for a crossfade."""
    music = write_sound(tmp_path / "m.wav", sine(441.7, 3.3, RATE, level=0.3), RATE)
    video = make_video(tmp_path / "v.mp4", 12)
    result, path = mix(context, video, music, fade_out_seconds=0)
    mixed, _ = decode(path)
    assert result.loops >= 3
    body = mixed[:1, 2000 : 12 * RATE - 2000]
    level = np.sqrt(np.mean(np.square(body[:, : body.shape[1] // 480 * 480].reshape(-1, 480)), axis=1))
    assert 20 * np.log10(level.max() / level.min()) < 1.0
    own_step = 2 * np.pi * 441.7 / RATE * np.abs(body).max()
    assert np.abs(np.diff(body[0])).max() < 1.1 * own_step


def test_a_loop_of_noise_keeps_its_loudness(tmp_path: Path, context: StepContext) -> None:
    noise = np.random.default_rng(2).standard_normal((2, round(4.1 * RATE))).astype(np.float32) * 0.1
    music = write_sound(tmp_path / "m.wav", noise, RATE)
    video = make_video(tmp_path / "v.mp4", 15)
    _, path = mix(context, video, music, fade_out_seconds=0)
    mixed, _ = decode(path)
    level = [level_db(mixed[:, at : at + RATE // 4]) for at in range(0, 14 * RATE, RATE // 4)]
    assert max(level) - min(level) < 1.0


def test_fades_and_silence_at_the_ends_of_the_music_are_not_looped(tmp_path: Path, context: StepContext) -> None:
    seconds = np.arange(8 * RATE) / RATE
    shape = np.clip(seconds / 0.5 - 1, 0, 1) * np.clip((6 - seconds) / 2, 0, 1)  # silence, rise … fall, silence
    music = write_sound(tmp_path / "m.wav", (sine(500, 8, RATE, level=0.3) * shape).astype(np.float32), RATE)
    video = make_video(tmp_path / "v.mp4", 14)
    result, path = mix(context, video, music, fade_out_seconds=0)
    mixed, _ = decode(path)
    level = np.array([level_db(mixed[:, at : at + RATE // 10]) for at in range(RATE, 14 * RATE, RATE // 10)])
    assert result.loops >= 2
    assert level.max() - level.min() < 16  # a fade lets go 15 dB at most; through the silence it would be 80


def test_longer_music_starts_at_its_offset_and_ends_with_a_fade(tmp_path: Path, context: StepContext) -> None:
    music = np.concatenate((sine(1000, 3, RATE, level=0.2), sine(TONE_HZ, 10, RATE, level=0.2)), axis=1)
    file = write_sound(tmp_path / "m.wav", music, RATE)
    video = make_video(tmp_path / "v.mp4", 6)
    result, path = mix(context, video, file, music_offset_seconds=2.0, fade_in_seconds=0.5, fade_out_seconds=2.0)
    mixed, _ = decode(path)
    assert result.loops == 0
    assert result.music_duration == pytest.approx(13)
    turn = tone_db(mixed[:1], window=0.05)
    assert turn[18] < turn[24] - 30  # the tone changes after one second
    free = turn[40:70].mean()
    assert turn[100] - free == pytest.approx(-6, abs=1.0)  # halfway through the fade: half the amplitude
    assert turn[118] - free < -30
    assert level_db(mixed[:, :2400]) < level_db(mixed[:, 30000:40000]) - 15
    with pytest.raises(InvalidRequest) as caught:
        mix(context, video, file, music_offset_seconds=14.0)
    assert caught.value.input_name == "music_offset_seconds"


@pytest.mark.parametrize("music_level", [3.0, 0.01])
def test_music_comes_at_its_loudness_whatever_it_was(tmp_path: Path, context: StepContext, music_level: float) -> None:
    noise = np.random.default_rng(3).uniform(-1, 1, (2, 9 * RATE + 15))
    noise = np.lib.stride_tricks.sliding_window_view(noise, 16, axis=1).mean(axis=2)  # AAC drops what is over 20 kHz
    music = write_sound(tmp_path / "m.wav", (noise * music_level).astype(np.float32), RATE)
    result, path = mix(context, make_video(tmp_path / "v.mp4", 8), music, fade_out_seconds=0)
    loudness, _ = ebur128(path)
    assert loudness == pytest.approx(-24, abs=0.5)
    assert result.integrated_lufs == pytest.approx(loudness, abs=0.2)


def test_true_peaks_stay_under_the_ceiling(tmp_path: Path, context: StepContext) -> None:
    """Full-scale clipped speech under loud, dense music: worst for the limiter and for AAC's overshoot."""
    speech, rate = decode(media_file("jfk.flac").path)
    hot = np.clip(speech[:1, : 6 * rate] * 4, -1, 1)
    video = make_video(tmp_path / "v.mp4", 6, np.ascontiguousarray(hot[:, : 6 * RATE]))
    options = {"music_volume_db": 14.0, "duck_db": 3.0, "fade_out_seconds": 0}
    result, path = mix(context, video, media_file("viper.mp3").path, **options)
    loudness, peak = ebur128(path)
    assert peak <= -0.9  # FFmpeg's meter and ours differ by less than 0.1 dB
    assert result.true_peak_dbtp == pytest.approx(peak, abs=0.2)
    assert result.integrated_lufs == pytest.approx(loudness, abs=0.2)
    assert result.warnings == []


def test_inputs_that_will_not_do_are_named(tmp_path: Path, context: StepContext, tone: Path) -> None:
    video = make_video(tmp_path / "v.mp4", 1)
    with pytest.raises(UnsupportedMedia) as caught:
        mix(context, video, media_file("horse.mp4").path)
    assert caught.value.input_name == "music_url"
    with pytest.raises(UnsupportedMedia) as caught:
        mix(context, tone, tone)
    assert caught.value.input_name == "video_url"
    with pytest.raises(LimitExceeded) as caught:
        mix(StepContext(scratch=context.scratch, max_duration_seconds=0.4), video, tone)
    assert caught.value.input_name == "video_url"


def test_scratch_holds_the_result_alone(tmp_path: Path, context: StepContext, tone: Path) -> None:
    _, path = mix(context, make_video(tmp_path / "v.mp4", 1), tone)
    assert list(context.scratch.iterdir()) == [path]


def test_an_offset_in_the_music_is_taken_out(tmp_path: Path, context: StepContext) -> None:
    music = write_sound(tmp_path / "m.wav", sine(440, 5, RATE, level=0.2) + np.float32(0.3), RATE)
    _, path = mix(context, make_video(tmp_path / "v.mp4", 12), music, fade_out_seconds=0)
    mixed, _ = decode(path)
    assert abs(mixed[:, : 12 * RATE].mean()) < 0.001
    assert np.abs(mixed[:, :480]).max() < 0.15


def test_the_duck_is_measured_under_fades_too(tmp_path: Path, context: StepContext, tone: Path) -> None:
    burst = np.zeros((1, 6 * RATE), np.float32)
    burst[:, 2 * RATE : 4 * RATE] = sine(300, 2, RATE, level=0.3)
    video = make_video(tmp_path / "v.mp4", 6, burst)
    result, _ = mix(context, video, tone, fade_in_seconds=60.0, fade_out_seconds=60.0)
    assert result.duck_db_measured == pytest.approx(12.0, abs=0.1)
