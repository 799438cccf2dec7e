"""Audio stitch, judged by decoding what came out."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from services.audio.stitch_audio import StitchedAudio, stitch_audio
from shared.errors import InvalidRequest, UnsupportedMedia
from shared.media.source import FileSource
from shared.media.step import StepContext
from tests.media.audio_tools import declared_samples, decode, ebur128, level_db, sine, write_sound
from tests.support.media import media_file

RATE = 48000


@pytest.fixture
def context(tmp_path: Path) -> StepContext:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return StepContext(scratch=scratch)


def stitch(context: StepContext, files: list[Path], parts: list, **options) -> tuple[StitchedAudio, Path]:
    sources = [FileSource(path, f"audio_urls[{index}]") for index, path in enumerate(files)]
    result = stitch_audio(context, sources, parts, **options)
    return result, context.scratch / result.file_name


def impulses(tmp_path: Path) -> list[Path]:
    """Three files of odd lengths at three rates, each starting with an impulse."""
    files = []
    for index, (rate, seconds) in enumerate(((48000, 0.7), (24000, 1.013), (44100, 0.9))):
        sound = np.zeros((1, round(rate * seconds) + index), np.float32)
        sound[0, 0] = 0.9
        files.append(write_sound(tmp_path / f"{index}.wav", sound, rate))
    return files


@pytest.mark.parametrize("output_format", ["mp3", "m4a", "wav", "flac", "opus"])
def test_each_part_starts_on_its_exact_sample(tmp_path: Path, context: StepContext, output_format: str) -> None:
    parts = [{"source": 0}, {"silence_seconds": 0.333}, {"source": 1}, {"source": 2}, {"source": 0}]
    result, path = stitch(context, impulses(tmp_path), parts, output_format=output_format)

    expected = [33600, 15984, ((24312 + 1) * 2), round((39690 + 2) * 48000 / 44100), 33600]
    assert [part.samples for part in result.parts] == expected
    assert [part.start_sample for part in result.parts] == [0, *np.cumsum(expected)[:-1]]
    assert result.output_sample_rate == RATE
    assert result.output_samples == sum(expected)

    samples, rate = decode(path)
    assert rate == RATE
    if output_format == "m4a":
        # The edit list says it; FFmpeg's decoder plays AAC's last frame to its end.
        assert declared_samples(path) == sum(expected)
        assert 0 <= samples.shape[1] - sum(expected) < 1024
    else:
        assert samples.shape[1] == sum(expected)
    for part in result.parts:
        if part.source is not None:
            around = np.abs(samples[0, max(0, part.start_sample - 200) : part.start_sample + 200])
            assert np.argmax(around) + max(0, part.start_sample - 200) == part.start_sample


def test_lossless_parts_come_back_bit_for_bit(tmp_path: Path, context: StepContext) -> None:
    rng = np.random.default_rng(4)
    sounds = [np.rint(rng.uniform(-9000, 9000, (2, length))).astype(np.float32) / 32768 for length in (70001, 33333)]
    files = [write_sound(tmp_path / f"{i}.wav", sound, 44100) for i, sound in enumerate(sounds)]
    parts = [{"source": 1}, {"silence_seconds": 0.1}, {"source": 0}, {"source": 1}]
    result, path = stitch(context, files, parts, output_format="flac", declick=False)
    samples, _ = decode(path)
    silence = np.zeros((2, 4410), np.float32)
    assert np.array_equal(samples, np.concatenate((sounds[1], silence, sounds[0], sounds[1]), axis=1))
    assert result.output_channels == 2


def test_a_jump_is_faded_and_silence_stays_silent(tmp_path: Path, context: StepContext) -> None:
    loud = write_sound(tmp_path / "loud.wav", sine(200, 0.5, RATE, level=0.8, phase=np.pi / 2), RATE)
    parts = [{"source": 0}, {"silence_seconds": 0.2}, {"source": 0}, {"source": 0}]
    result, path = stitch(context, [loud], parts, output_format="wav")
    samples, _ = decode(path)
    own_step = float(np.abs(np.diff(sine(200, 0.1, RATE, level=0.8))).max())

    silence = samples[:, result.parts[1].start_sample : result.parts[2].start_sample]
    assert not silence.any()
    for part in result.parts[1:3]:
        step = np.abs(np.diff(samples[0, part.start_sample - 300 : part.start_sample + 300])).max()
        assert step < 2 * own_step
    fade = samples[0, result.parts[1].start_sample - 144 : result.parts[1].start_sample]
    assert abs(fade[-1]) < 0.002
    assert result.declicked_joins == 2  # 200 Hz for half a second ends where it began: the last join needs no fade

    _, raw = stitch(context, [loud], parts, output_format="wav", declick=False)
    samples, _ = decode(raw)
    assert np.abs(np.diff(samples[0])).max() > 0.7


def test_a_sound_that_runs_on_is_not_touched(tmp_path: Path, context: StepContext) -> None:
    whole = sine(330, 1.0, RATE)
    files = [
        write_sound(tmp_path / "a.wav", whole[:, :20011], RATE),
        write_sound(tmp_path / "b.wav", whole[:, 20011:], RATE),
    ]
    result, path = stitch(context, files, [{"source": 0}, {"source": 1}], output_format="wav")
    samples, _ = decode(path)
    assert result.declicked_joins == 0
    assert np.abs(samples - whole).max() <= 0.6 / 32768


@pytest.mark.parametrize("length", [1, 50, 200])
def test_parts_shorter_than_a_fade(tmp_path: Path, context: StepContext, length: int) -> None:
    tiny = write_sound(tmp_path / "tiny.wav", np.full((1, length), 0.5, np.float32), RATE)
    parts = [{"source": 0}, {"silence_seconds": 0.1}, {"source": 0}, {"source": 0}]
    result, path = stitch(context, [tiny], parts, output_format="wav")
    samples, _ = decode(path)
    assert samples.shape[1] == 3 * length + 4800 == result.output_samples
    assert not samples[:, length : length + 4800].any()


def test_normalising_brings_voices_together(tmp_path: Path, context: StepContext) -> None:
    voice, rate = decode(media_file("jfk.flac").path)
    files = [write_sound(tmp_path / f"{db}.wav", voice * 10 ** (db / 20), rate) for db in (0, -12, -24)]
    result, path = stitch(context, files, [{"source": i} for i in range(3)], output_format="wav", normalize_lufs=-16.0)
    samples, _ = decode(path)
    for part in result.parts:
        alone = samples[:, part.start_sample : part.start_sample + part.samples]
        loudness, peak = ebur128(write_sound(tmp_path / "part.wav", alone, rate))
        assert loudness == pytest.approx(-16.0, abs=0.5)
        assert peak <= -0.9


def test_real_files_of_every_sort(context: StepContext) -> None:
    names = ["jfk.flac", "test.mp3", "bear.opus", "sample.adts", "elf.mp4", "crystal.webm", "testVideoMp4.mp4"]
    files = [media_file(name) for name in names]
    result, path = stitch(context, [file.path for file in files], [{"source": i} for i in range(len(files))])
    samples, rate = decode(path)
    assert rate == 48000
    assert samples.shape[1] == result.output_samples == sum(part.samples for part in result.parts)
    for file, part in zip(files, result.parts, strict=True):
        assert part.duration_seconds == pytest.approx(file.audio_end_seconds - file.audio_start_seconds, abs=0.03)
        assert level_db(samples[:, part.start_sample : part.start_sample + part.samples]) > -60
    assert result.content_type == "audio/mpeg"
    assert result.output_audio_file_size == path.stat().st_size


def test_24_bit_and_surround_survive(tmp_path: Path, context: StepContext) -> None:
    sound = np.zeros((6, 4800), np.float32)
    sound[3] = 3 / 8388608  # three steps of 24 bits, on the LFE
    packed = (np.ascontiguousarray(sound.T).reshape(1, -1) * 8388608).astype(np.int32) << 8
    with av.open(str(tmp_path / "deep.wav"), "w") as output:
        stream = output.add_stream("pcm_s24le", rate=RATE, layout="5.1")
        stream.codec_context.format = "s32"
        frame = av.AudioFrame.from_ndarray(packed, format="s32", layout="5.1")
        frame.sample_rate = RATE
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    result, path = stitch(context, [tmp_path / "deep.wav"], [{"source": 0}], output_format="flac", channels=6)
    samples, _ = decode(path)
    assert result.output_channels == 6
    assert np.array_equal(samples, sound)


@pytest.mark.parametrize("codec", ["libopus", "vorbis"])
def test_the_links_of_a_chained_ogg_sound_as_they_do_alone(tmp_path: Path, context: StepContext, codec: str) -> None:
    """As speech services stream it: files glued together. A decoder that goes on from the link before garbles 0.2 s."""
    voice, rate = decode(media_file("jfk.flac").path)
    links = []
    for number in range(2):
        links.append(tmp_path / f"{number}.ogg")
        with av.open(str(links[-1]), "w", format="ogg") as output:
            options = {"application": "voip"} if codec == "libopus" else {"strict": "-2"}
            stream = output.add_stream(
                codec, rate=rate if codec == "vorbis" else RATE, layout="stereo", options=options
            )
            if codec == "libopus":
                stream.bit_rate = 10_000
            part = np.ascontiguousarray(voice[:, (1 + number) * 48_000 : (2 + number) * 48_000])
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
            output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
    chained = tmp_path / "chained.ogg"
    chained.write_bytes(b"".join(link.read_bytes() for link in links))
    _, path = stitch(context, [chained], [{"source": 0}], output_format="wav", declick=False)
    samples, _ = decode(path)
    alone = np.concatenate([decode(link)[0] for link in links], axis=1)
    assert samples.shape == alone.shape
    assert np.abs(samples - np.clip(alone, -1, 1)).max() < 0.002


@pytest.mark.parametrize("behind", [b"TAG" + bytes(125), b"APETAGEX\xd0\x07\x00\x00" + bytes(120), bytes(3000)])
def test_what_stands_behind_the_sound_does_not_spoil_it(tmp_path: Path, context: StepContext, behind: bytes) -> None:
    """WavPack's demuxer ends in an error at a tag, where others just end."""
    tone = sine(330, 1.5, RATE)
    path = write_sound(tmp_path / "a.wv", tone, RATE, "wavpack", "s16p")
    path.write_bytes(path.read_bytes() + behind)
    _, joined = stitch(context, [path], [{"source": 0}], output_format="wav")
    samples, _ = decode(joined)
    assert samples.shape == tone.shape
    assert np.abs(samples - tone).max() <= 0.6 / 32768


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"output_format": "ogg"}, "output_format"),
        ({"output_format": "opus", "sample_rate": 44100}, "sample_rate"),
        ({"output_format": "mp3", "sample_rate": 96000}, "sample_rate"),
        ({"output_format": "mp3", "channels": 6}, "channels"),
        ({"output_format": "mp3", "bitrate": 512000}, "bitrate"),
        ({"output_format": "mp3", "sample_rate": 24000, "bitrate": 192000}, "bitrate"),
        ({"output_format": "mp3", "sample_rate": 8000, "bitrate": 96000}, "bitrate"),
        ({"output_format": "opus", "channels": 1, "bitrate": 320000}, "bitrate"),
        ({"output_format": "m4a", "sample_rate": 8000, "channels": 1, "bitrate": 96000}, "bitrate"),
    ],
)
def test_options_that_a_format_lacks_are_named(tmp_path: Path, context: StepContext, options: dict, field: str) -> None:
    file = write_sound(tmp_path / "a.wav", sine(440, 0.2, RATE), RATE)
    with pytest.raises(InvalidRequest) as caught:
        stitch(context, [file], [{"source": 0}], **options)
    assert caught.value.input_name == field


