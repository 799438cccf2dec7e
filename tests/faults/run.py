"""`python -m tests.faults.run`: the proof by faults, seeded and bounded, on loopback.

    python -m tests.faults.run --seed 1                                      15 minutes: production, then embedded
    python -m tests.faults.run --backend production --minutes 2 --tasks 400 --seed 2 --without reconciler
    python -m tests.faults.run --backend production --minutes 2 --tasks 400 --seed 3 --zombies [--without fence]

Tasks of all six kinds are submitted evenly over the minutes while parts are killed and frozen; then everything is
mended, and every promise is checked. Exits 0 when all were kept. A control (`--without`) is expected to exit 1.

`--zombies` freezes only workers, for longer than their leases, with two of each feature: others take their tasks over,
and they wake up believing that they still hold them.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.faults.client import Client
from tests.faults.hurt import Injector, Severity, still_alive
from tests.faults.material import Material
from tests.faults.product import Embedded, Leftovers, Production
from tests.faults.verdict import Verdict, await_webhooks, judge, settle
from tests.support.http_server import NastyServer

DEFAULTS = {
    "production": (10.0, 2000, Severity((2.0, 5.0))),
    "embedded": (4.0, 1000, Severity((5.0, 12.0), kill_share=0.8)),
}
"""Minutes, tasks and severity of each backend's run."""

ZOMBIES = Severity((1.0, 3.0), freeze_seconds=(16.0, 22.0), kill_share=0.0, only="worker")
SUBMIT_GRACE_SECONDS = 120.0
DELAYED_SECONDS = 45.0  # a hint is put off for 30 s at most, when its task was running


@dataclass(frozen=True)
class Plan:
    backend: str
    minutes: float
    tasks: int
    seed: int
    without: str | None = None
    severity: Severity = DEFAULTS["production"][2]
    workers: int = 1
    patience_seconds: float = 60.0


@dataclass(frozen=True)
class Report:
    verdict: Verdict
    faults: Counter[str]
    submit_seconds: list[float]
    refusals: Counter[str]
    stop_seconds: float


def prove(plan: Plan, directory: Path) -> Report:
    """One run from a fresh start to a clean stop."""
    product: Production | Embedded
    if plan.backend == "production":
        product = Production(directory, plan.without, plan.workers)
    else:
        product = Embedded(directory, plan.without)
    try:
        with NastyServer() as sources:
            material = Material(directory / "material", sources, plan.seed)
            requests = [material.request() for _ in range(plan.tasks)]
            product.start()
            client = Client(product.program.url, requests, plan.minutes * 60, plan.seed)
            injector = Injector(product, plan.seed, plan.severity)
            client.start()
            end = time.monotonic() + plan.minutes * 60
            injector.run(until=lambda: time.monotonic() > end or client.error is not None)
            client.all_sent.wait(SUBMIT_GRACE_SECONDS)
            if client.error is not None:
                raise client.error
            tasks, seconds = asyncio.run(settle(product.program.url, client.heard, plan.patience_seconds))
            asyncio.run(await_webhooks(client.heard, tasks, plan.patience_seconds))
            leftovers = _last_leftovers(product)
            endings = product.endings()
            verdict = asyncio.run(judge(requests, client.heard, tasks, endings, leftovers))
            verdict.settle_seconds = seconds
            client.close()
            seen = injector.seen
            began = time.monotonic()
            product.program.stop()
            stop_seconds = time.monotonic() - began
            for pid in still_alive(seen):
                verdict.complain("process", str(pid))
            return Report(verdict, injector.faults, client.heard.submit_seconds, client.heard.refusals, stop_seconds)
    finally:
        product.stop()


def _last_leftovers(product: Production | Embedded) -> Leftovers:
    """What is still there once caches are made true (every five seconds) and delayed hints have come and gone."""
    end = time.monotonic() + DELAYED_SECONDS
    while True:
        time.sleep(6.0)
        leftovers = product.leftovers()
        if not leftovers.queued or time.monotonic() > end:
            return leftovers


def show(plan: Plan, report: Report) -> None:
    verdict = report.verdict
    without = f", without the {plan.without}" if plan.without else ""
    print(f"\n{plan.backend}{without}: seed {plan.seed}, {plan.minutes:g} minutes, {report.faults.total()} faults")
    kills = {name.partition(" ")[0] for name in report.faults}
    rows = [(name, report.faults[f"{name} SIGKILL"], report.faults[f"{name} SIGSTOP"]) for name in sorted(kills)]
    print("  faults (killed/frozen): " + ", ".join(f"{name} {killed}/{frozen}" for name, killed, frozen in rows))
    for name, count in verdict.counts.items():
        print(f"  {name:<20} {count:>6}")
    print(f"  failed after faults  {dict(verdict.failed_by_faults) or 0}")
    submits = sorted(report.submit_seconds)
    if submits:
        p99 = submits[int(len(submits) * 0.99)]
        print(f"  submit seconds       p50 {statistics.median(submits):.2f}, p99 {p99:.2f}, most {submits[-1]:.2f}")
    print(f"  refusals             {dict(report.refusals)}")
    print(f"  settled {verdict.settle_seconds:.1f} s after the last submit; stopped in {report.stop_seconds:.1f} s")
    for about, cases in verdict.wrong.items():
        print(f"  WRONG {about}: {len(cases)}")
        for case in cases[:8]:
            print(f"    {case[:600]}")
    print("  all promises kept" if not verdict.wrong else "  PROMISES BROKEN", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=tuple(DEFAULTS), help="one of them only; else both, one after the other")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--tasks", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--without", choices=("fence", "reconciler"))
    parser.add_argument("--zombies", action="store_true", help="freeze workers for longer than their leases")
    parser.add_argument("--keep", type=Path, help="a directory for the servers' files and logs, kept afterwards")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    broken = False
    for backend in [options.backend] if options.backend else DEFAULTS:
        minutes, tasks, severity = DEFAULTS[backend]
        plan = Plan(
            backend,
            options.minutes or minutes,
            options.tasks or tasks,
            options.seed,
            options.without,
            severity=ZOMBIES if options.zombies else severity,
            workers=2 if options.zombies else 1,
        )
        broken |= _proved_wrong(plan, options.keep)
    return int(broken)


def _proved_wrong(plan: Plan, keep: Path | None) -> bool:
    directory = keep / plan.backend if keep else Path(tempfile.mkdtemp(prefix="lastframe-faults-"))
    try:
        report = prove(plan, directory)
    finally:
        if keep is None:
            shutil.rmtree(directory, ignore_errors=True)
    show(plan, report)
    return bool(report.verdict.wrong)


if __name__ == "__main__":
    sys.exit(main())
