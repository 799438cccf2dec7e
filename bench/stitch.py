"""Stitch against the ffmpeg command lines that people use for it: cost and accuracy in one table a case.

    python bench/stitch.py [--case equal|long|mixed] [--seconds 60] [--ffmpeg NAME=PATH ...] [--keep FOLDER]

Every tool runs as its own process, ours in a fork that has its modules loaded, as the service's worker does. CPU is
user and system time. Each clip flashes white and clicks at the same instant; "A/V ms" is how far the click of
any clip is from its flash in the result; "errors" are the lines of `ffmpeg -v error` when it decodes the result (of the
long case its sound and key pictures). `cp` of the same bytes is the floor for a copied join.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import av
import av.error

from shared.media.join.clip import read_clip
from shared.media.join.look import read_wishes
from shared.media.join.movie import Output, write_join
from shared.media.join.plan import plan_join
from shared.media.join.sound import clips_sound
from shared.media.source import FileSource
from shared.media.step import StepContext
from tests.support.clips import look_at

FLASH_SECONDS = 0.5


@dataclass(frozen=True)
class Case:
    name: str
    clips: list[Path]
    is_uniform: bool
    is_long: bool = False


@dataclass(frozen=True)
class Row:
    """One tool on one case: seconds, MB, and what its result is worth."""

    tool: str
    wall: float
    cpu: float
    peak_mb: float
    frames: int | None = None
    video_gaps: int | None = None
    audio_gaps: int | None = None
    av_ms: float | None = None
    found: int | None = None
    errors: int | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", action="append", choices=["equal", "long", "mixed"])
    parser.add_argument("--seconds", type=float, default=60.0, help="length of each long clip")
    parser.add_argument("--ffmpeg", action="append", default=[], help="NAME=PATH of a peer; default: the one in PATH")
    parser.add_argument("--filter-long", action="store_true", help="filter_complex for the long case, too (minutes)")
    parser.add_argument("--keep", type=Path, help="folder for inputs, made once and used again")
    options = parser.parse_args()
    peers = dict(item.split("=", 1) for item in options.ffmpeg) or {"ffmpeg": shutil.which("ffmpeg") or ""}
    maker = next(iter(peers.values()))
    if not maker:
        sys.exit("no ffmpeg to compare with")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        makers: dict[str, Callable[[], Case]] = {
            "equal": lambda: equal_case(maker, folder),
            "long": lambda: long_case(maker, folder, options.seconds),
            "mixed": lambda: mixed_case(maker, folder),
        }
        for name in options.case or list(makers):
            report(makers[name](), peers, maker, filter_too=name != "long" or options.filter_long)


def equal_case(ffmpeg: str, folder: Path) -> Case:
    clips = [clip(ffmpeg, folder / f"equal{i}.mp4", seconds=5 + i % 3 / 60, tone=300 + 97 * i) for i in range(10)]
    return Case("ten equal 720p clips, 5 s each", clips, is_uniform=True)


def long_case(ffmpeg: str, folder: Path, seconds: float) -> Case:
    picture = folder / f"long{seconds:g}.mp4"
    clip(ffmpeg, picture, seconds=seconds, size="1920x1080", noise=12, extra=["-preset", "ultrafast", "-b:v", "6600k"])
    clips = []
    for i in range(10):
        path = folder / f"long{seconds:g}_{i}.mp4"
        if not path.exists():
            sound = ["-f", "lavfi", "-i", _sound(seconds, 300 + 97 * i), "-map", "0:v", "-map", "1:a"]
            coding = ["-c:v", "copy", "-c:a", "aac", "-b:a", "128k", "-ac", "2", str(path)]
            subprocess.run([ffmpeg, "-v", "error", "-y", "-i", str(picture), *sound, *coding], check=True)
        clips.append(path)
    megabytes = sum(path.stat().st_size for path in clips) / 1e6
    return Case(f"ten equal 1080p clips, {seconds:g} s each, {megabytes:.0f} MB", clips, is_uniform=True, is_long=True)


def mixed_case(ffmpeg: str, folder: Path) -> Case:
    kinds: list[dict[str, object]] = [
        {}, {}, {}, {}, {},
        {"rate": 25, "size": "960x540", "mute": True},
        {"extra": ["-preset", "ultrafast", "-bf", "0"]},
        {"size": "720x1280"},
        {"rotate": 90},
        {"rate": "30000/1001", "extra": ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none"]},
        {"suffix": "avi", "size": "720x576", "rate": 25, "extra": ["-c:v", "mpeg4", "-q:v", "3", "-aspect", "16:9"]},
        {"suffix": "webm", "rate": 24, "extra": ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"]},
        {"rate": 8},
    ]  # fmt: skip
    clips = []
    for index, kind in enumerate(kinds):
        suffix = kind.pop("suffix", "mp4")
        path = folder / f"mixed{index}.{suffix}"
        clips.append(clip(ffmpeg, path, seconds=5, tone=300 + 97 * index, **kind))  # type: ignore[arg-type]
    return Case("13 mixed clips, 5 s each", clips, is_uniform=False)


def clip(
    ffmpeg: str,
    path: Path,
    *,
    seconds: float,
    size: str = "1280x720",
    rate: object = 30,
    tone: int = 300,
    mute: bool = False,
    noise: int = 0,
    rotate: int = 0,
    extra: list[str] | None = None,
) -> Path:
    """A test picture with a white flash, and a tone with a click, both at `FLASH_SECONDS`."""
    if path.exists():
        return path
    flash = f"drawbox=t=fill:color=white:enable='between(t,{FLASH_SECONDS - 0.001},{FLASH_SECONDS + 0.005})'"
    picture = f"testsrc2=s={size}:r={rate}:d={seconds},{f'noise=alls={noise}:allf=t,' if noise else ''}{flash}"
    inputs = ["-f", "lavfi", "-i", picture]
    if not mute:
        inputs += ["-f", "lavfi", "-i", _sound(seconds, tone)]
    video = ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", *(extra or [])]
    sound = [] if mute else ["-c:a", "libopus" if path.suffix == ".webm" else "aac", "-b:a", "128k", "-ac", "2"]
    target = path.with_name(f"raw_{path.name}") if rotate else path
    subprocess.run([ffmpeg, "-v", "error", "-y", *inputs, *video, *sound, str(target)], check=True)
    if rotate:
        turned = ["-c", "copy", "-metadata:s:v:0", f"rotate={rotate}", str(path)]
        subprocess.run([ffmpeg, "-v", "error", "-y", "-i", str(target), *turned], check=True)
    return path


def _sound(seconds: float, tone: int) -> str:
    click = f"0.8*exp(-0.5*pow((t-{FLASH_SECONDS})/0.001,2))"
    return f"aevalsrc='0.05*sin(2*PI*{tone}*t)+{click}':d={seconds}:s=48000"


def report(case: Case, peers: dict[str, str], judge: str, *, filter_too: bool) -> None:
    print(f"\n{case.name}\n{'tool':38}{'wall s':>8}{'CPU s':>8}{'x CPU':>7}{'MB':>6}{'frames':>8}{'v gaps':>8}"
          f"{'a gaps':>8}{'A/V ms':>9}{'clicks':>8}{'errors':>8}")  # fmt: skip
    with tempfile.TemporaryDirectory(dir=case.clips[0].parent) as temporary:
        scratch = Path(temporary)
        rows = [measure("ours", lambda: ours(case, scratch), scratch, case, judge)]
        for name, path in peers.items():
            for tool, command in commands(path, case, scratch)[: 3 if filter_too else 2]:
                rows.append(measure(f"{name} {tool}", command, scratch, case, judge))
        if case.is_uniform:
            joined = scratch / "bytes"
            with joined.open("wb") as whole:
                for path in case.clips:
                    with path.open("rb") as part:
                        shutil.copyfileobj(part, whole)
            rows.append(run("cp of the same bytes", ["cp", str(joined), str(scratch / "copy")]))
    for row in rows:
        values = [row.frames, row.video_gaps, row.audio_gaps]
        offset = "-" if row.av_ms is None else f"{row.av_ms:.2f}"
        print(f"{row.tool:38}{row.wall:8.2f}{row.cpu:8.2f}{row.cpu / rows[0].cpu:7.2f}{row.peak_mb:6.0f}"
              + "".join(f"{'-' if value is None else value:>8}" for value in values)
              + f"{offset:>9}{'-' if row.found is None else row.found:>8}"
              + f"{'-' if row.errors is None else row.errors:>8}")  # fmt: skip


def commands(ffmpeg: str, case: Case, scratch: Path) -> list[tuple[str, list[str]]]:
    playlist = scratch / "list.txt"
    playlist.write_text("".join(f"file '{path}'\n" for path in case.clips))
    head, tail = [ffmpeg, "-v", "quiet", "-y"], ["-movflags", "+faststart", str(scratch / "out.mp4")]
    listed = [*head, "-f", "concat", "-safe", "0", "-i", str(playlist)]
    chosen = [("concat -c copy", [*listed, "-c", "copy", *tail])]
    chosen.append(("concat -c:v copy -c:a aac", [*listed, "-c:v", "copy", "-c:a", "aac", *tail]))
    inputs = [word for path in case.clips for word in ("-i", str(path))]
    fitted = "".join(_fitted(index, path) for index, path in enumerate(case.clips))
    pads = "".join(f"[v{index}][a{index}]" for index in range(len(case.clips)))
    graph = f"{fitted}{pads}concat=n={len(case.clips)}:v=1:a=1[v][a]"
    mapped = ["-filter_complex", graph, "-map", "[v]", "-map", "[a]"]
    coding = ["-c:v", "libx264", "-preset", "faster", "-crf", "18", "-c:a", "aac"]
    chosen.append(("filter_complex concat", [*head, *inputs, *mapped, *coding, *tail]))
    return chosen


def _fitted(index: int, path: Path) -> str:
    with av.open(str(path)) as container:
        size = container.streams.video[0]
        width, height = (1920, 1080) if size.width == 1920 else (1280, 720)
        has_sound = bool(container.streams.audio)
        seconds = float(size.frames / size.average_rate) if size.frames else 5.0
    fit = f"scale={width}:{height}:force_original_aspect_ratio=decrease,pad={width}:{height}:-1:-1,setsar=1,fps=30"
    sound = f"[{index}:a]anull[a{index}];" if has_sound else f"anullsrc=r=48000:d={seconds}[a{index}];"
    return f"[{index}:v]{fit}[v{index}];{sound}"


def run(tool: str, work: list[str] | Callable[[], None]) -> Row:
    """Run a command, or a function in a fork of this process (its modules are loaded, as a worker's are)."""
    begin = time.monotonic()
    if callable(work):
        child = os.fork()
        if child == 0:
            work()
            os._exit(0)
    else:
        child = subprocess.Popen(work, stdout=subprocess.DEVNULL).pid
    peak_kb = 0
    while True:
        ended, status, usage = os.wait4(child, os.WNOHANG)
        if ended:
            break
        # VmHWM starts anew at exec; ru_maxrss would count this process's own memory, inherited through fork.
        for line in Path(f"/proc/{child}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                peak_kb = max(peak_kb, int(line.split()[1]))
        time.sleep(0.01)
    wall = time.monotonic() - begin
    failed = os.waitstatus_to_exitcode(status) or None
    return Row(tool, wall, usage.ru_utime + usage.ru_stime, peak_kb / 1024, errors=failed)


def ours(case: Case, scratch: Path) -> None:
    context = StepContext(scratch)
    clips = [read_clip(index, FileSource(path), context) for index, path in enumerate(case.clips)]
    plan = plan_join(clips, read_wishes("auto", None, None, None))
    sound = clips_sound(plan, print)
    write_join(plan, [Output(scratch / "out.mp4", sound is not None)], context, sound)


def measure(tool: str, work: list[str] | Callable[[], None], scratch: Path, case: Case, judge: str) -> Row:
    """Run a tool, then judge its `out.mp4`."""
    out = scratch / "out.mp4"
    out.unlink(missing_ok=True)
    row = run(tool, work)
    if row.errors or not out.exists():
        return row
    with av.open(str(out)) as container:
        video = [(p.pts, p.duration) for p in container.demux(video=0) if p.size]
        clock = container.streams.video[0].time_base
    with av.open(str(out)) as container:
        sound = [(p.pts, p.duration) for p in container.demux(audio=0) if p.size]
    shown = sorted(video)
    usual = sorted(b[0] - a[0] for a, b in pairwise(shown))[len(shown) // 2]
    gaps = sum(abs(b[0] - a[0] - usual) > usual / 50 for a, b in pairwise(shown))
    audio_gaps = sum(a[0] + a[1] != b[0] for a, b in pairwise(sound))
    if case.is_uniform:  # a flash is a known frame: the picture need not be decoded
        flashes, first = [], 0
        for path in case.clips:
            with av.open(str(path)) as container:
                stream = container.streams.video[0]
                place = first + round(FLASH_SECONDS * stream.average_rate)
                flashes.append(float(shown[place][0] * clock) if place < len(shown) else -1.0)
                first += stream.frames
        clicks = look_at(out, pictures=False).clicks
    else:
        try:
            seen = look_at(out)
            flashes, clicks = seen.flashes, seen.clicks
        except av.error.FFmpegError:  # a result that cannot be decoded has no joins to measure
            flashes, clicks = [], []
    pictures = ["-skip_frame", "nokey"] if case.is_long else []  # all would take longer than the bench
    decode = [judge, "-v", "error", *pictures, "-i", str(out), "-f", "null", "-"]
    errors = subprocess.run(decode, capture_output=True, check=False)
    # At 25 pictures a second none is shown while the flash is on: that clip's click has nothing to be measured against.
    offsets = [min((click - flash for flash in flashes), key=abs) for click in clicks if flashes]
    worst = max((abs(offset) * 1000 for offset in offsets if abs(offset) < 1.0), default=None)
    return Row(tool, row.wall, row.cpu, row.peak_mb, len(video), gaps, audio_gaps, worst, len(clicks),
               len(errors.stderr.splitlines()))  # fmt: skip


if __name__ == "__main__":
    main()
