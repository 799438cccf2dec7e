"""Length: calls per CPU second and right answers, against ffprobe and a static ffmpeg; bytes over HTTP.

    pip install --target /tmp/ff9 imageio-ffmpeg==0.8.1
    python bench/length.py --ffmpeg /tmp/ff9/imageio_ffmpeg/binaries/ffmpeg-linux-* --files DIR [--calls 20]

Both peers are asked for what they print without decoding: `ffprobe -show_entries format=duration` and the `Duration:`
line of `ffmpeg -i`. CPU seconds are user + system time, of this process for ours and of the finished children for
theirs; ours runs inside one warm process, as the service's children do, theirs start a process a call, as any service
that shells out does. "right" means within 2 ms of the truth, or within 27 ms where the true length is only known to
one audio frame (none of these).
"""

from __future__ import annotations

import argparse
import csv
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import av
import numpy as np

from services.probe.length import measure
from shared.media.source import FileSource
from shared.media.step import StepContext

Probe = Callable[[Path], float | None]


class CountingSource(FileSource):
    """A local file that behaves like a remote one and counts what is asked of it."""

    is_local = False

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.bytes_read = self.requests = 0

    def read_at(self, offset: int, length: int) -> bytes:
        data = super().read_at(offset, length)
        self.bytes_read, self.requests = self.bytes_read + len(data), self.requests + 1
        return data

    def prefetch(self, ranges: Sequence[tuple[int, int]]) -> None:
        return None


def ours(path: Path) -> float | None:
    source = FileSource(path)
    try:
        return measure(StepContext(Path("/nonexistent")), source).media_duration
    finally:
        source.close()


def ffprobe(path: Path) -> float | None:
    command = ["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", str(path)]
    text = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return float(text) if re.fullmatch(r"[\d.]+", text) else None


def ffmpeg_with(program: str) -> Probe:
    def probe(path: Path) -> float | None:
        text = subprocess.run([program, "-i", str(path)], capture_output=True, text=True, check=False).stderr
        found = re.search(r"Duration: (\d+):(\d+):([\d.]+)", text)
        return int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3]) if found else None

    return probe


def cpu_seconds() -> float:
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


def calls_per_cpu_second(probe: Probe, path: Path, calls: int) -> float:
    probe(path)
    before = cpu_seconds()
    for _ in range(calls):
        probe(path)
    return calls / max(cpu_seconds() - before, 1e-6)


def make_liars(folder: Path, seconds: int) -> list[tuple[Path, float]]:
    """Files whose headers cannot be believed, with their decoded length."""
    rate = 44_100
    chance = np.random.default_rng(7)
    levels = np.repeat(chance.integers(0, 12_000, seconds), rate)  # loud and soft seconds: a truly variable bit rate
    wave = (chance.standard_normal(seconds * rate) * levels / 3).clip(-32_000, 32_000).astype(np.int16)
    made = []
    for name, container, codec, options in (
        ("vbr-no-xing.mp3", "mp3", "libmp3lame", {"write_xing": "0"}),
        ("raw.aac", "adts", "aac", {}),
        ("long.m4a", "ipod", "aac", {}),
        ("tagged.mp3", "mp3", "libmp3lame", {}),
    ):
        path = folder / name
        with av.open(str(path), "w", format=container, options=options) as output:
            stream = output.add_stream(codec, rate=rate, layout="mono")
            if codec == "libmp3lame":
                stream.options = {"q": "4"} if options else {}
                stream.codec_context.qscale, stream.codec_context.global_quality = True, 4 * 118
            frame = av.AudioFrame.from_ndarray(wave[None, :], format="s16p", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
            output.mux([*stream.encode(frame), *stream.encode(None)])
        with av.open(str(path)) as container_:
            decoded = sum(frame.samples for frame in container_.decode(audio=0))
        edited = seconds if name == "long.m4a" else decoded / rate  # its edit list cuts priming and padding
        made.append((path, float(edited)))
    return made


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--files", type=Path, help="a folder of media with a manifest.tsv")
    arguments.add_argument("--ffmpeg", help="a static ffmpeg to compare with")
    arguments.add_argument("--calls", type=int, default=20)
    arguments.add_argument("--seconds", type=int, default=60, help="length of the generated audio files")
    options = arguments.parse_args()

    peers: dict[str, Probe] = {"ours": ours}
    if shutil.which("ffprobe"):
        peers["ffprobe"] = ffprobe
    if options.ffmpeg:
        peers["static ffmpeg"] = ffmpeg_with(options.ffmpeg)

    with tempfile.TemporaryDirectory() as scratch:
        files: list[tuple[Path, float]] = []
        if options.files:
            with (options.files / "manifest.tsv").open() as table:
                rows = list(csv.DictReader(table, delimiter="\t"))
            files = [(options.files / row["file"], float(row["duration_true_s"])) for row in rows]
        liars = make_liars(Path(scratch), options.seconds)

        print("Answers")
        print("| probe | real files right within 2 ms | worst ms | generated right | worst ms |")
        print("|---|---|---|---|---|")
        for name, probe in peers.items():
            cells = []
            for group in (files, liars):
                errors = [abs((probe(path) or 0) - truth) * 1000 for path, truth in group]
                cells += [f"{sum(error <= 2 for error in errors)} of {len(errors)}", f"{max(errors, default=0):.0f}"]
            print(f"| {name} | " + " | ".join(cells) + " |")

        print("\nCalls per CPU second, and bytes asked of a remote source")
        print("| file | MB | " + " | ".join(peers) + " | ours is | remote bytes | of file | requests |")
        print("|---|" + "---|" * (len(peers) + 5))
        wanted = {"smpte-2997.mp4", "testVideoMp4.mp4", "sampleMKV.mkv", "hdr10-av1.mp4", "viper.mp3", "jfk.flac"}
        for path, _ in [*(entry for entry in files if entry[0].name in wanted), *liars]:
            rates = [
                calls_per_cpu_second(probe, path, options.calls * (5 if name == "ours" else 1))
                for name, probe in peers.items()
            ]
            source = CountingSource(path)
            measure(StepContext(Path(scratch)), source)
            source.close()
            size = path.stat().st_size
            factor = f"{rates[0] / max(rates[1:]):.0f}x" if len(rates) > 1 else "-"
            print(
                f"| {path.name} | {size / 1e6:.2f} | "
                + " | ".join(f"{rate:.0f}" for rate in rates)
                + f" | {factor} | {source.bytes_read} | {source.bytes_read / size:.1%} | {source.requests} |"
            )


if __name__ == "__main__":
    main()