def test_bad_sources_are_named(tmp_path: Path, context: StepContext) -> None:
    good = write_sound(tmp_path / "a.wav", sine(440, 0.2, RATE), RATE)
    noise = tmp_path / "noise.bin"
    noise.write_bytes(os.urandom(5000))
    silent_video = media_file("horse.mp4").path
    for bad in (noise, silent_video):
        with pytest.raises(UnsupportedMedia) as caught:
            stitch(context, [good, bad], [{"source": 0}, {"source": 1}])
        assert caught.value.input_name == "audio_urls[1]"
    with pytest.raises(InvalidRequest):
        stitch(context, [], [{"silence_seconds": 1.0}])


@pytest.mark.parametrize("output_format", ["mp3", "m4a", "wav", "flac", "opus"])
@pytest.mark.parametrize("bitrate", [None, 64_000, 256_000])
def test_levels_are_kept(tmp_path: Path, context: StepContext, output_format: str, bitrate: int | None) -> None:
    """LAME, for one, lowers what it is given by up to 0.45 dB."""
    tone = sine(997, 2.0, RATE, level=0.5)
    file = write_sound(tmp_path / "a.wav", np.repeat(tone, 2, axis=0), RATE)
    _, path = stitch(context, [file], [{"source": 0}], output_format=output_format, bitrate=bitrate)
    samples, _ = decode(path)
    body = samples[0, RATE // 2 : RATE]
    clock = 2j * np.pi * 997 * np.arange(body.size) / RATE
    window = np.hanning(body.size)
    found = np.abs((body * window) @ np.exp(-clock)) / window.sum() * 2
    assert 20 * np.log10(found / 0.5) == pytest.approx(0, abs=0.05)


def test_a_bitrate_that_the_sources_rate_cannot_have_is_the_highest_it_can(
    tmp_path: Path, context: StepContext
) -> None:
    file = write_sound(tmp_path / "a.wav", sine(440, 2, 24000), 24000)
    result, path = stitch(context, [file], [{"source": 0}], bitrate=320_000)
    assert result.output_sample_rate == 24000
    assert 8 * path.stat().st_size / 2 == pytest.approx(160_000, rel=0.06)


@pytest.mark.parametrize("output_format", ["wav", "flac"])
def test_folding_does_not_clip(tmp_path: Path, context: StepContext, output_format: str) -> None:
    sound = np.repeat(sine(300, 1, RATE, level=0.99), 6, axis=0)  # folds to 2.4 times full scale
    file = write_sound(tmp_path / "a.wav", sound, RATE)
    _, path = stitch(context, [file], [{"source": 0}], output_format=output_format)
    samples, _ = decode(path)
    assert 0.98 < np.abs(samples).max() <= 1.0
    body = samples[0, RATE // 5 : RATE * 4 // 5]
    spectrum = np.abs(np.fft.rfft(body * np.hanning(body.size)))
    peak = int(np.argmax(spectrum))
    distortion = np.delete(spectrum, range(peak - 6, peak + 7)).max() / spectrum[peak]
    assert 20 * np.log10(distortion) < -80


def test_full_scale_is_not_touched(tmp_path: Path, context: StepContext) -> None:
    sound = np.sign(sine(997, 1, RATE)) * np.float32(32767 / 32768)  # far over full scale between its samples
    file = write_sound(tmp_path / "a.wav", sound, RATE)
    _, path = stitch(context, [file], [{"source": 0}, {"source": 0}], output_format="wav", declick=False)
    samples, _ = decode(path)
    assert np.array_equal(samples, np.tile(sound, 2))


def test_overshoots_late_in_a_sound_are_turned_down_without_a_step(tmp_path: Path, context: StepContext) -> None:
    whole = sine(300, 6, RATE, level=0.9)
    sound = np.repeat(whole, 2, axis=0)
    files = [
        write_sound(tmp_path / "a.wav", sound[:, : 3 * RATE], RATE),
        write_sound(tmp_path / "b.wav", np.repeat(whole[:, 3 * RATE :], 6, axis=0), RATE),
    ]
    _, path = stitch(context, files, [{"source": 0}, {"source": 1}], output_format="wav")
    samples, _ = decode(path)
    assert samples.shape[1] == 6 * RATE
    assert np.abs(samples).max() <= 1.0
    assert np.abs(samples[:, : 2 * RATE] - sound[:, : 2 * RATE]).max() <= 0.6 / 32768
    assert np.abs(np.diff(samples[0])).max() < 1.1 * 2 * np.pi * 300 / RATE
