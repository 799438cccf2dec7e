"""`python -m tests.fuzz [--count N] [--seed S] [--minutes M]`; the exit status is 1 when something broke."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.fuzz.campaign import Campaign


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=45.0)
    parser.add_argument("--first", type=int, default=0, help="begin at this input, to see one again")
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--keep", type=Path, default=Path(".fuzz"), help="where inputs that crashed a decoder go")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(Path(folder), seed=given.seed, keep=given.keep)
        report = asyncio.run(
            campaign.run(given.count, seconds=given.minutes * 60, at_once=given.at_once, first=given.first)
        )
    print(report)
    return 1 if report.broken or report.leftovers else 0


if __name__ == "__main__":
    sys.exit(main())
