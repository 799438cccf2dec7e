"""Audio: stitch and music track against `ffmpeg`; CPU, wall, exactness, and how deep the music ducks.

    python bench/audio.py [--music-seconds 60 600] [--speech jfk.flac] [--ffmpeg ffmpeg]

CPU seconds are user + system of a process of its own, for both; ours is a fork of one that has its modules loaded, as
the service's warm children are. The better of `--runs` runs in turn is shown. Speech is real (11 s, looped with
pauses) where `--speech` names a file, else synthetic syllables. The peer's commands are what such services run:
the `concat` filter for stitching; `sidechaincompress` + `amix` + `alimiter` for music, the picture copied by both.

The duck is measured with a tone as music: its level without voice, less its median level under the voice.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from services.audio.stitch_audio import stitch_audio  # isort: skip - before av: see shared.media.system_lame
import av
import numpy as np

from bench.support.meter import run_forked, run_metered
from services.audio.mix_music import MUSIC_TRACK, mix_music
from shared.media.audio import Block
from shared.media.audio.formats import FORMATS
from shared.media.audio.reader import read_audio
from shared.media.audio.writer import AudioWriter
from shared.media.source import FileSource
from shared.media.step import StepContext

RATE = 48_000
TONE_HZ = 3_000


@dataclass(frozen=True)
class Run:
    path: Path
    cpu_seconds: float
    wall_seconds: float


def ours_and_peer(
    ours: Callable[[], object], our_path: Path, peer: Sequence[str], peer_path: Path, runs: int = 1
) -> tuple[Run, Run]:
    """The least of either over `runs` runs in turn; the paths are what they write."""
    rounds = [(run_forked(ours), run_metered(peer)) for _ in range(runs)]
    first, second = (
        Run(path, min(run.cpu_seconds for run in each), min(run.wall_seconds for run in each))
        for path, each in zip((our_path, peer_path), zip(*rounds, strict=True), strict=True)
    )
    return first, second


def speech(path: Path | None) -> Block:
    """About 11 s of voice, mono, 48 kHz."""
    if path is not None:
        return np.concatenate(list(read_audio(FileSource(path), RATE, 1)), axis=1) * np.float32(0.5)
    clock = np.arange(11 * RATE) / RATE
    syllables = np.clip(np.sin(2 * np.pi * 4 * clock), 0, 1) * (np.sin(2 * np.pi * 0.3 * clock) > -0.5)
    voice = sum(np.sin(2 * np.pi * 120 * k * clock) / k for k in range(1, 20))
    return np.asarray(0.1 * voice * syllables, np.float32)[None]


def write(path: Path, sound: Block, rate: int = RATE) -> Path:
    with AudioWriter(path, FORMATS[path.suffix[1:]], rate, sound.shape[0]) as writer:
        writer.write(sound)
    return path


def decoded(path: Path) -> Block:
    return np.concatenate(list(read_audio(FileSource(path), RATE, 1)), axis=1)


def declared_samples(path: Path) -> int:
    """What a player presents: by decoding, for M4A by its edit list."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        if path.suffix == ".m4a":
            return round(stream.duration * stream.time_base * stream.rate)
        return sum(frame.samples for frame in container.decode(stream))


def stitch_sources(folder: Path, voice: Block) -> list[Path]:
    """20 files, ten minutes in all, of odd lengths, three rates, four formats."""
    chance = np.random.default_rng(5)
    files = []
    for index in range(20):
        suffix, rate = ("wav", "mp3", "m4a", "flac")[index % 4], (48_000, 24_000, 44_100)[index % 3]
        samples = 30 * rate + int(chance.integers(-rate, rate))
        sound = np.tile(voice, 4)[:, :samples] + chance.standard_normal((1, samples)).astype(np.float32) * 0.001
        files.append(write(folder / f"part{index}.{suffix}", sound, rate))
    return files


def bench_stitch(folder: Path, voice: Block, ffmpeg: str, runs: int) -> None:
    files = stitch_sources(folder, voice)
    expected = sum(sum(b.shape[1] for b in read_audio(FileSource(file), RATE, 1)) for file in files)
    print("| stitch, 20 sources, 10 min | CPU s | wall s | samples off the plan |")
    print("|---|---|---|---|")
    for name in ("mp3", "m4a"):
        inputs = [word for file in files for word in ("-i", str(file))]
        chains = "".join(f"[{i}:a]aresample={RATE}[a{i}];" for i in range(20)) + "".join(f"[a{i}]" for i in range(20))
        graph = f"{chains}concat=n=20:v=0:a=1[out]"
        encoder = ["-c:a", "libmp3lame" if name == "mp3" else "aac", "-b:a", "128k" if name == "mp3" else "96k"]
        path = folder / f"peer.{name}"
        command = [ffmpeg, "-v", "error", "-y", *inputs, "-filter_complex", graph, "-map", "[out]", *encoder, str(path)]
        ours, peer = ours_and_peer(
            lambda name=name: stitch_audio(
                StepContext(folder),
                [FileSource(file) for file in files],
                [{"source": index} for index in range(len(files))],
                output_format=name,
            ),
            folder / f"stitched.{name}",
            command,
            path,
            runs,
        )
        for label, run in ((f"{name}: ours", ours), (f"{name}: ffmpeg", peer)):
            off = declared_samples(run.path) - expected
            print(f"| {label} | {run.cpu_seconds:.2f} | {run.wall_seconds:.2f} | {off:+d} |")
        print(
            f"| {name}: ratio | {ours.cpu_seconds / peer.cpu_seconds:.2f} |"
            f" {ours.wall_seconds / peer.wall_seconds:.2f} | |"
        )


