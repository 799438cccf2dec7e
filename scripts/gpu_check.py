"""`python -m scripts.gpu_check`: what this machine's NVIDIA GPU does for the suite, whether it is right, and how fast.

Needs a checkout and av, numpy, pydantic and typing-extensions, nothing else; `--media DIR` adds files to decode.
Without an NVIDIA driver it says so and exits 0. With one it exits 1 if anything that the machine has is not right:
pictures that differ from software's by a bit, an encode more than 0.5 dB below x264's, a confined child that cannot
use the GPU, or a stitch that left it. Every part runs in a process of its own, so that a crash of the driver is a line
in the report.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import hashlib
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from services.stitch.stitch import Stitched, stitch
from shared.jobs.child import ChildPool, LocalSource
from shared.jobs.sandbox import confinement, landlock, limits, seccomp
from shared.media.accelerator import nvdec_frames, nvdec_takes, probe
from shared.media.join.colour import SDR
from shared.media.join.look import QUALITIES, Look
from shared.media.join.nvenc import QUANTIZERS, nvenc_groups, open_nvenc
from shared.media.step import Accelerators, StepContext

TOLERATED_LOSS_DB = 0.5
ENCODED = ((1920, 1080), 90)
MAX_PIXELS = 8192 * 4320
PART_SECONDS = 240.0
MEMORY_BYTES, FILE_BYTES = 4 << 30, 4 << 30
MADE: dict[str, tuple[str, str, tuple[int, int], dict[str, str]]] = {
    "h264 1080p B-frames": ("libx264", "yuv420p", (1920, 1080), {"preset": "veryfast", "bf": "3"}),
    "h264 720p one key": ("libx264", "yuv420p", (1280, 720), {"preset": "veryfast", "g": "999"}),
    "h264 odd crop 854x480": ("libx264", "yuv420p", (854, 480), {"preset": "veryfast"}),
    "h264 interlaced": ("libx264", "yuv420p", (720, 576), {"preset": "veryfast", "flags": "+ilme+ildct"}),
    "hevc 1080p": ("libx265", "yuv420p", (1920, 1080), {"preset": "ultrafast", "x265-params": "log-level=none"}),
    "hevc 10 bit": ("libx265", "yuv420p10le", (1280, 720), {"preset": "ultrafast", "x265-params": "log-level=none"}),
    "vp9 720p": ("libvpx-vp9", "yuv420p", (1280, 720), {"cpu-used": "8", "deadline": "realtime", "b": "3M"}),
    "av1 720p": ("libsvtav1", "yuv420p", (1280, 720), {"preset": "12"}),
    "av1 10 bit": ("libsvtav1", "yuv420p10le", (1280, 720), {"preset": "12"}),
}
"""Name: encoder, pixel format, size, options."""

Row = tuple[bool, str, str]
"""Right or not; what was tried; what was found."""


def pictures(size: tuple[int, int], count: int) -> Iterator[av.VideoFrame]:
    """A moving texture with grain: something to predict, and something that cannot be predicted."""
    width, height = size
    x, y = np.arange(width), np.arange(height)
    grain = np.random.default_rng(7).normal(0, 2.0, (height, width)).astype(np.int16)
    checks = (8 * ((x[None, :] // 8 + y[:, None] // 8) % 2)).astype(np.int16) + 110
    for number in range(count):
        across = (50 * np.sin((x + 5 * number) / 23)).astype(np.int16)
        down = (40 * np.cos((y - 3 * number) / 31)).astype(np.int16)
        luma = checks + across[None, :] + down[:, None] + np.roll(grain, (13 * number, 29 * number), (0, 1))
        chroma = np.tile((128 + 30 * np.sin((x + 4 * number) / 50)).astype(np.int16), (height // 2, 1))
        planes = np.concatenate([luma, chroma]).clip(16, 235).astype(np.uint8)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts, frame.time_base = number, Fraction(1, 30)
        yield frame


def make(path: Path, name: str, count: int = 60) -> Path:
    codec, pixel_format, size, options = MADE[name]
    os.environ["SVT_LOG"] = "1"  # SVT-AV1 talks otherwise
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream(codec, rate=30, width=size[0], height=size[1])
        stream.pix_fmt, stream.options = pixel_format, options
        for frame in pictures(size, count):
            output.mux(stream.encode(frame if pixel_format == "yuv420p" else frame.reformat(format=pixel_format)))
        output.mux(stream.encode(None))
    return path


def digest(frame: av.VideoFrame) -> tuple[int | None, str, int, int, str]:
    pixels = hashlib.md5(frame.to_ndarray().tobytes()).hexdigest()
    return frame.pts, frame.format.name, frame.width, frame.height, pixels


def decode_part(path: Path) -> list[Row]:
    """NVDEC's pictures against software's, picture by picture, and how many a second either gives."""
    with av.open(str(path), metadata_errors="replace") as container:
        stream = container.streams.video[0]
        codec, pixel_format = stream.codec_context.codec.canonical_name, stream.codec_context.pix_fmt or ""
        if not nvdec_takes(codec, pixel_format, stream.width, stream.height):
            return [(True, path.name, f"{codec} {pixel_format} {stream.width}x{stream.height}: left to software")]
        stream.thread_type = "AUTO"
        software = [digest(frame) for frame in container.decode(stream)]
    size = (software[0][2], software[0][3])

    def frames_by(gpu: bool) -> tuple[int, float]:
        with av.open(str(path), metadata_errors="replace") as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            begun = time.monotonic()
            frames = (
                nvdec_frames(stream, container.demux(stream), MAX_PIXELS, size) if gpu else container.decode(stream)
            )
            count = sum(1 for _ in frames)
            return count, count / (time.monotonic() - begun)

    with av.open(str(path), metadata_errors="replace") as container:
        stream = container.streams.video[0]
        nvdec = [digest(frame) for frame in nvdec_frames(stream, container.demux(stream), MAX_PIXELS, size)]
    wrong = [number for number, pair in enumerate(zip(software, nvdec, strict=False)) if pair[0] != pair[1]]
    same = not wrong and len(software) == len(nvdec)
    verdict = (
        f"{len(nvdec)} pictures equal to the bit" if same else f"{len(software)} in software, {len(nvdec)} by NVDEC"
    )
    verdict += f", the first that differs is {wrong[0]}" if wrong else ""
    (_, by_gpu), (_, by_cpu) = frames_by(True), frames_by(False)
    speed = f"NVDEC {by_gpu:.0f} fps, software {by_cpu:.0f} fps ({os.cpu_count()} cores): {by_gpu / by_cpu:.2f}x"
    return [(same, f"{path.name} ({codec} {pixel_format} {size[0]}x{size[1]})", f"{verdict}; {speed}")]


def encode_part(quality: str) -> list[Row]:
    """NVENC against x264 at one quality: PSNR of the luma, bytes, and pictures a second; and its neighbours' PSNR."""
    size, count = ENCODED
    originals = list(pictures(size, count))
    crf, preset = QUALITIES[quality]
    look = Look(*size, Fraction(1), SDR, Fraction(30), Fraction(30), 100)

    def by_x264() -> list[Any]:
        encoder: Any = av.CodecContext.create("libx264", "w")
        encoder.width, encoder.height, encoder.pix_fmt = *size, "yuv420p"
        encoder.framerate, encoder.time_base = Fraction(30), Fraction(1, 30)
        encoder.options = {"preset": preset, "crf": str(crf), "x264-params": "keyint=60"}
        packets = [packet for frame in originals for packet in encoder.encode(frame)]
        return packets + encoder.encode(None)

    def by_nvenc() -> list[Any]:
        encoder = open_nvenc(look, quality, 60)
        headers.append(encoder.extradata)
        return [packet for group in nvenc_groups(encoder, iter(enumerate(originals)), count) for packet in group]

    def measured(encode: Callable[[], list[Any]]) -> tuple[float, int, float]:
        begun = time.monotonic()
        packets = encode()
        seconds = time.monotonic() - begun
        return _psnr(packets, originals, headers[-1]), sum(p.size for p in packets), count / seconds

    headers: list[bytes | None] = [None]  # x264's stands in its packets
    ours, ours_bytes, ours_fps = measured(by_x264)
    rows: list[Row] = []
    chosen = QUANTIZERS[quality]
    for quantizer in (chosen - 2, chosen + 2, chosen):
        QUANTIZERS[quality] = quantizer
        theirs, their_bytes, their_fps = measured(by_nvenc)
        right = quantizer != chosen or theirs >= ours - TOLERATED_LOSS_DB
        found = f"NVENC qp {quantizer}: {theirs:.2f} dB, {their_bytes / ours_bytes:.2f}x the bytes, {their_fps:.0f} fps"
        rows.append((right, f"{quality}: x264 crf {crf} {preset} {ours:.2f} dB, {ours_fps:.0f} fps", found))
    return rows[::-1]


