"""Load and soak: jobs of all kinds, one in ten with a bad input, many in flight, from a second process.

    python -m bench.soak [--jobs 2000] [--in-flight 64]

Every job must end as it should: good inputs completed, bad ones failed with a sentence, none lost. Meanwhile a third
process asks for `/health` and a task's status over kept connections. At 10 % and at 100 % of the jobs it reads the
suite's resident memory, descriptors and scratch. The exit status is 1 when a job was lost or ended wrongly.

Waits are from the task's own times: stored → claimed; runs: claimed → stored as ended.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.client import HTTPConnection
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import aiohttp

from bench.support.range_server import RangeServer, range_server
from bench.support.suite import HEADERS, HOST, Suite, running_suite
from bench.support.table import milliseconds, percentile, print_table
from tests.security.attack_files import honest_sound, references, rubbish
from tests.support.clips import ClipRecipe, make_clip

POLL_SECONDS = 1.0
PROBE_SECONDS = 0.05
BAD_SHARE = 0.1
END_SECONDS = 900.0
IDLE_SECONDS = 5.0
Answers = dict[str, dict[str, list[float]]]
WEIGHTS = {"last_frame": 6, "length": 6, "audio_stitch": 3, "stitch": 2, "music": 2, "assembly": 1}


@dataclass(frozen=True)
class Usage:
    """What the suite's parent process holds."""

    resident_bytes: int
    descriptors: int
    scratch_files: int
    processes_bytes: int

    @classmethod
    def of(cls, suite: Suite) -> Usage:
        pid = suite.processes.pid
        status = Path(f"/proc/{pid}/status").read_text()
        resident = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return cls(
            resident_bytes=int(resident.split()[1]) * 1024,
            descriptors=len(list(Path(f"/proc/{pid}/fd").iterdir())),
            scratch_files=sum(1 for path in (suite.data_directory / "scratch").rglob("*") if path.is_file()),
            processes_bytes=suite.processes.resident_bytes(),
        )


@dataclass
class Account:
    """What became of the jobs."""

    ended: int = 0
    wrong: list[str] = field(default_factory=list)
    words: Counter[str] = field(default_factory=Counter)
    waits: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    runs: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


def make_media(folder: Path) -> list[str]:
    """Writes the good inputs and returns the names of the bad ones."""
    make_clip(folder / "clip.mp4", ClipRecipe(size=(320, 180), frames=60))
    make_clip(folder / "other.mp4", ClipRecipe(size=(320, 180), frames=45, hue=60))
    (folder / "sound.wav").write_bytes(honest_sound())
    names = []
    for attack in [*rubbish(), *references(Path("/etc/hostname"), "http://127.0.0.1:9/x")]:
        if "length" not in attack.finishes:
            (folder / f"bad-{attack.name}.mp4").write_bytes(attack.body)
            names.append(f"bad-{attack.name}.mp4")
    return names


def request_of(kind: str, server: RangeServer, bad: str | None) -> tuple[str, dict[str, Any]]:
    clip, other, sound = (server.url(name) for name in ("clip.mp4", "other.mp4", "sound.wav"))
    video = server.url(bad) if bad else clip
    match kind:
        case "last_frame":
            return "/api/v1/process", {"video_url": video}
        case "length":
            return "/api/v1/length", {"media_url": video}
        case "audio_stitch":
            return "/api/v1/audio-stitch", {"audio_urls": [sound, "empty:0.5", server.url(bad) if bad else sound]}
        case "stitch":
            return "/api/v1/stitch", {"video_urls": [other, video]}
        case "music":
            return "/api/v1/music-track", {"video_url": video, "music_url": sound}
    scenes = [{"scene_id": "a", "video_url": video, "sequence_number": 1}]
    return "/api/v1/video/assemble-movie", {
        "project_id": "soak",
        "scene_videos": scenes,
        "master_audio": {"audio_url": sound},
    }


async def one_job(
    session: aiohttp.ClientSession, base: str, kind: str, path: str, body: Any, is_bad: bool, account: Account
) -> None:
    async with session.post(base + path, json=body) as reply:
        accepted = await reply.json()
        if reply.status != 200:
            account.wrong.append(f"{kind}: submit answered {reply.status} {accepted}")
            return
    deadline = time.monotonic() + END_SECONDS
    while time.monotonic() < deadline:
        async with session.get(f"{base}/api/v1/status/{accepted['task_id']}") as reply:
            task = await reply.json()
        if task["status"] in ("completed", "failed"):
            break
        await asyncio.sleep(POLL_SECONDS)
    account.words[task.get("error", task["status"])] += 1
    if task["status"] != ("failed" if is_bad else "completed") or (is_bad and not task.get("error_message")):
        account.wrong.append(f"{kind} {'bad' if is_bad else 'good'}: {task}")
    else:
        account.ended += 1
    created, started, ended = (_moment(task.get(name)) for name in ("created_at", "started_at", "completed_at"))
    if started and ended and created:
        account.waits[kind].append(started - created)
        account.runs[kind].append(ended - started)