def make_video(path: Path, seconds: int, voice: Block, gain_db: float) -> Path:
    """640x360 at 25 frames a second; five seconds without voice, then a voice with pauses."""
    sound = np.zeros((1, seconds * RATE), np.float32)
    for start in range(5, seconds, 20):
        part = voice[:, : max(0, (seconds - start) * RATE)] * np.float32(10 ** (gain_db / 20))
        sound[:, start * RATE : start * RATE + part.shape[1]] = part
    with av.open(str(path), "w") as output:
        video = output.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 640, 360, "yuv420p"
        audio = output.add_stream("aac", rate=RATE, layout="stereo")  # so that the peer's mix is stereo, too
        for index in range(seconds * 25):
            frame = av.VideoFrame.from_ndarray(np.full((540, 640), index % 200 + 20, np.uint8), format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            output.mux(video.encode(frame))
            block = np.repeat(sound[:, index * (RATE // 25) : (index + 1) * (RATE // 25)], 2, axis=0)
            samples = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout="stereo")
            samples.sample_rate, samples.pts, samples.time_base = RATE, index * (RATE // 25), Fraction(1, RATE)
            output.mux(audio.encode(samples))
        output.mux([*video.encode(None), *audio.encode(None)])
    return path


def peer_music(ffmpeg: str, video: Path, music: Path, path: Path) -> list[str]:
    graph = (
        "[0:a]asplit=2[voice][key];[1:a][key]sidechaincompress=threshold=0.05:ratio=8:attack=150:release=600[bed];"
        "[voice][bed]amix=inputs=2:duration=first:normalize=0,alimiter=limit=0.89:level=0[out]"
    )
    command = [ffmpeg, "-v", "error", "-y", "-i", str(video), "-stream_loop", "-1", "-i", str(music)]
    return [*command, "-filter_complex", graph, "-map", "0:v", "-map", "[out]", "-c:v", "copy", "-c:a", "aac",
            "-b:a", "192k", "-shortest", str(path)]  # fmt: skip


def duck_depth(mixed: Path, video: Path) -> float:
    """Level of the tone before the voice, less its median under it, dB; the voice itself is subtracted."""
    sound, voice = decoded(mixed), decoded(video)
    samples = min(sound.shape[1], voice.shape[1], 16 * RATE)
    size = RATE // 10
    rows = sound[0, :samples] - voice[0, :samples]
    rows = rows[: samples // size * size].reshape(-1, size)
    window = np.hanning(size)
    tone = np.abs((rows * window) @ np.exp(-2j * np.pi * TONE_HZ * np.arange(size) / RATE)) / window.sum() * 2
    level = 20 * np.log10(tone + 1e-9)
    return float(level[5:45].mean() - np.median(level[58:150]))


def music_track(folder: Path, video: Path, music: Path, ffmpeg: str, runs: int = 1) -> tuple[Run, Run]:
    return ours_and_peer(
        lambda: mix_music(StepContext(folder, max_duration_seconds=None), FileSource(video), FileSource(music)),
        folder / MUSIC_TRACK,
        peer_music(ffmpeg, video, music, folder / "peer.mp4"),
        folder / "peer.mp4",
        runs,
    )


def bench_music(folder: Path, voice: Block, ffmpeg: str, lengths: Sequence[int], runs: int) -> None:
    chance = np.random.default_rng(6)
    chords = sum(np.sin(2 * np.pi * hertz * np.arange(45 * RATE) / RATE) for hertz in (220, 277, 330, 440))
    music = write(folder / "music.mp3", np.asarray([chords, chords], np.float32) * 0.1
                  + chance.standard_normal((2, 45 * RATE)).astype(np.float32) * 0.01)  # fmt: skip
    print("\n| music track | CPU s | wall s |")
    print("|---|---|---|")
    for seconds in lengths:
        video = make_video(folder / f"video{seconds}.mp4", seconds, voice, 0)
        ours, peer = music_track(folder, video, music, ffmpeg, runs)
        for label, run in (("ours", ours), ("ffmpeg", peer)):
            print(f"| {seconds} s: {label} | {run.cpu_seconds:.2f} | {run.wall_seconds:.2f} |")
        print(
            f"| {seconds} s: ratio | {ours.cpu_seconds / peer.cpu_seconds:.2f} |"
            f" {ours.wall_seconds / peer.wall_seconds:.2f} |"
        )
    print("\n| duck measured, dB (12 asked for) | voice as it is | -12 dB | -24 dB |")
    print("|---|---|---|---|")
    clock = np.arange(30 * RATE) / RATE
    tone = write(folder / "tone.wav", np.asarray(0.1 * np.sin(2 * np.pi * TONE_HZ * clock), np.float32)[None])
    rows: dict[str, list[str]] = {"ours": [], "ffmpeg": []}
    for gain_db in (0, -12, -24):
        video = make_video(folder / "short.mp4", 22, voice, gain_db)
        ours, peer = music_track(folder, video, tone, ffmpeg)
        rows["ours"].append(f"{duck_depth(ours.path, video):.1f}")
        rows["ffmpeg"].append(f"{duck_depth(peer.path, video):.1f}")
    for label, cells in rows.items():
        print(f"| {label} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--music-seconds", type=int, nargs="+", default=[60, 600])
    parser.add_argument("--speech", type=Path)
    parser.add_argument("--ffmpeg", default="ffmpeg")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    voice = speech(options.speech)
    with tempfile.TemporaryDirectory() as folder:
        bench_stitch(Path(folder), voice, options.ffmpeg, options.runs)
        bench_music(Path(folder), voice, options.ffmpeg, options.music_seconds, options.runs)


if __name__ == "__main__":
    main()
