"""`python -m deploy.checks`: every rung over every overlay; prints a line each, exits 1 when anything is wrong.

`python -m deploy.checks metrics` writes the table of metrics into docs/operations.md again.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

from deploy.checks import core, invariants, linters, metrics, network, schemas, watching
from deploy.checks.objects import OVERLAYS, Object, render
from deploy.checks.tools import MissingProgram

RUNGS: tuple[tuple[str, Callable[[list[Object]], list[str]]], ...] = (
    ("schema", core.problems),
    ("invariants", invariants.problems),
    ("network", network.problems),
    ("custom resources", schemas.problems),
    ("watching", watching.problems),
    ("promtool", watching.promtool_problems),
    ("checkov", linters.checkov_problems),
)


def main() -> int:
    failed = False
    for overlay in OVERLAYS:
        try:
            objects = render(overlay)
        except (RuntimeError, MissingProgram) as error:
            _say(f"{overlay:9} {'kustomize':17} FAILED\n    {error}")
            failed = True
            continue
        _say(f"{overlay:9} {'kustomize':17} ok: {len(objects)} objects")
        for name, check in RUNGS:
            failed |= not _rung(overlay, name, lambda check=check, objects=objects: check(objects))
    failed |= not _rung("image", "hadolint", linters.hadolint_problems)
    return 1 if failed else 0


def _rung(subject: str, name: str, check: Callable[[], list[str]]) -> bool:
    began = time.monotonic()
    try:
        problems = check()
    except MissingProgram as error:
        # At home a missing program is no fault of the manifests; in CI it would be a check that nobody makes.
        required = bool(os.environ.get("CI")) and name not in linters.OPTIONAL
        _say(f"{subject:9} {name:17} {'FAILED' if required else 'skipped'}: {error}")
        return not required
    _say(f"{subject:9} {name:17} {'FAILED' if problems else 'ok'} ({time.monotonic() - began:.1f} s)")
    for problem in problems:
        _say(f"    {problem}")
    return not problems


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["metrics"]:
        metrics.update(watching.OPERATIONS)
        sys.exit(0)
    sys.exit(main())
