"""Slots, pods, waits and dollars for a number of jobs a day, from what `bench/kinds.py` measured.

    python -m bench.capacity                    the tables of docs/capacity.md, as markdown
    python -m bench.capacity --write            puts them into the page
    python -m bench.capacity --slot-seconds 3   a mix whose jobs take so long on the mean

A day is simulated (`bench/support/autoscaler.py`); the rest is arithmetic on the constants below.
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from bench.kinds import COLUMNS, Cost, recorded, rows
from bench.support.autoscaler import DAY_SECONDS, PEAK_OVER_MEAN, Mix, Result, simulate

PAGE = Path(__file__).parents[1] / "docs" / "capacity.md"

MIX = {
    "length: 8 s of 1080p": 0.20,
    "last frame: 8 s of 1080p": 0.38,
    "last frame: 10 min, 517 MB": 0.02,
    "stitch, copied: 3 x 8 s of 1080p": 0.16,
    "stitch, encoded: 3 x 8 s of 1080p": 0.04,
    "audio stitch: 2 x 24 s and a silence": 0.08,
    "music track: 8 s of 1080p": 0.06,
    "assembly, copied: 3 x 8 s of 1080p": 0.05,
    "assembly, encoded: 3 x 8 s to 720p": 0.01,
}
"""Shares of the jobs: an assumption, and the only one about what clients ask."""
FEATURES = {"length": "probe", "last frame": "frames", "stitch": "stitch", "audio stitch": "audio",
            "music track": "audio", "assembly": "assembly"}  # fmt: skip

CORES_OF_A_SLOT = 1.0
CORE_HOUR_DOLLARS = 0.04
"""On demand, general purpose, with 4 GiB of memory a core."""
STORE_WRITES_OF_A_JOB = 5
"""Submit, claim, progress, end, webhook; a long job writes its progress twice a second."""
JOBS_A_DAY = (10_000, 1_000_000, 100_000_000)
STORED_DAYS, STORED_GIB_MONTH_DOLLARS = 7, 0.015


def the_mix(mean_slot_seconds: float | None = None) -> Mix:
    """The mix as measured, or with all its times stretched to this mean."""
    costs = recorded()
    shares = np.array(list(MIX.values()))
    takes = np.array([costs[name].slot_seconds for name in MIX])

    def mean(value: Callable[[Cost], float]) -> float:
        return sum(share * value(costs[name]) for name, share in MIX.items())

    if mean_slot_seconds is not None:
        takes = takes * (mean_slot_seconds / float(shares @ takes))
    return Mix(
        shares,
        takes,
        mean(lambda cost: cost.cpu_seconds),
        mean(lambda cost: cost.in_bytes),
        mean(lambda cost: cost.out_bytes),
    )


def ceiling(jobs_a_day: int, mix: Mix, share: float, slots: int = 2) -> int:
    """Pods that hold `share` of the slots which are busy at the usual (not the burst's) peak."""
    return max(2, math.ceil(jobs_a_day / DAY_SECONDS * PEAK_OVER_MEAN * mix.slot_seconds * share / slots))


def waited(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def markdown(columns: Sequence[str], table: Sequence[Sequence[object]]) -> str:
    lines = [list(columns), ["---"] * len(columns), *table]
    return "".join("| " + " | ".join(str(cell) for cell in line) + " |\n" for line in lines).replace("| --- ", "|---")


def work_table() -> str:
    return markdown(COLUMNS, rows(recorded()))


def mix_table(mix: Mix) -> str:
    """By feature: its share, and what a million jobs of the mix a day keep busy at the usual peak."""
    costs, peak = recorded(), 1_000_000 / DAY_SECONDS * PEAK_OVER_MEAN
    shares: dict[str, float] = {}
    busy: dict[str, float] = {}
    for (name, share), takes in zip(MIX.items(), mix.takes, strict=True):
        feature = FEATURES[re.split("[:,]", name)[0]]
        shares[feature] = shares.get(feature, 0.0) + share
        busy[feature] = busy.get(feature, 0.0) + share * peak * takes
    lines = [
        (feature, f"{share:.0%}", f"{busy[feature] / share / peak:.2f}", math.ceil(busy[feature]))
        for feature, share in sorted(shares.items(), key=lambda item: -busy[item[0]])
    ]
    total = ("all", "100%", f"{mix.slot_seconds:.2f}", math.ceil(sum(busy.values())))
    assert set(costs) >= set(MIX)
    return markdown(
        ("feature", "share", "slot-seconds a job", "slots busy at the peak of a million a day"), [*lines, total]
    )


def days_table(days: Mapping[int, Result]) -> str:
    lines = []
    for jobs, found in days.items():
        cost = found.mean_pods * 2 * CORES_OF_A_SLOT * CORE_HOUR_DOLLARS * 730
        lines.append(
            (
                f"{jobs:,}",
                f"{found.peak_per_second:,.1f}",
                f"{found.peak_pods:,}",
                f"{found.peak_pods * 2:,}",
                f"{found.mean_pods:,.1f}",
                f"{found.busy_share:.0%}",
                waited(found.wait_p50_seconds),
                waited(found.wait_p99_seconds),
                waited(found.worst_wait_seconds),
                f"${cost:,.0f}",
            )
        )
    return markdown(
        (
            "jobs/day",
            "peak/s",
            "pods, most",
            "slots, most",
            "pods, mean",
            "busy",
            "wait p50",
            "wait p99",
            "worst",
            "$ a month",
        ),
        lines,
    )


def ceilings_table(mix: Mix) -> str:
    """A million a day under other ceilings (`maxReplicaCount`), as a multiple of the usual peak's busy slots."""
    lines = []
    for share in (1.2, 1.5, 2.0, 3.0, math.inf):
        most = 100_000 if math.isinf(share) else ceiling(1_000_000, mix, share)
        found = simulate(1_000_000, mix, maximum=most)
        lines.append(
            (
                "none" if math.isinf(share) else f"{share:g} x",
                f"{found.peak_pods:,}",
                f"{found.mean_pods:,.1f}",
                waited(found.wait_p50_seconds),
                waited(found.wait_p99_seconds),
                waited(found.worst_wait_seconds),
            )
        )
    return markdown(("ceiling", "pods, most", "pods, mean", "wait p50", "wait p99", "worst"), lines)


def flows_table(mix: Mix, days: Mapping[int, Result]) -> str:
    lines = []
    for jobs, found in days.items():
        stored = jobs * STORED_DAYS * mix.out_bytes
        gigabits = [jobs * size * 8 / DAY_SECONDS / 1e9 for size in (mix.in_bytes, mix.out_bytes)]
        lines.append(
            (
                f"{jobs:,}",
                f"{gigabits[0]:.3g} Gb/s",
                f"{gigabits[1]:.3g} Gb/s",
                f"{gigabits[0] * found.peak_per_second / (jobs / DAY_SECONDS):.3g} Gb/s",
                f"{found.peak_per_second * STORE_WRITES_OF_A_JOB:,.0f}",
                f"{stored / 1e12:,.2f} TB",
                f"${stored / 2**30 * STORED_GIB_MONTH_DOLLARS:,.0f}",
            )
        )
    return markdown(
        (
            "jobs/day",
            "in, mean",
            "out, mean",
            "in, within the burst",
            "store writes/s, peak",
            f"stored at {STORED_DAYS} days",
            "stored, a month",
        ),
        lines,
    )


def tables(mix: Mix) -> dict[str, str]:
    """Name → markdown; the page has `<!-- table: NAME -->` above each."""
    days = {jobs: simulate(jobs, mix, maximum=ceiling(jobs, mix, 2.0)) for jobs in JOBS_A_DAY}
    return {
        "work": work_table(),
        "mix": mix_table(mix),
        "days": days_table(days),
        "ceilings": ceilings_table(mix),
        "flows": flows_table(mix, days),
    }


def in_page(text: str) -> dict[str, str]:
    """The tables that the page has."""
    return dict(re.findall(r"<!-- table: (\w+) -->\n\n((?:\|.*\n)*)", text))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slot-seconds", type=float, help="of a job of the mix, instead of the measured ones")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {PAGE.name}")
    options = parser.parse_args()
    mix = the_mix(options.slot_seconds)
    print(
        f"Mix: {mix.slot_seconds:.2f} slot-seconds and {mix.cpu_seconds:.2f} CPU-seconds a job,"
        f" {mix.in_bytes / 1e6:.1f} MB in, {mix.out_bytes / 1e6:.1f} MB out."
    )
    for name, table in tables(mix).items():
        print(f"\n{name}\n\n{table}", end="")
        if options.write:
            text = PAGE.read_text()
            old = f"<!-- table: {name} -->\n\n{in_page(text)[name]}"
            PAGE.write_text(text.replace(old, f"<!-- table: {name} -->\n\n{table}"))


if __name__ == "__main__":
    main()
