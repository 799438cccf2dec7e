"""The last frame of a remote film: 10 minutes, 1080p H.264, about 500 MB; time, CPU and bytes against ffmpeg.

    python -m bench.last_frame [--repeats 5] [--rate-mbit 100] [--full]

The film is made once under bench/.cache (1 GB: its index at the start, and at the end). It is served with Range over
loopback, then with 50 ms added to each connection and each answer, then (--rate-mbit) over a line of that rate too.
Rows: ours through the whole service (REST submit to the event that says completed, result stored); ours as the bare
media function in a warm process; `ffmpeg -sseof -1 -i URL -update 1` of each ffmpeg found; download, then the same on
the file; a full decode with `-update 1`, over loopback only. The full decode is run on the film's last 20 seconds and
multiplied by 30, and said to be; --full runs it on everything.

Wall is the median; CPU and bytes are means over the repeats: CPU of all processes that did the work, from wait4 and
/proc, the file server's not among them; bytes as counted by the server.
The pixels are judged apart from the timed runs: the decoded planes of each against those of a full decode.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.support.bare import BareMedia, bare_media
from bench.support.clips import SEGMENTS, Film, film
from bench.support.meter import run_metered
from bench.support.peers import CACHE, ffmpegs
from bench.support.range_server import RangeServer, range_server
from bench.support.suite import Suite, running_suite
from bench.support.table import median, milliseconds, print_table, ratio
from shared.media.final_frame import find_last_frame
from shared.media.source import FileSource

LATENCY_SECONDS = 0.05
Cost = tuple[float, float]  # wall and CPU seconds


@dataclass(frozen=True)
class Line:
    """How the server is reached."""

    name: str
    latency_seconds: float = 0.0
    bytes_per_second: float = 0.0


@dataclass(frozen=True)
class Row:
    """A way to get the last frame, and the mean of what it cost."""

    name: str
    wall_seconds: float
    cpu_seconds: float
    sent_bytes: float
    requests: float

    def cells(self, base: Row, film_bytes: int) -> tuple[object, ...]:
        return (
            self.name,
            milliseconds(self.wall_seconds),
            ratio(self.wall_seconds, base.wall_seconds),
            milliseconds(self.cpu_seconds),
            ratio(self.cpu_seconds, base.cpu_seconds),
            f"{self.sent_bytes / 1e6:.2f}",
            f"{self.sent_bytes / film_bytes:.2%}",
            f"{self.requests:g}",
        )


def measured(name: str, server: RangeServer, repeats: int, once: Callable[[], Cost]) -> Row:
    server.take_count()
    costs = [once() for _ in range(repeats)]
    served = server.take_count()
    return Row(
        name,
        median([wall for wall, _ in costs]),
        sum(cpu for _, cpu in costs) / repeats,
        served.sent_bytes / repeats,
        served.requests / repeats,
    )


def through_service(suite: Suite, url: str) -> Cost:
    cpu, begin = suite.processes.cpu_seconds(), time.perf_counter()
    suite.watch(suite.submit(url))
    wall = time.perf_counter() - begin
    time.sleep(0.1)  # the child is being waited for
    return wall, suite.processes.cpu_seconds() - cpu


def through_bare(bare: BareMedia, url: str) -> Cost:
    done = bare.extract(url)
    return done.wall_seconds, done.cpu_seconds


def from_the_end(program: str, source: str, image: Path) -> Cost:
    before, after = ["-v", "error", "-y", "-sseof", "-1"], ["-update", "1", "-q:v", "2", str(image)]
    run = run_metered([program, *before, "-i", source, *after])
    return run.wall_seconds, run.cpu_seconds


def downloaded_first(program: str, url: str, directory: Path) -> Cost:
    begin, cpu = time.perf_counter(), time.process_time()
    path = directory / "whole.mp4"
    with urllib.request.urlopen(url) as reply, path.open("wb") as file:
        shutil.copyfileobj(reply, file, 1 << 20)
    decoded = from_the_end(program, str(path), directory / "image.jpg")
    path.unlink()
    return time.perf_counter() - begin, time.process_time() - cpu + decoded[1]


def decoded_whole(program: str, url: str, image: Path) -> Cost:
    run = run_metered([program, "-v", "error", "-y", "-i", url, "-an", "-update", "1", "-q:v", "2", str(image)])
    return run.wall_seconds, run.cpu_seconds


@dataclass(frozen=True)
class Bench:
    server: RangeServer
    suite: Suite
    bare: BareMedia
    programs: dict[str, str]
    repeats: int
    is_full: bool

    def line(self, line: Line) -> None:
        """Measures and prints one table."""
        made = film()
        size = made.faststart.stat().st_size

        def url(path: Path) -> str:
            return self.server.url(
                path.name, latency_seconds=line.latency_seconds, bytes_per_second=line.bytes_per_second
            )

        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            directory = Path(folder)
            rows = self.from_the_end("index first", url(made.faststart), directory)
            rows += self.from_the_end("index last", url(made.end_moov), directory)
            name, program = next(iter(self.programs.items()))
            download = partial(downloaded_first, program, url(made.faststart), directory)
            rows.append(measured(f"download, then {name}", self.server, 1, download))
            if not line.latency_seconds:
                rows.append(full_decode(name, program, self.server, url, directory / "image.jpg", self.is_full))
        print_table(
            f"{line.name}: a film of {size / 1e6:.1f} MB and {Film.seconds} s",
            ("last frame by", "wall ms", "ours = 1", "CPU ms", "ours = 1", "MB sent", "of film", "requests"),
            [row.cells(rows[0], size) for row in rows],
        )

    def from_the_end(self, place: str, url: str, directory: Path) -> list[Row]:
        service = partial(through_service, self.suite, url)
        bare = partial(through_bare, self.bare, url)
        service()
        bare()
        rows = [
            measured(f"ours, whole service; {place}", self.server, self.repeats, service),
            measured(f"ours, bare function; {place}", self.server, self.repeats, bare),
        ]
        for name, program in self.programs.items():
            peer = partial(from_the_end, program, url, directory / "image.jpg")
            rows.append(measured(f"{name} `-sseof -1`; {place}", self.server, self.repeats, peer))
        return rows


def full_decode(
    name: str, program: str, server: RangeServer, url: Callable[[Path], str], image: Path, is_full: bool
) -> Row:
    made = film()
    if is_full:
        return measured(f"full decode, {name}", server, 1, lambda: decoded_whole(program, url(made.faststart), image))
    part = measured("", server, 1, lambda: decoded_whole(program, url(made.excerpt), image))
    return Row(
        f"full decode, {name} (1/{SEGMENTS} measured, x{SEGMENTS})",
        part.wall_seconds * SEGMENTS,
        part.cpu_seconds * SEGMENTS,
        part.sent_bytes * SEGMENTS,
        part.requests,
    )


def print_pixels(server: RangeServer, suite: Suite, bare: BareMedia, programs: dict[str, str]) -> None:
    """Planes of the last frame as decoded, before any image format."""
    made = film()
    truth = planes_by_ffmpeg(next(iter(programs.values())), [], str(made.excerpt))
    rows = []
    for place, path in (("index first", made.faststart), ("index last", made.end_moov)):
        url = server.url(path.name)
        source = FileSource(path)
        found = find_last_frame(source)
        source.close()
        ours = hashlib.md5(found.frame.to_ndarray().tobytes()).hexdigest()
        rows.append((f"ours; {place}", ours == truth, f"frame {found.frame_index} of {Film.frames}"))
        metadata = suite.watch(suite.submit(url))["metadata"]
        same = metadata["sha256"] == bare.extract(url).result.sha256 and metadata["frame_index"] == found.frame_index
        rows.append((f"whole service: the bare function's very image; {place}", same, metadata["method"]))
        for name, program in programs.items():
            rows.append((f"{name} `-sseof -1`; {place}", planes_by_ffmpeg(program, ["-sseof", "-1"], url) == truth, ""))
    print_table("Pixels against a full decode", ("last frame by", "same", ""), rows)


def planes_by_ffmpeg(program: str, before: list[str], source: str) -> str:
    """The MD5 of the last frame that ffmpeg gives out."""
    command = [program, "-v", "error", *before, "-i", source, "-an", "-pix_fmt", "yuv420p", "-f", "framemd5", "-"]
    return run_metered(command).output.decode().strip().splitlines()[-1].split(",")[-1].strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rate-mbit", type=float, default=100, help="of the third line; 0 leaves it out")
    parser.add_argument("--full", action="store_true", help="decode all ten minutes (minutes of CPU)")
    options = parser.parse_args()
    programs = ffmpegs()
    film()
    lines = [Line("Loopback"), Line("Loopback with 50 ms added", LATENCY_SECONDS)]
    if options.rate_mbit:
        name = f"50 ms added, {options.rate_mbit:g} Mbit/s"
        lines.append(Line(name, LATENCY_SECONDS, options.rate_mbit * 1e6 / 8))
    with range_server(CACHE) as server, running_suite() as suite, bare_media() as bare:
        print_pixels(server, suite, bare, programs)
        bench = Bench(server, suite, bare, programs, options.repeats, options.full)
        for line in lines:
            bench.line(line)


if __name__ == "__main__":
    main()
