"""The shared audio pieces: exact reading, resampling, layouts, and meters against FFmpeg's own."""

from __future__ import annotations

import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from shared.errors import LimitExceeded, UnsupportedMedia
from shared.media.audio import Block
from shared.media.audio.channels import channels_for, remix
from shared.media.audio.formats import FORMATS
from shared.media.audio.limiter import PeakLimiter
from shared.media.audio.loudness import SILENCE_LUFS, LoudnessMeter
from shared.media.audio.reader import audio_shape, read_audio
from shared.media.audio.resample import RateConverter, scaled_samples
from shared.media.audio.true_peak import MARGIN_SAMPLES, TruePeakMeter, hop_peaks
from shared.media.audio.writer import AudioWriter
from shared.media.source import FileSource
from tests.media.audio_tools import decode, ebur128, ffmpeg, level_db, sine, write_sound
from tests.support.media import manifest, media_file

RATE = 48000


def read(path: Path, rate: int = RATE, channels: int = 1, **options) -> Block:
    return np.concatenate(list(read_audio(FileSource(path), rate, channels, **options)), axis=1)


@pytest.mark.parametrize("file", [row for row in manifest() if row.audio_end_seconds is not None], ids=lambda f: f.name)
def test_real_files_give_the_samples_that_they_present(file) -> None:
    shape = audio_shape(FileSource(file.path))
    if shape is None:
        return
    samples = sum(block.shape[1] for block in read_audio(FileSource(file.path), shape.sample_rate, 2))
    presented = file.audio_end_seconds - max(file.audio_start_seconds, 0)
    # Priming that a container does not declare (raw AAC, MP3 without a tag, Matroska) is presented, too.
    assert samples / shape.sample_rate == pytest.approx(presented, abs=0.07)
    if shape.codec in ("flac", "pcm_s16le"):
        assert samples / shape.sample_rate == pytest.approx(presented, abs=0.0006)  # the manifest has milliseconds


@pytest.mark.parametrize("name", ["mp3", "m4a", "opus", "flac", "wav"])
@pytest.mark.parametrize("length", [60, 1000, 50_001])
def test_what_is_written_is_read_again(tmp_path: Path, name: str, length: int) -> None:
    sound = np.tile(sine(440, 2, RATE)[:, :length], (2, 1))
    path = tmp_path / f"x.{name}"
    with AudioWriter(path, FORMATS[name], RATE, 2) as writer:
        for start in range(0, length, 777):
            writer.write(sound[:, start : start + 777])
    back = read(path, channels=2)
    assert back.shape == sound.shape
    if length > 10_000:
        noise_db = level_db(back[:, 2000:-2000] - sound[:, 2000:-2000]) - level_db(sound)
        assert noise_db < (-80 if FORMATS[name].lossless else -25)


@pytest.mark.parametrize("left", [-50, -44, -43, -20, -1, 0, 1])
def test_an_mp3_whose_padding_fills_more_than_a_frame_is_as_long_as_its_sound(tmp_path: Path, left: int) -> None:
    """LAME may end in two frames with padding: `left` samples beside whole frames, its delay of 1105 included."""
    length = 8 * 1152 - 1105 + left
    sound = np.tile(sine(440, 2, RATE)[:, :length], (2, 1))
    path = tmp_path / "x.mp3"
    with AudioWriter(path, FORMATS["mp3"], RATE, 2) as writer:
        writer.write(sound)
    back = read(path, channels=2)
    assert back.shape == sound.shape
    assert np.abs(back - sound)[:, -300:].max() < 0.05
    tag = path.read_bytes()
    tag = tag[max(tag.find(b"Info"), tag.find(b"Xing")) :]
    frames, (first, middle, last) = int.from_bytes(tag[8:12], "big"), tag[141:144]
    delay, padding = first << 4 | middle >> 4, (middle & 15) << 8 | last
    assert frames * 1152 - delay - padding == length  # what every gapless player plays


