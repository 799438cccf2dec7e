"""docs/capacity.md against the figures that were recorded, and the simulation against arithmetic that needs none."""

from __future__ import annotations

import numpy as np
import pytest

from bench.capacity import MIX, PAGE, in_page, tables, the_mix
from bench.kinds import recorded
from bench.support.autoscaler import Mix, simulate


@pytest.mark.slow
def test_the_page_s_tables_are_what_the_script_prints_from_the_record() -> None:
    """`python -m bench.capacity --write` renews them."""
    printed = tables(the_mix())
    assert in_page(PAGE.read_text()) == printed
    assert len(printed) == 5


def test_the_mix_is_whole_and_measured() -> None:
    assert sum(MIX.values()) == pytest.approx(1)
    assert set(MIX) == set(recorded())
    for name, cost in recorded().items():
        assert cost.slot_seconds > 0 and cost.cpu_seconds > 0 and cost.in_bytes > 0, name
        assert cost.child_bytes > 2**20, name


def test_a_pool_of_one_pod_that_is_enough_makes_hardly_anybody_wait() -> None:
    """1000 jobs a day of one second on two slots: at the burst's peak a fifteenth of a slot is busy."""
    found = simulate(1000, Mix(np.array([1.0]), np.array([1.0]), 0, 0, 0), maximum=1)
    assert (found.peak_pods, found.mean_pods) == (1, 1.0)
    assert found.busy_share == pytest.approx(1000 / (2 * 86400), rel=0.1)
    assert found.wait_p99_seconds < 1


def test_a_pool_that_is_too_small_lets_jobs_wait_for_hours() -> None:
    found = simulate(100_000, Mix(np.array([1.0]), np.array([2.0]), 0, 0, 0), maximum=1)
    assert found.busy_share > 0.75  # all of the day but its first hours
    assert found.worst_wait_seconds > 3600


def test_time_stretches_with_the_mean() -> None:
    assert the_mix(7.0).slot_seconds == pytest.approx(7.0)