def _psnr(packets: list[Any], originals: list[av.VideoFrame], extradata: bytes | None) -> float:
    """Of the luma of all pictures together, dB."""
    decoder: Any = av.CodecContext.create("h264", "r")
    decoder.extradata = extradata
    frames = [frame for packet in packets for frame in decoder.decode(packet)] + decoder.decode(None)
    assert len(frames) == len(originals)
    height = originals[0].height
    errors = [
        np.mean((frame.to_ndarray()[:height].astype(float) - original.to_ndarray()[:height]) ** 2)
        for frame, original in zip(frames, originals, strict=True)
    ]
    return float(10 * np.log10(255**2 / max(np.mean(errors), 1e-9)))


def probe_part(layers: tuple[str, ...]) -> Accelerators:
    """What the probe finds in this process, after putting it under some layers of the sandbox."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        code = (Path(__file__).parents[1], *(Path(entry) for entry in sys.path if entry))
        world = confinement.Confinement(scratch, code, MEMORY_BYTES, FILE_BYTES, 60.0, "best-effort", "cuda")
        if "limits" in layers:
            limits.apply(memory_bytes=MEMORY_BYTES, file_bytes=FILE_BYTES, cpu_seconds=60.0, accelerator="cuda")
        if layers:
            seccomp.set_no_new_privileges()
        if "landlock" in layers:
            landlock.restrict(confinement._rules(world))
        if "seccomp" in layers:
            seccomp.install()
        return probe(StepContext(scratch, accelerator="cuda"))


def _confined_part() -> tuple[Accelerators, bool]:
    """What the probe finds in a confined child, as a worker does it; and whether this kernel can confine at all."""

    async def run() -> tuple[Accelerators, bool]:
        children = ChildPool(preload=["shared.media.accelerator"], warm=0, sandbox="best-effort")
        report = await children.start()
        try:
            with tempfile.TemporaryDirectory() as scratch:
                found = await children.run(
                    probe, arguments={}, scratch=Path(scratch), deadline_seconds=60.0, accelerator="cuda"
                )
            return found, report.complete
        finally:
            await children.stop()

    return asyncio.run(run())


def stitch_part(paths: list[Path], nvenc: bool) -> list[Row]:
    """A whole re-encoding stitch in confined children: on the GPU, and in software."""

    async def run(accelerator: str) -> tuple[Stitched, float, list[Any]]:
        children = ChildPool(
            preload=["services.stitch.stitch"], warm=1, memory_limit_bytes=MEMORY_BYTES, sandbox="best-effort"
        )
        await children.start()
        try:
            with tempfile.TemporaryDirectory() as folder:
                # A confined child reads nothing but its own scratch directory.
                local = [Path(shutil.copy(path, folder)) for path in paths]
                sources = [LocalSource(path, f"video_urls[{index}]") for index, path in enumerate(local)]
                begun = time.monotonic()
                done = await children.run(
                    stitch,
                    arguments={"sources": sources, "strategy": "reencode", "resolution": "720p"},
                    scratch=Path(folder),
                    deadline_seconds=PART_SECONDS,
                    threads=os.cpu_count() or 2,
                    accelerator=accelerator,
                    nvenc=nvenc and accelerator == "cuda",
                )
                seconds = time.monotonic() - begun
                with av.open(str(Path(folder) / done.file_name)) as container:
                    frames = list(container.decode(video=0))
                return done, seconds, [(frame.pts, frame.to_ndarray()[:720]) for frame in frames]
        finally:
            await children.stop()

    (on_gpu, gpu_seconds, theirs), (_, cpu_seconds, ours) = asyncio.run(run("cuda")), asyncio.run(run("cpu"))
    same_times = [pts for pts, _ in ours] == [pts for pts, _ in theirs]
    error = max(np.abs(a.astype(int) - b).mean() for (_, a), (_, b) in zip(ours, theirs, strict=False))
    use: Any = on_gpu.accelerator or {}
    right = same_times and error < 3 and use.get("decode") == "nvdec" and "fallback" not in use
    found = (
        f"{use}; {len(theirs)} pictures at {'equal' if same_times else 'OTHER'} times, mean error <= {error:.2f} levels"
    )
    speed = f"{gpu_seconds:.2f} s on the GPU, {cpu_seconds:.2f} s in software: {cpu_seconds / gpu_seconds:.2f}x"
    return [(right, f"stitch of {len(paths)} clips to 720p", f"{found}; {speed}")]


def meter_part() -> list[Row]:
    try:
        from shared.backends.nvml import NvmlMeter
    except ImportError as error:
        return [(True, "NVML", f"not tried: {error}")]
    percent = NvmlMeter().utilization_percent()
    return [(percent is not None, "NVML", "no reading" if percent is None else f"{percent:.0f} % busy")]


class Report:
    def __init__(self) -> None:
        self.failures = 0

    def part(self, title: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """The function's answer from a process of its own; None, and a line of the report, where that failed."""
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            try:
                return pool.submit(function, *arguments).result(PART_SECONDS)
            except Exception as error:
                for process in list((pool._processes or {}).values()):
                    process.kill()
                self.line(False, title, f"{type(error).__name__}: {error}; {error.__cause__ or ''}"[:900])
        return None

    def rows(self, title: str, function: Callable[..., list[Row]], *arguments: Any) -> None:
        for row in self.part(title, function, *arguments) or ():
            self.line(*row)

    def line(self, right: bool, tried: str, found: str) -> None:
        self.failures += not right
        print(f"{'ok  ' if right else 'FAIL'} {tried:<58} {found}", flush=True)


