"""Assembly: our one pass against the guide's pipeline as separate ffmpeg commands.

    pip install --target /tmp/ff9 imageio-ffmpeg==0.8.1
    python bench/assembly.py --ffmpeg ffmpeg --ffmpeg /tmp/ff9/imageio_ffmpeg/binaries/ffmpeg-linux-* [--seconds 60]

Cases: the guide's own (scenes of 8, 8 and 7 s with 23 s of audio, here 24.5 s so that stretching has work to do), and
ten scenes of `--seconds` each. All scenes are 1080p30 at about 7 Mbit/s, equal in make, so the picture is copied by
everyone. Each program makes the three files of the guide.

The peer's commands: concat -c copy; + audio (atempo, AAC 192k, -shortest); -c copy -an; MP3 192k from the full video.
Its stretch factor is given to it for nothing. Ours runs in a fork of a process that has its modules loaded, as the
service's worker does. Wall and CPU seconds and the peak memory of the largest process are from wait4; the accuracy
columns from decoding the results. The floor is `cp` of the scenes' bytes, twice.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from services.assembly.assemble import assemble  # isort: skip - before av: the system's LAME must be loaded first
import av
import numpy as np

from bench.support.meter import run_forked
from shared.media.audio.formats import FORMATS
from shared.media.audio.writer import AudioWriter
from shared.media.source import FileSource
from shared.media.step import StepContext

RATE = 44_100
FRAMES_PER_SECOND = 30
NAMES = ("full.mp4", "video_only.mp4", "audio_only.mp3")


@dataclass
class Run:
    wall: float
    cpu: float
    peak_mb: float


def make_scene(path: Path, seconds: int) -> Path:
    """Moving coarse noise: hard enough to fill the bit rate."""
    chance = np.random.default_rng(seconds)
    block = np.ones((20, 20), np.uint8)
    tiles = [np.kron(chance.integers(16, 235, (1620 // 20, 1920 // 20), np.uint8), block) for _ in "abcd"]
    with av.open(str(path), "w", options={"movflags": "faststart"}) as output:
        video = output.add_stream("libx264", rate=FRAMES_PER_SECOND, options={"preset": "ultrafast", "g": "60"})
        video.width, video.height, video.pix_fmt, video.bit_rate = 1920, 1080, "yuv420p", 7_000_000
        video.codec_context.thread_count = os.cpu_count() or 2
        sound = output.add_stream("aac", rate=48_000, layout="stereo")
        for number in range(seconds * FRAMES_PER_SECOND):
            picture = np.roll(tiles[number // 45 % 4], (number % 45) * 4, axis=1)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, FRAMES_PER_SECOND)
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
        silence = av.AudioFrame.from_ndarray(np.zeros((2, seconds * 48_000), np.float32), "fltp", "stereo")
        silence.sample_rate, silence.pts = 48_000, 0
        output.mux([*sound.encode(silence), *sound.encode(None)])
    return path


def make_master(path: Path, seconds: float) -> Path:
    """Noise in syllables under a tone, like speech over music to an encoder."""
    chance = np.random.default_rng(5)
    with AudioWriter(path, FORMATS["mp3"], RATE, 2) as writer:
        left = round(seconds * RATE)
        at = 0
        while left:
            count = min(left, RATE)
            clock = (np.arange(count) + at) / RATE
            wave = 0.2 * np.sin(2 * np.pi * 220 * clock) + 0.1 * chance.standard_normal(count) * (
                np.sin(2 * np.pi * 3 * clock) > 0
            )
            writer.write(np.repeat(wave.astype(np.float32)[None], 2, 0))
            left, at = left - count, at + count
    return path


def measured(action: Callable[[], None]) -> Run:
    """Run in a fork; its own use and that of its children."""
    run = run_forked(action)
    return Run(run.wall_seconds, run.cpu_seconds, run.peak_bytes / 2**20)


def ours(folder: Path, scenes: list[Path], master: Path) -> Run:
    def action() -> None:
        assemble(StepContext(folder), [FileSource(scene) for scene in scenes], FileSource(master))

    return measured(action)


def chain(program: str, folder: Path, scenes: list[Path], master: Path, tempo: float) -> Run:
    (folder / "list.txt").write_text("".join(f"file '{scene}'\n" for scene in scenes))
    full, silent, mp3 = (str(folder / name) for name in NAMES)
    joined = str(folder / "joined.mp4")
    sync = ["-filter:a", f"atempo={tempo:.6f}"] if abs(tempo - 1) > 1e-4 else []
    commands = [
        ["-f", "concat", "-safe", "0", "-i", str(folder / "list.txt"), "-c", "copy", joined],
        ["-i", joined, "-i", str(master), "-map", "0:v", "-map", "1:a", *sync, "-c:v", "copy", "-c:a", "aac", "-b:a",
         "192k", "-shortest", full],
        ["-i", joined, "-c", "copy", "-an", silent],
        ["-i", full, "-vn", "-c:a", "libmp3lame", "-b:a", "192k", mp3],
    ]  # fmt: skip

    def action() -> None:
        for command in commands:
            subprocess.run([program, "-v", "error", "-y", *command], check=True, stdin=subprocess.DEVNULL)
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        (folder / "usage").write_text(f"{usage.ru_utime + usage.ru_stime} {usage.ru_maxrss / 1024}")

    run = measured(action)
    cpu, peak = map(float, (folder / "usage").read_text().split())
    return Run(run.wall, cpu, peak)


def copies(folder: Path, scenes: list[Path]) -> Run:
    def action() -> None:
        for number, scene in enumerate(scenes * 2):
            shutil.copyfile(scene, folder / f"copy{number}")

    return measured(action)


def accuracy(folder: Path, frames: int, seconds: Fraction, checker: str | None) -> str:
    """Frames missing, MP3 samples off, sound of the full video off in ms, lines of decode errors."""
    with av.open(str(folder / "full.mp4")) as full:
        found = sum(1 for packet in full.demux(video=0) if packet.size)
        audio = full.streams.audio[0]
        length = float((audio.duration or 0) * (audio.time_base or 0))
    with av.open(str(folder / "audio_only.mp3")) as mp3:
        samples = sum(frame.samples for frame in mp3.decode(audio=0))
        rate = mp3.streams.audio[0].rate
    errors = 0
    for name in NAMES if checker else ():
        command = [str(checker), "-v", "error", "-i", str(folder / name), "-f", "null", "-"]
        errors += len(subprocess.run(command, capture_output=True, check=False).stderr.splitlines())
    return (
        f"{found - frames:+d} | {samples - round(seconds * rate):+d} | {(length - float(seconds)) * 1000:+.1f} | "
        f"{errors if checker else '-'}"
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--ffmpeg", action="append", default=[], help="a program to compare with; repeatable")
    arguments.add_argument("--seconds", type=int, default=20, help="length of each of the ten scenes")
    arguments.add_argument("--runs", type=int, default=3, help="the best wall time of so many is shown")
    options = arguments.parse_args()
    checker = shutil.which("ffmpeg")

    print("| case | program | wall s | CPU s | peak MB | wall | frames | MP3 samples | sound ms | errors |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as root:
        base, long = Path(root), options.seconds
        lengths = {length: make_scene(base / f"scene{length}.mp4", length) for length in {8, 7, long}}
        cases = {
            "guide 8+8+7 s": ([lengths[8], lengths[8], lengths[7]], 23, 24.5),
            f"10 x {options.seconds} s": (
                [lengths[options.seconds]] * 10,
                10 * options.seconds,
                10.5 * options.seconds,
            ),
        }
        for case, (scenes, picture, sound) in cases.items():
            master = make_master(base / "master.mp3", sound)
            programs: dict[str, Callable[[Path], Run]] = {
                "ours": lambda folder, scenes=scenes, master=master: ours(folder, scenes, master)
            }
            for program in options.ffmpeg:
                name = subprocess.run([program, "-version"], capture_output=True, text=True, check=True).stdout.split()[
                    2
                ]
                programs[f"4 x ffmpeg {name}"] = (
                    lambda folder, program=program, scenes=scenes, master=master, tempo=sound / picture: chain(
                        program, folder, scenes, master, tempo
                    )
                )
            programs["floor: cp"] = lambda folder, scenes=scenes: copies(folder, scenes)
            best: dict[str, tuple[Run, str]] = {}
            for _ in range(options.runs):  # in turns, so that a busy moment of the machine hits everyone
                for name, program in programs.items():
                    folder = Path(tempfile.mkdtemp(dir=root))
                    run = program(folder)
                    if name not in best or run.wall < best[name][0].wall:
                        exact = best[name][1] if name in best else None  # the same in every run
                        if exact is None and (folder / NAMES[0]).exists():
                            exact = accuracy(folder, picture * FRAMES_PER_SECOND, Fraction(picture), checker)
                        best[name] = (run, exact or "- | - | - | -")
                    shutil.rmtree(folder)
            for name, (run, exact) in best.items():
                print(
                    f"| {case} | {name} | {run.wall:.2f} | {run.cpu:.2f} | {run.peak_mb:.0f} | "
                    f"{run.wall / best['ours'][0].wall:.2f}x | {exact} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
