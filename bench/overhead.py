"""What the service adds to the media function: jobs through REST, one after another, on a 5-second clip.

    python -m bench.overhead [--jobs 100]

Each round runs, in turn: the bare function in a warm process; a job seen through the event stream; a job seen by
polling its status every 50 ms. All three fetch the same clip (720p, 30 frames a second, H.264) over loopback.
Overhead is the difference to the bare function. The guide's own client looks every 5 s, so it sees a job when the
next multiple of 5 s has passed: that row is arithmetic on the event stream's times.

CPU is the mean of a job: of this process for the bare function; of the suite's whole tree, Envoy and the child that
was forked ahead for the next job included, for jobs seen through events.

The second table splits the jobs seen through events, from the times in the finished task and this clock (the same
machine's).
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from bench.support.bare import bare_media
from bench.support.clips import short_clip
from bench.support.peers import CACHE
from bench.support.range_server import range_server
from bench.support.suite import Suite, running_suite
from bench.support.table import median, milliseconds, percentile, print_table

POLL_SECONDS = 0.05
GUIDE_POLL_SECONDS = 5.0
WARM_UP_JOBS = 3
EVENTS = "through REST, event stream"


def split(suite: Suite, url: str) -> tuple[float, float, dict[str, float]]:
    """One job seen through events: its seconds, its CPU seconds, and where the time went."""
    cpu = suite.processes.cpu_seconds()
    submitted, began = time.time(), time.perf_counter()
    task_id = suite.submit(url)
    answered = time.perf_counter() - began
    task = suite.watch(task_id)
    whole = time.perf_counter() - began
    time.sleep(0.05)  # the child is being waited for
    cpu = suite.processes.cpu_seconds() - cpu
    created, started, completed = (_moment(task[name]) for name in ("created_at", "started_at", "completed_at"))
    metadata: dict[str, Any] = task["metadata"]
    job = metadata["processing_time"]
    parts = {
        "submit: request to answer": answered,
        "wait in the queue: stored to claimed": started - created,
        "the job itself (processing_time)": job,
        **{f"- phase {name}": seconds for name, seconds in metadata["phase_seconds"].items()},
        "around the job: claimed to stored as completed, less the job": completed - started - job,
        "seen: stored as completed to the client's event": submitted + whole - completed,
    }
    return whole, cpu, parts


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def print_times(bare: Sequence[float], seen: dict[str, Sequence[float]], cpu: Sequence[tuple[float, float]]) -> None:
    cpu_bare, cpu_job = (sum(column) / len(cpu) for column in zip(*cpu, strict=True))
    first = milliseconds(median(bare)), milliseconds(percentile(bare, 99))
    rows: list[tuple[object, ...]] = [("bare media function", *first, "-", "-", milliseconds(cpu_bare))]
    for name, times in seen.items():
        over = (median(times) - median(bare), percentile(times, 99) - percentile(bare, 99))
        rows.append(
            (
                name,
                milliseconds(median(times)),
                milliseconds(percentile(times, 99)),
                milliseconds(over[0]),
                milliseconds(over[1]),
                milliseconds(cpu_job) if times is seen[EVENTS] else "",
            )
        )
    print_table(
        f"A last-frame job on a 5-second clip, {len(bare)} of each in turn",
        ("submit to completed", "p50 ms", "p99 ms", "over bare, p50 ms", "over bare, p99 ms", "CPU ms"),
        rows,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=100, help="of each kind")
    options = parser.parse_args()
    clip = short_clip()
    bare_times: list[float] = []
    events: list[float] = []
    polled: list[float] = []
    cpu_seconds: list[tuple[float, float]] = []
    parts: dict[str, list[float]] = {}
    with range_server(CACHE) as server, running_suite() as suite, bare_media() as bare:
        url = server.url(clip.name)
        for round_ in range(options.jobs + WARM_UP_JOBS):
            alone = bare.extract(url)
            seconds, cpu, where = split(suite, url)
            began = time.perf_counter()
            task = suite.poll(suite.submit(url), POLL_SECONDS)
            until_seen = time.perf_counter() - began
            assert task["metadata"]["sha256"] == alone.result.sha256
            if round_ < WARM_UP_JOBS:
                continue
            bare_times.append(alone.wall_seconds)
            events.append(seconds)
            cpu_seconds.append((alone.cpu_seconds, cpu))
            polled.append(until_seen)
            for name, spent in where.items():
                parts.setdefault(name, []).append(spent)
    guide = [math.ceil(seconds / GUIDE_POLL_SECONDS) * GUIDE_POLL_SECONDS for seconds in events]
    print_times(
        bare_times,
        {
            EVENTS: events,
            f"through REST, polling every {POLL_SECONDS * 1000:.0f} ms": polled,
            "through REST, the guide's 5 s (arithmetic)": guide,
        },
        cpu_seconds,
    )
    print_table(
        f"Where the time goes ({clip.stat().st_size / 1e6:.1f} MB clip, jobs seen through events)",
        ("part", "p50 ms", "p99 ms"),
        [(name, milliseconds(median(times)), milliseconds(percentile(times, 99))) for name, times in parts.items()],
    )


if __name__ == "__main__":
    main()
