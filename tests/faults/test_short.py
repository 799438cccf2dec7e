"""A short proof by faults on real servers; `make faults` runs the long ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.stack.process import MissingProgram
from tests.faults.hurt import Severity
from tests.faults.run import Plan, prove
from tests.support.missing import missing


@pytest.mark.server
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_promise_breaks_while_parts_die(tmp_path: Path) -> None:
    plan = Plan("production", minutes=0.4, tasks=100, seed=7, severity=Severity((1.5, 3.5)))
    try:
        report = prove(plan, tmp_path)
    except MissingProgram as error:
        missing(str(error))
    assert report.faults.total() >= 5
    assert report.verdict.counts["accepted"] == 100
    assert report.verdict.wrong == {}