def check(media: Path | None) -> int:
    report = Report()
    found = report.part("probe", probe_part, ())
    if found is None:
        return 1
    report.line(found.nvdec, "probe, unconfined", "; ".join(found.findings))
    answer = report.part("probe, confined child", _confined_part)
    if answer is not None:
        confined, complete = answer
        right = (confined.nvdec, confined.nvenc) == (found.nvdec, found.nvenc)
        layers = "all layers" if complete else "this kernel has not every layer of the sandbox"
        report.line(right, f"probe, confined child ({layers})", "; ".join(confined.findings))
        for layer in ("limits", "landlock", "seccomp") if not right else ():
            alone = report.part(f"probe, {layer} alone", probe_part, (layer,))
            if alone is not None:
                same = (alone.nvdec, alone.nvenc) == (found.nvdec, found.nvenc)
                report.line(same, f"probe, {layer} alone", "; ".join(alone.findings))
    report.rows("NVML", meter_part)
    with tempfile.TemporaryDirectory() as folder:
        made = []
        for number, name in enumerate(MADE):
            path = Path(folder) / f"{number}-{name.replace(' ', '-')}.{'webm' if name.startswith('vp9') else 'mp4'}"
            made.append(make(path, name))
        for path in [*made, *(sorted(media.iterdir()) if media else ())] if found.nvdec else ():
            if path.is_file() and _has_video(path):
                report.rows(path.name, decode_part, path)
        if found.nvenc:
            for quality in QUALITIES:
                report.rows(f"encode, {quality}", encode_part, quality)
        if found.nvdec:
            long = [make(Path(folder) / f"long{number}.mp4", "h264 1080p B-frames", 300) for number in range(2)]
            report.rows("stitch", stitch_part, [*long, made[4]], found.nvenc)
    print(f"{'all right' if not report.failures else f'{report.failures} not right'}; NVENC: {found.nvenc}", flush=True)
    return 1 if report.failures else 0


def _has_video(path: Path) -> bool:
    with suppress(av.error.FFmpegError, ValueError), av.open(str(path), metadata_errors="replace") as container:
        return bool(container.streams.video and container.streams.video[0].codec_context)
    return False


def main() -> int:
    parser = argparse.ArgumentParser(description="Checks what this machine's NVIDIA GPU does for the suite.")
    parser.add_argument("--media", type=Path, help="a folder of files to decode as well")
    arguments = parser.parse_args()
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        print(f"no NVIDIA driver on this machine, so there is nothing to check ({error})")
        return 0
    if shutil.which("nvidia-smi"):
        query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
        print(subprocess.run(query, capture_output=True, text=True, timeout=30, check=False).stdout.strip(), flush=True)
    print(
        f"PyAV {av.__version__}, FFmpeg libraries {av.library_versions['libavcodec']}, Python {sys.version.split()[0]}"
    )
    return check(arguments.media)


if __name__ == "__main__":
    sys.exit(main())