@pytest.mark.parametrize(("from_rate", "to_rate"), [(24000, 48000), (44100, 48000), (48000, 44100), (11025, 24000)])
@pytest.mark.parametrize("length", [3, 1000, 70_001])
def test_resampling_is_exact_in_length_and_place(from_rate: int, to_rate: int, length: int) -> None:
    converter = RateConverter(1, from_rate, to_rate)
    seconds = np.arange(length) / from_rate
    sound = np.sin(2 * np.pi * 440 * seconds).astype(np.float32)[None]
    parts = [converter.convert(sound[:, at : at + 1234]) for at in range(0, length, 1234)] + [converter.finish()]
    out = np.concatenate(parts, axis=1)
    assert out.shape[1] == scaled_samples(length, from_rate, to_rate) == round(Fraction(length * to_rate, from_rate))
    if length > 10_000:
        ideal = np.sin(2 * np.pi * 440 * np.arange(out.shape[1]) / to_rate)
        assert np.abs(out[0] - ideal)[300:-300].max() < 1e-4


@pytest.mark.parametrize(
    ("from_rate", "to_rate"), [(24000, 48000), (44100, 48000), (48000, 44100), (48000, 24000), (96000, 48000)]
)
def test_resampling_keeps_what_fits_and_nothing_else(from_rate: int, to_rate: int) -> None:
    """Tones up to 0.93 of the band come through at their level; neither they nor those beyond it leave an image."""
    band = min(from_rate, to_rate) / 2
    beyond = [hertz for hertz in (1.03 * band, 1.06 * band, 1.2 * band) if hertz < from_rate / 2]
    for hertz in (0.1 * band, 0.5 * band, 0.93 * band, *beyond):
        converter = RateConverter(1, from_rate, to_rate)
        sound = sine(hertz, 1, from_rate)
        out = np.concatenate([converter.convert(sound), converter.finish()], axis=1)[0, to_rate // 8 : -to_rate // 8]
        window = np.blackman(out.size)
        spectrum = 20 * np.log10(np.abs(np.fft.rfft(out * window)) / window.sum() * 2 / 0.5 + 1e-9)
        if hertz < band:
            at = round(hertz * out.size / to_rate)
            assert spectrum[at - 1 : at + 2].max() == pytest.approx(0, abs=1.2)  # between two bins
            clock = np.arange(out.size) / to_rate
            level = np.abs((out * window) @ np.exp(-2j * np.pi * hertz * clock)) / window.sum() * 2 / 0.5
            assert 20 * np.log10(level) == pytest.approx(0, abs=0.05)
            spectrum[at - 8 : at + 9] = -200
        assert spectrum.max() < -70


def test_an_origin_drops_what_is_early_and_pads_what_is_late(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "x.mka", sine(440, 1, RATE), RATE, "pcm_s16le")
    whole = read(path)
    assert np.array_equal(read(path, origin_seconds=Fraction(1, 4)), whole[:, 12_000:])
    late = read(path, origin_seconds=Fraction(-1, 4))
    assert not late[:, :12_000].any()
    assert np.array_equal(late[:, 12_000:], whole)


def test_limits_and_nonsense(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "x.wav", sine(440, 2, RATE), RATE)
    with pytest.raises(LimitExceeded) as caught:
        read(path, max_duration_seconds=1.0)
    assert caught.value.word == "duration_too_long"
    assert read(path, max_duration_seconds=2.0).shape[1] == 2 * RATE
    with pytest.raises(UnsupportedMedia):
        read(media_file("horse.mp4").path)


def test_layouts_fold_at_known_levels() -> None:
    mono = np.ones((1, 4), np.float32)
    assert np.array_equal(remix(mono, ["FC"], 2), np.ones((2, 4)))
    assert np.array_equal(remix(np.array([[1.0], [0.0]], np.float32), ["FL", "FR"], 1), [[0.5]])
    names = ["FL", "FR", "FC", "LFE", "BL", "BR"]
    surround = np.eye(6, dtype=np.float32)
    half = 0.5**0.5
    expected = [[1, 0, half, 0, half, 0], [0, 1, half, 0, 0, half]]
    assert remix(surround, names, 2) == pytest.approx(np.array(expected))
    assert np.array_equal(remix(surround, ["FL", "FR", "FC", "LFE", "SL", "SR"], 6), surround)
    assert [channels_for(count, 8) for count in (1, 2, 3, 5, 6, 7, 8)] == [1, 2, 2, 2, 6, 6, 8]


@pytest.mark.parametrize("name", ["jfk.flac", "viper.mp3", "party.mp3", "testVideoMp4.mp4"])
def test_loudness_and_true_peak_agree_with_ffmpeg(name: str) -> None:
    path = media_file(name).path
    sound, rate = decode(path)
    loudness, peak = LoudnessMeter(rate, sound.shape[0]), TruePeakMeter(sound.shape[0])
    for start in range(0, sound.shape[1], 10_007):
        loudness.add(sound[:, start : start + 10_007])
        peak.add(sound[:, start : start + 10_007])
    lufs, dbtp = ebur128(path)
    assert loudness.integrated_lufs() == pytest.approx(lufs, abs=0.1)
    assert peak.dbtp() == pytest.approx(dbtp, abs=0.15)


def test_a_tone_measures_as_the_standard_says() -> None:
    """BS.1770-4: a 997 Hz sine at full scale in one channel reads -3.01 LUFS."""
    meter = LoudnessMeter(RATE, 1)
    meter.add(sine(997, 5, RATE, level=1.0))
    assert meter.integrated_lufs() == pytest.approx(-3.01, abs=0.05)
    silent = LoudnessMeter(RATE, 2)
    silent.add(np.zeros((2, RATE), np.float32))
    assert silent.integrated_lufs() == SILENCE_LUFS


@pytest.mark.parametrize("kind", ["noise", "square", "steps", "sweep"])
def test_no_hop_that_passes_the_floor_is_left_out(kind: str) -> None:
    chance = np.random.default_rng(7)
    noise = chance.standard_normal((2, 64 * 400 + 2 * MARGIN_SAMPLES)).astype(np.float32)
    clock = np.arange(noise.shape[1])
    sound = {
        "noise": noise,
        "square": np.sign(noise),
        "steps": np.cumsum(noise, axis=1) / 50,
        "sweep": np.sin(np.pi * clock**2 / 2 / clock.size)[None].astype(np.float32),
    }[kind]
    exact = hop_peaks(sound, 64, 0.0)
    for floor in np.quantile(exact, [0.1, 0.5, 0.9, 0.999]):
        assert np.array_equal(np.maximum(hop_peaks(sound, 64, float(floor)), floor), np.maximum(exact, floor))


@pytest.mark.parametrize("gain", [0.3, 1.0, 4.0])
def test_the_limiter_holds_its_ceiling_and_else_does_nothing(tmp_path: Path, gain: float) -> None:
    sound, rate = decode(media_file("viper.mp3").path)
    sound = sound[:, : 8 * rate] * np.float32(gain)
    limiter = PeakLimiter(rate, 2, -1.0)
    sizes = np.random.default_rng(7).integers(1, 60_000, 200)
    parts, start = [], 0
    for size in sizes:
        parts.append(limiter.limit(sound[:, start : start + size]))
        start += size
    parts.append(limiter.finish())
    out = np.concatenate(parts, axis=1)
    assert out.shape == sound.shape
    if gain < 0.5:
        assert np.array_equal(out, sound)
        assert limiter.deepest_db == 0
        return
    with AudioWriter(tmp_path / "x.flac", FORMATS["flac"], rate, 2, bits_per_sample=24) as writer:
        writer.write(out)
    assert ebur128(tmp_path / "x.flac")[1] <= -0.9
    ratio = out[np.abs(sound) > 0.01] / sound[np.abs(sound) > 0.01]
    assert ratio.max() <= 1.0001
    assert level_db(out) > level_db(sound) - 14


def test_gaps_in_the_timestamps_become_silence(tmp_path: Path) -> None:
    sound = sine(440, 2, RATE)
    path = tmp_path / "gap.mkv"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("pcm_s16le", rate=RATE, layout="mono")
        stream.time_base = Fraction(1, RATE)
        for index in range(20):
            if 8 <= index < 12:
                continue
            block = np.rint(sound[:, index * 4800 : (index + 1) * 4800] * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, index * 4800, Fraction(1, RATE)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    samples = read(path)
    assert samples.shape[1] == 2 * RATE
    assert not samples[:, 8 * 4800 + 100 : 12 * 4800 - 100].any()
    assert np.abs(samples - sound)[:, 12 * 4800 + 100 :].max() < 1e-3


def by_ffmpeg(path: Path, sound: np.ndarray, rate: int, *options: str) -> Path:
    """`sound` as FFmpeg's program writes it, where PyAV cannot."""
    raw = np.ascontiguousarray(sound.T, np.float32).tobytes()
    source = ["-f", "f32le", "-ar", str(rate), "-ac", str(sound.shape[0]), "-i", "-"]
    command = [ffmpeg(), "-v", "error", "-y", *source, *options, str(path)]
    subprocess.run(command, input=raw, check=True)
    return path


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("71.m4a", ("-c:a", "aac", "-b:a", "512k")),
        ("71.opus", ("-c:a", "libopus", "-b:a", "512k")),
        ("71.flac", ()),
        ("71.wav", ("-c:a", "pcm_s24le")),
    ],
)
def test_eight_channels_are_read(tmp_path: Path, name: str, options: tuple[str, ...]) -> None:
    sound = np.zeros((8, RATE), np.float32)
    sound[:2] = sine(440, 1, RATE, level=0.3)
    path = by_ffmpeg(tmp_path / name, sound, RATE, *options)
    stereo = read(path, channels=2)
    assert stereo.shape == (2, RATE)
    assert level_db(stereo[:, 4800:-4800]) == pytest.approx(level_db(sound[:2, 4800:-4800]), abs=0.2)


