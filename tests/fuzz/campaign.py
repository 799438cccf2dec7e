"""Runs mutated inputs through the decoder pool, as the worker does, and keeps account of every end."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from shared.errors import LastFrameError
from shared.jobs.child import ChildPool
from tests.fuzz.mutations import mutate
from tests.fuzz.seeds import make_seeds
from tests.security.jobs import PRELOAD, Bench

# Length and last frame read whatever they are given; the others cost more and share that reading.
WEIGHTED_KINDS = (
    *("length",) * 5,
    *("last_frame",) * 5,
    *("audio_stitch",) * 2,
    *("stitch",) * 2,
    "music_video",
    "music_sound",
    "assembly_scene",
    "assembly_master",
)
DEADLINE_SECONDS = 20.0
GRACE_SECONDS = 8.0
MAX_DURATION_SECONDS = 15.0
MEMORY_LIMIT_BYTES = 1 << 30


@dataclass
class Report:
    """What a campaign came to.

    Attributes:
        ends: how often each job ended in each way (`finished` or the error's word).
        broken: inputs that ended by something that is not a `LastFrameError`, or past the deadline: bugs.
        crashed: inputs whose decoder child died or raised what the step did not foresee; contained, but worth a look.
        traces: the last lines of what the children raised unforeseen.
    """

    runs: int = 0
    seconds: float = 0.0
    ends: Counter[tuple[str, str]] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    crashed: list[str] = field(default_factory=list)
    traces: Counter[str] = field(default_factory=Counter)
    slowest_seconds: float = 0.0
    rss_bytes: list[int] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)
    descriptors: tuple[int, int] = (0, 0)

    def __str__(self) -> str:
        by_word: Counter[str] = Counter()
        for (_, word), count in self.ends.items():
            by_word[word] += count
        lines = [
            f"{self.runs} inputs in {self.seconds:.0f} s; slowest {self.slowest_seconds:.1f} s",
            "ends: " + ", ".join(f"{word} {count}" for word, count in by_word.most_common()),
            f"broken: {len(self.broken)}, contained crashes: {len(self.crashed)}, files left: {len(self.leftovers)}",
            f"parent: {self.rss_bytes[0] >> 20} -> {self.rss_bytes[-1] >> 20} MiB resident, "
            f"{self.descriptors[0]} -> {self.descriptors[1]} descriptors",
        ]
        lines += [f"  {line}" for line in (*self.broken, *self.crashed[:40])]
        lines += [f"  {count} x {trace}" for trace, count in self.traces.most_common(20)]
        return "\n".join(lines)


class _Traces(logging.Handler):
    """Collects where steps raised what they should have named."""

    def __init__(self, traces: Counter[str]) -> None:
        super().__init__(logging.INFO)
        self._traces = traces

    def emit(self, record: logging.LogRecord) -> None:
        lines = [line for line in record.getMessage().splitlines() if line.strip()]
        if lines and "shared.errors." not in lines[-1]:
            where = next((line.strip() for line in reversed(lines) if line.startswith('  File "')), "")
            self._traces[f"{where.rpartition('/')[2]} | {lines[-1][:120]}"] += 1


class Campaign:
    """One seeded run.

    Args:
        seed, index: input number `index` of seed `seed` is the same bytes and the same job on every machine with the
            same libraries.
        keep: where inputs that crashed a decoder or broke something are written.
    """

    def __init__(self, folder: Path, *, seed: int, keep: Path | None = None) -> None:
        self._bench = Bench(folder)
        self._inputs = folder / "inputs"
        self._inputs.mkdir()
        self._seed = seed
        self._keep = keep
        self._seeds = make_seeds()
        self.report = Report()

    async def run(self, count: int, *, seconds: float, at_once: int = 2, first: int = 0) -> Report:
        """Runs `count` inputs, or as many as begin within `seconds`."""
        logger = logging.getLogger("shared.jobs.child")
        logger.setLevel(logging.INFO)
        logger.propagate = False
        handler = _Traces(self.report.traces)
        logger.addHandler(handler)
        pool = ChildPool(preload=PRELOAD, warm=2, memory_limit_bytes=MEMORY_LIMIT_BYTES, sandbox="best-effort")
        await pool.start()
        began = time.monotonic()
        try:
            await self._one(pool, first)  # what is loaded once is not a leak
            before = _descriptors()
            numbers = iter(range(first + 1, first + count))
            await asyncio.gather(*(self._worker(pool, numbers, began + seconds) for _ in range(at_once)))
            self.report.descriptors = (before, _descriptors())
        finally:
            await pool.stop()
            logger.removeHandler(handler)
            logger.propagate = True
        self.report.seconds = time.monotonic() - began
        expected = {self._inputs, self._bench.folder / "video.mp4", self._bench.folder / "sound.wav"}
        self.report.leftovers = [str(path) for path in self._bench.folder.rglob("*") if path not in expected]
        return self.report

    async def _worker(self, pool: ChildPool, numbers, deadline: float) -> None:
        for number in numbers:
            if time.monotonic() > deadline:
                return
            await self._one(pool, number)

    async def _one(self, pool: ChildPool, number: int) -> None:
        random = Random(f"{self._seed}:{number}")
        kind = random.choice(WEIGHTED_KINDS)
        name, data = mutate(self._seeds, random)
        path = self._inputs / f"{number}.bin"
        path.write_bytes(data)
        label = f"input {number} ({name}, {kind})"
        began = time.monotonic()
        word = "finished"
        try:
            async with asyncio.timeout(DEADLINE_SECONDS + GRACE_SECONDS):
                await self._bench.run(
                    pool, kind, path, deadline_seconds=DEADLINE_SECONDS, max_duration_seconds=MAX_DURATION_SECONDS
                )
        except LastFrameError as error:
            word = error.word
            if word == "media_crashed":
                self.report.crashed.append(f"{label}: {error.detail}")
                self._save(path)
        except Exception as error:
            word = "BROKEN"
            self.report.broken.append(f"{label}: {error!r}")
            self._save(path)
        path.unlink()
        self.report.runs += 1
        self.report.ends[kind, word] += 1
        self.report.slowest_seconds = max(self.report.slowest_seconds, time.monotonic() - began)
        if self.report.runs % 100 == 1:
            self.report.rss_bytes.append(_resident_bytes())

    def _save(self, path: Path) -> None:
        if self._keep is not None:
            self._keep.mkdir(parents=True, exist_ok=True)
            (self._keep / path.name).write_bytes(path.read_bytes())


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