def _moment(text: str | None) -> float:
    return datetime.fromisoformat(text).timestamp() if text else 0.0


async def soak(suite: Suite, server: RangeServer, bad: list[str], jobs: int, in_flight: int) -> tuple[Account, Usage]:
    """Runs the jobs; returns their account and the usage at 10 %."""
    chooser = random.Random(7)
    kinds = chooser.choices(list(WEIGHTS), list(WEIGHTS.values()), k=jobs)
    account = Account()
    at_tenth: list[Usage] = []
    base = f"http://{HOST}:{suite.port}"
    numbers = iter(range(jobs))

    async def client(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            is_bad = number % round(1 / BAD_SHARE) == 3
            path, body = request_of(kinds[number], server, chooser.choice(bad) if is_bad else None)
            await one_job(session, base, kinds[number], path, body, is_bad, account)
            if not at_tenth and sum(account.words.values()) >= jobs / 10:
                at_tenth.append(Usage.of(suite))

    async with aiohttp.ClientSession(headers=HEADERS, connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(client(session) for _ in range(in_flight)))
    return account, at_tenth[0]


def probe(port: int, task_id: str, pipe: Connection) -> None:
    """Asks until told to stop; sends the seconds that each answer took, by path."""
    connection = HTTPConnection(HOST, port, timeout=30)
    seconds: dict[str, list[float]] = {"/health": [], "/api/v1/status/{task_id}": []}
    pipe.send("begun")
    while not pipe.poll(PROBE_SECONDS):
        for name, taken in seconds.items():
            began = time.perf_counter()
            connection.request("GET", name.format(task_id=task_id), headers=HEADERS)
            reply = connection.getresponse()
            reply.read()
            taken.append(time.perf_counter() - began if reply.status == 200 else 30.0)
    pipe.send(seconds)


@contextmanager
def probing(port: int, task_id: str) -> Iterator[dict[str, list[float]]]:
    """Seconds by path, filled in at the end."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=probe, args=(port, task_id, theirs), daemon=True)
    process.start()
    taken: dict[str, list[float]] = {}
    ours.recv()
    yield taken
    ours.send("stop")
    taken.update(ours.recv())
    process.join()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--in-flight", type=int, default=64)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-soak-") as folder:
        bad = make_media(Path(folder))
        with range_server(Path(folder)) as server, running_suite() as suite:
            first = suite.submit(server.url("clip.mp4"))
            suite.poll(first, POLL_SECONDS)
            begin = Usage.of(suite)
            with probing(suite.port, first) as idle:
                time.sleep(IDLE_SECONDS)
            with probing(suite.port, first) as busy:
                began = time.monotonic()
                account, tenth = asyncio.run(soak(suite, server, bad, given.jobs, given.in_flight))
                took = time.monotonic() - began
            full = Usage.of(suite)
            time.sleep(3)
            after = Usage.of(suite)
            stats = suite.request("GET", "/api/v1/server/stats")["tasks"]
    answers = {"idle": idle, "under load": busy}
    report(given, took, account, answers, {"before": begin, "at 10 %": tenth, "at 100 %": full, "3 s after": after})
    print("tasks by the suite's own count:", stats)
    lost = given.jobs - sum(account.words.values())
    return 1 if account.wrong or lost or stats["pending"] or stats["processing"] else 0


def report(given: Any, took: float, account: Account, answers: Answers, usage: dict[str, Usage]) -> None:
    lost = given.jobs - sum(account.words.values())
    print(f"{given.jobs} jobs at {given.in_flight} in flight in {took:.0f} s ({given.jobs / took:.1f} a second)")
    print(f"as they should: {account.ended}, wrong: {len(account.wrong)}, lost: {lost}")
    print("ends:", ", ".join(f"{word} {count}" for word, count in account.words.most_common()))
    for line in account.wrong[:10]:
        print(" ", line)
    print_table(
        "Waits and runs by kind, seconds",
        ("kind", "jobs", "wait p50", "wait p99", "run p50", "run p99"),
        [
            (
                kind,
                len(runs),
                *(f"{percentile(values, p):.2f}" for values in (account.waits[kind], runs) for p in (50, 99)),
            )
            for kind, runs in sorted(account.runs.items())
        ],
    )
    print_table(
        "Answers meanwhile, milliseconds",
        ("request", "when", "asked", "p50", "p99", "max"),
        [
            (name, when, len(taken), *(milliseconds(percentile(taken, p)) for p in (50, 99, 100)))
            for when, by_name in answers.items()
            for name, taken in by_name.items()
        ],
    )
    print_table(
        "What the suite holds",
        ("when", "parent RSS MiB", "all processes PSS MiB", "parent's descriptors", "scratch files"),
        [
            (when, one.resident_bytes >> 20, one.processes_bytes >> 20, one.descriptors, one.scratch_files)
            for when, one in usage.items()
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
