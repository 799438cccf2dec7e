"""Sounds to test with, and independent meters for what came out."""

from __future__ import annotations

import re
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from shared.media.audio import Block
from tests.support.missing import needed


def sine(hertz: float, seconds: float, rate: int, level: float = 0.5, phase: float = 0.0) -> Block:
    time = np.arange(round(seconds * rate)) / rate
    return np.asarray(level * np.sin(2 * np.pi * hertz * time + phase), np.float32)[None]


def write_sound(
    path: Path, samples: Block, rate: int, codec: str = "pcm_s16le", sample_format: str = "s16", **options: str
) -> Path:
    """A file made by PyAV alone, not by the writer under test."""
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[samples.shape[0]]
    with av.open(str(path), "w", container_options=options) as output:
        stream = output.add_stream(codec, rate=rate, layout=layout)
        stream.codec_context.format = sample_format
        stream.time_base = Fraction(1, rate)
        data = samples
        if sample_format.startswith("s16"):
            data = np.clip(np.rint(samples * 32768.0), -32768, 32767).astype(np.int16)
        if not sample_format.endswith("p"):
            data = data.T.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(data), format=sample_format, layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def decode(path: Path) -> tuple[Block, int]:
    """All that PyAV's decoder gives, as float32 (channels, samples), and the rate; without the reader under test."""
    parts = []
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        for frame in container.decode(stream):
            array = frame.to_ndarray()
            if not frame.format.is_planar:
                array = array.reshape(-1, frame.layout.nb_channels).T
            if array.dtype.kind == "i":
                array = array / 2.0 ** (8 * array.dtype.itemsize - 1)
            parts.append(array.astype(np.float32))
        rate = frame.sample_rate
    return np.concatenate(parts, axis=1), rate


def declared_samples(path: Path) -> int:
    """What the container says that a player must present."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        return round(stream.duration * stream.time_base * stream.rate)


def ffmpeg() -> str:
    """The independent meter."""
    return needed("ffmpeg")


def ebur128(path: Path) -> tuple[float, float]:
    """Integrated loudness in LUFS and true peak in dBTP by FFmpeg's own meter."""
    command = [ffmpeg(), "-nostats", "-i", str(path), "-vn", "-af", "ebur128=peak=true", "-f", "null", "-"]
    report = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    return float(re.findall(r"I:\s+(\S+) LUFS", report)[-1]), float(re.findall(r"Peak:\s+(\S+) dBFS", report)[-1])


def level_db(samples: Block) -> float:
    """RMS in dB of full scale."""
    return float(10 * np.log10(max(1e-12, np.mean(np.square(samples, dtype=np.float64)))))
