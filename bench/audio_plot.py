"""Plot what a music track does: voice level, music gain and mix over time; the waveform around a loop's seam.

    pip install --target /tmp/plot matplotlib
    PYTHONPATH=/tmp/plot python bench/audio_plot.py VIDEO MUSIC OUT.png

The music's gain is not the plan but what comes out: the level of (mix - original) over that of the music alone.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import matplotlib as mpl
import numpy as np

from services.audio.mix_music import SAMPLE_RATE, mix_music
from services.audio.music_bed import MusicBed
from shared.media.audio import Block
from shared.media.audio.reader import read_audio
from shared.media.source import FileSource
from shared.media.step import StepContext

mpl.use("Agg")
from matplotlib import pyplot


def sound(path: Path) -> Block:
    return np.concatenate(list(read_audio(FileSource(path), SAMPLE_RATE, 2)), axis=1)


def levels(samples: Block, seconds: float = 0.05) -> np.ndarray:
    size = round(seconds * SAMPLE_RATE)
    rows = samples[:, : samples.shape[1] // size * size].reshape(samples.shape[0], -1, size)
    return 10 * np.log10(np.square(rows, dtype=np.float64).mean(axis=(0, 2)) + 1e-9)


def main(video: Path, music: Path, out: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        result = mix_music(StepContext(scratch), FileSource(video), FileSource(music))
        mixed, voice = sound(scratch / result.file_name)[:, : result.output_samples], sound(video)
        voice = np.pad(voice, ((0, 0), (0, max(0, result.output_samples - voice.shape[1]))))[:, : result.output_samples]
        with MusicBed(scratch / "bed.f32", SAMPLE_RATE, 2) as bed:
            bed.load(FileSource(music), offset_seconds=0, needed_samples=mixed.shape[1], max_duration_seconds=None)
            alone, seam = bed.read(mixed.shape[1]), bed.seam
    music_gain = levels(mixed - voice) - levels(alone)
    music_gain -= np.percentile(music_gain, 95)
    clock = np.arange(music_gain.size) * 0.05
    figure, axes = pyplot.subplots(4, 1, figsize=(12, 12), constrained_layout=True)
    axes[0].plot(clock, levels(voice), label="voice (original), dBFS RMS")
    axes[0].plot(clock, levels(mixed), label="mix, dBFS RMS", linewidth=0.8)
    axes[1].plot(clock, music_gain, color="tab:green", label="music gain as it came out, dB (0 = free)")
    axes[1].set_ylim(-20, 4)
    axes[2].plot(np.arange(0, mixed.shape[1], 20) / SAMPLE_RATE, mixed[0, ::20], linewidth=0.3, label="mix, left")
    if seam is not None:
        start, end = seam.tail - SAMPLE_RATE // 2, seam.tail + seam.length + SAMPLE_RATE // 2
        places = np.arange(start, end) / SAMPLE_RATE
        axes[3].plot(places, alone[0, start:end], linewidth=0.3, label="music around the loop's seam, left")
        axes[3].axvspan(seam.tail / SAMPLE_RATE, (seam.tail + seam.length) / SAMPLE_RATE, alpha=0.15)
        axes[3].set_title(f"crossfade of {seam.length / SAMPLE_RATE:.2f} s, likeness {seam.likeness:.2f}")
    for axis in axes:
        axis.legend(loc="lower right")
        axis.grid(alpha=0.3)
        axis.set_xlabel("seconds")
    figure.savefig(out, dpi=90)
    print(result)


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]))
