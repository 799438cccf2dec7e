"""What one job of each kind takes: CPU-seconds, bytes in and out, memory, and from these the seconds on a slot.

    python -m bench.kinds [--rounds 3] [--record]

Jobs run through the suite one after another, so that CPU is each one's own: of the whole tree, Envoy, store and the
confined child included (median of the rounds). Memory is the peak of the one decoder child (VmHWM: with the pages that
it shares with its fork server). Wall time is not recorded: decoders give way to whatever else the machine does.

Slot-seconds are what a job takes in a pod: a slot has one core, and its bytes come and go over a line. They are
arithmetic on CPU and bytes, which repeat, not on wall time, which does not; nothing is taken to overlap, so they are
an upper bound.

`--record` writes `bench/kinds.json`, from which `bench/capacity.py` prints the tables of docs/capacity.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.support.clips import film, scene_clip, song
from bench.support.meter import PeakMemory
from bench.support.peers import CACHE
from bench.support.range_server import RangeServer, range_server
from bench.support.suite import Suite, running_suite
from bench.support.table import median, print_table

RECORD = Path(__file__).with_name("kinds.json")
BYTES_PER_SECOND = 12_500_000
"""The line of one job, each way: 100 Mbit/s."""
ANSWERS_SECONDS = 0.3
"""What connections and first bytes take: some six round trips of 50 ms."""
SCENES = 3


@dataclass(frozen=True)
class Cost:
    """Of one job."""

    cpu_seconds: float
    in_bytes: int
    out_bytes: int
    child_bytes: int

    @property
    def slot_seconds(self) -> float:
        return ANSWERS_SECONDS + self.cpu_seconds + (self.in_bytes + self.out_bytes) / BYTES_PER_SECOND


def jobs(server: RangeServer) -> dict[str, tuple[str, dict[str, Any]]]:
    """Name of the work → path and body."""

    scene, voice, music = (server.url(path.name) for path in (scene_clip(), song(24), song(60)))
    movie = {
        "project_id": "bench",
        "scene_videos": [
            {"scene_id": str(number), "video_url": scene, "sequence_number": number} for number in range(1, SCENES + 1)
        ],
        "master_audio": {"audio_url": voice},
    }
    smaller = {"output_settings": {"resolution": "720p"}}
    return {
        "length: 8 s of 1080p": ("/api/v1/length", {"media_url": scene}),
        "last frame: 8 s of 1080p": ("/api/v1/process", {"video_url": scene}),
        "last frame: 10 min, 517 MB": ("/api/v1/process", {"video_url": server.url(film().faststart.name)}),
        "stitch, copied: 3 x 8 s of 1080p": ("/api/v1/stitch", {"video_urls": [scene] * SCENES}),
        "stitch, encoded: 3 x 8 s of 1080p": (
            "/api/v1/stitch",
            {"video_urls": [scene] * SCENES, "strategy": "reencode"},
        ),
        "audio stitch: 2 x 24 s and a silence": ("/api/v1/audio-stitch", {"audio_urls": [voice, "empty:2.5", voice]}),
        "music track: 8 s of 1080p": ("/api/v1/music-track", {"video_url": scene, "music_url": music}),
        "assembly, copied: 3 x 8 s of 1080p": ("/api/v1/video/assemble-movie", movie),
        "assembly, encoded: 3 x 8 s to 720p": ("/api/v1/video/assemble-movie", movie | smaller),
    }


def run(suite: Suite, path: str, body: dict[str, Any]) -> Cost:
    cpu = suite.processes.cpu_seconds()
    with PeakMemory(suite.processes.pid) as memory:
        task = suite.watch(suite.request("POST", path, body)["task_id"])
    time.sleep(0.1)  # the child is being waited for
    cpu = suite.processes.cpu_seconds() - cpu
    urls = [str(task[name]) for name in task if name.endswith("_url") and "/media/" in str(task[name])]
    return Cost(
        cpu_seconds=cpu,
        in_bytes=task["metadata"]["bytes_fetched"],
        out_bytes=sum(_length(url) for url in urls),
        child_bytes=memory.peak_bytes,
    )


def _length(url: str) -> int:
    with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=10) as answer:
        return int(answer.headers["Content-Length"])


def recorded() -> dict[str, Cost]:
    return {name: Cost(**cost) for name, cost in json.loads(RECORD.read_text()).items()}


def typical(rounds: list[Cost]) -> Cost:
    return Cost(
        cpu_seconds=round(median([cost.cpu_seconds for cost in rounds]), 2),
        in_bytes=rounds[0].in_bytes,
        out_bytes=rounds[0].out_bytes,
        child_bytes=max(cost.child_bytes for cost in rounds),
    )


def rows(costs: dict[str, Cost]) -> list[tuple[str, ...]]:
    return [
        (
            name,
            f"{cost.cpu_seconds:.2f}",
            f"{cost.in_bytes / 1e6:.1f}",
            f"{cost.out_bytes / 1e6:.1f}",
            f"{cost.child_bytes / 2**20:.0f}",
            f"{cost.slot_seconds:.1f}",
        )
        for name, cost in costs.items()
    ]


COLUMNS = ("work", "CPU-seconds", "MB in", "MB out", "child's peak, MiB", "slot-seconds")


def record(found: dict[str, list[Cost]], order: list[str]) -> None:
    """Writes what was found over what is known; whatever else a run may still measure, this much is kept."""
    known = (recorded() if RECORD.exists() else {}) | {name: typical(rounds) for name, rounds in found.items()}
    text = json.dumps({name: asdict(known[name]) for name in order if name in known}, indent=1)
    RECORD.write_text(text + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--record", action="store_true", help=f"write {RECORD.name}; work that did not run keeps its own"
    )
    parser.add_argument("--only", default="", help="work whose name contains this")
    options = parser.parse_args()
    scene_clip(), song(24), song(60), film()  # made before anything is measured
    found: dict[str, list[Cost]] = {}
    with range_server(CACHE) as server, running_suite(MAX_CONCURRENT_TASKS="1") as suite:
        work = {name: job for name, job in jobs(server).items() if options.only in name}
        run(suite, *next(iter(work.values())))  # the first job of a process is dearer
        for _ in range(options.rounds):
            for name, (path, body) in work.items():
                found.setdefault(name, []).append(run(suite, path, body))
                print(f"{name}: {found[name][-1]}", file=sys.stderr, flush=True)
                if options.record:
                    record(found, list(jobs(server)))
        parent = suite.processes.resident_bytes()
    costs = {name: typical(measured) for name, measured in found.items()}
    print_table(f"One job of each kind, {options.rounds} rounds", COLUMNS, rows(costs))
    print(f"\nthe suite at rest: {parent >> 20} MiB (proportional set size of all its processes)")


if __name__ == "__main__":
    main()
