"""Where the music ducks: films put together from real speech, noises and silence, judged against what was put where."""

from __future__ import annotations

import av
import numpy as np
import pytest

from services.audio.activity import find_activity
from services.audio.ducking import duck_curve
from shared.media.audio.loudness import HOPS_PER_SECOND, LoudnessMeter
from tests.media.audio_tools import decode
from tests.support.media import media_file

RATE = 48000
SECONDS = 40
VOICES = ((5.0, 0), (22.0, 0))
"""(start, dB) of two times ten seconds of speech, at -23 dBFS RMS."""


def linear(db: float) -> float:
    return float(10 ** (db / 20))


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    samples, rate = decode(media_file("jfk.flac").path)
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=RATE)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[:1]), format="fltp", layout="mono")
    frame.sample_rate = rate
    voice = np.concatenate([part.to_ndarray()[0] for part in resampler.resample(frame)])[: 10 * RATE]
    return voice / np.sqrt(np.mean(voice**2)) * linear(-23)


def spoken(speech: np.ndarray) -> np.ndarray:
    """Whether each 10 ms of the speech are less than 15 dB under its loudest."""
    energies = np.convolve(hop_energies(speech), np.ones(5) / 5, "same")
    return energies > energies.max() * 10**-1.5


def pink(level_db: float, seconds: float = SECONDS) -> np.ndarray:
    spectrum = np.fft.rfft(np.random.default_rng(3).standard_normal(round(seconds * RATE)))
    spectrum[1:] /= np.sqrt(np.arange(1, spectrum.size))
    noise = np.fft.irfft(spectrum)
    return noise / np.sqrt(np.mean(noise**2)) * linear(level_db)


def hum(level_db: float) -> np.ndarray:
    clock = np.arange(SECONDS * RATE) / RATE
    wave = sum(np.sin(2 * np.pi * 50 * k * clock) / k for k in range(1, 6))
    return wave / np.sqrt(np.mean(wave**2)) * linear(level_db)


def film(speech: np.ndarray, voices: tuple[tuple[float, float], ...], background: np.ndarray | float) -> np.ndarray:
    sound = np.zeros(SECONDS * RATE) + background
    for start, level_db in voices:
        at = round(start * RATE)
        sound[at : at + speech.size] += speech * linear(level_db)
    return sound


def hop_energies(sound: np.ndarray) -> np.ndarray:
    meter = LoudnessMeter(RATE, 1)
    for start in range(0, sound.size, 30_000):
        meter.add(sound[None, start : start + 30_000].astype(np.float32))
    return meter.hop_energies()


def ducked_and_free(
    speech: np.ndarray, sound: np.ndarray, voices: tuple[tuple[float, float], ...]
) -> tuple[float, float]:
    """How much of the voices' time the music is all the way down, and of the rest (hold and ramps aside) all up.

    The voices' time is where the speech alone is less than 15 dB under its loudest: its pauses are nobody's.
    """
    active, heard = find_activity(hop_energies(sound)), spoken(speech)
    curve = duck_curve(active, 12.0, attack_seconds=0.15, release_seconds=0.6, hold_seconds=0.4)
    gains = curve.edges_db[: active.size]
    under, away = np.zeros(active.size, bool), np.ones(active.size, bool)
    for start, _ in voices:
        first = round(start * HOPS_PER_SECOND)
        under[first : first + heard.size] = heard
        away[round((start - 0.3) * HOPS_PER_SECOND) : round((start + 11.4) * HOPS_PER_SECOND)] = False
    down = float(np.mean(gains[under] <= -11.99)) if voices else 1.0
    return down, float(np.mean(gains[away] == 0.0))


@pytest.mark.parametrize("quieter_db", [0, -12, -24, -36])
def test_a_quiet_voice_ducks_the_music_beside_a_loud_one(speech: np.ndarray, quieter_db: int) -> None:
    voices = ((5.0, 0), (22.0, quieter_db))
    down, free = ducked_and_free(speech, film(speech, voices, 0.0), voices)
    assert down > 0.95
    assert free == 1.0


def test_a_bang_does_not_hide_the_voices(speech: np.ndarray) -> None:
    voices = ((8.0, -20), (24.0, -20))
    sound = film(speech, voices, 0.0)
    clap = np.random.default_rng(5).standard_normal(RATE // 2) * np.exp(-np.arange(RATE // 2) / 4000) * 0.9
    sound[2 * RATE : 2 * RATE + clap.size] += clap
    down, _ = ducked_and_free(speech, sound, voices)
    assert down == 1.0


@pytest.mark.parametrize(
    "background", [pink(-60), pink(-45), pink(-36), hum(-45), hum(-36)], ids=["-60", "-45", "-36", "hum", "loud hum"]
)
def test_room_tone_between_voices_does_not_hold_the_music_down(speech: np.ndarray, background: np.ndarray) -> None:
    down, free = ducked_and_free(speech, film(speech, VOICES, background), VOICES)
    assert down > 0.97
    assert free == 1.0


def test_each_scene_has_its_own_noise(speech: np.ndarray) -> None:
    background = pink(-42)
    background[: 18 * RATE] *= linear(-30)
    assert ducked_and_free(speech, film(speech, VOICES, background), VOICES) == (pytest.approx(1.0, abs=0.03), 1.0)


@pytest.mark.parametrize("level_db", [-60, -50, -42])
def test_wind_is_no_voice(speech: np.ndarray, level_db: int) -> None:
    swell = 1 + 0.5 * np.sin(2 * np.pi * 0.13 * np.arange(SECONDS * RATE) / RATE)
    assert ducked_and_free(speech, pink(level_db) * swell, ()) == (1.0, 1.0)


def test_music_of_the_film_itself_is_programme_sound() -> None:
    samples, rate = decode(media_file("viper.mp3").path)
    meter = LoudnessMeter(rate, samples.shape[0])
    for start in range(5 * rate, 30 * rate, rate):
        meter.add(samples[:, start : start + rate])
    curve = duck_curve(
        find_activity(meter.hop_energies()), 12.0, attack_seconds=0.15, release_seconds=0.6, hold_seconds=0.4
    )
    assert np.all(curve.edges_db == -12.0)