def test_64_bit_integers_are_read(tmp_path: Path) -> None:
    sound = sine(440, 1, RATE)
    path = by_ffmpeg(tmp_path / "x.wav", sound, RATE, "-c:a", "pcm_s64le")
    assert np.abs(read(path) - sound).max() < 1e-6


def test_adpcm_ends_where_its_header_says(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "x.wav", sine(440, 1, RATE), RATE, "adpcm_ima_wav", "s16p")
    data = bytearray(path.read_bytes())
    at = data.index(b"fact") + 8
    declared = int.from_bytes(data[at : at + 4], "little")
    data[at : at + 4] = (declared - 300).to_bytes(4, "little")
    path.write_bytes(data)
    assert read(path).shape[1] == declared - 300


def test_wma_whose_clock_wanders_by_a_frame_loses_nothing(tmp_path: Path) -> None:
    """Windows writes several frames into a packet, and its time is that of the first which begins in it."""
    plain, wandering = tmp_path / "plain.wma", tmp_path / "wandering.wma"
    by_ffmpeg(plain, sine(440, 3, RATE), RATE, "-c:a", "wmav2")
    with av.open(str(plain)) as source, av.open(str(wandering), "w") as output:
        stream = output.add_stream_from_template(source.streams.audio[0], opaque=True)
        for index, packet in enumerate(source.demux(source.streams.audio[0])):
            if packet.size:
                packet.stream = stream
                if index > 5:
                    packet.pts -= round(0.04 / packet.time_base)
                    packet.dts = packet.pts
                output.mux(packet)
    decoded, _ = decode(wandering)
    assert np.array_equal(read(wandering), decoded)
