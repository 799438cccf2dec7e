"""What Prometheus is told moves with what happens: an alert on a number that nobody counts is silent for ever."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from deploy.checks.metrics import families
from tests.conftest import Sources
from tests.support.receiver import Receiver
from tests.support.suite import RunningSuite, free_port

ROOT = Path(__file__).resolve().parents[2]
NEED_A_GPU = {"lastframe_accelerator_fallbacks_total"}
NEED_A_FAULT = {"lastframe_leases_expired_total", "lastframe_child_crashes_total", "lastframe_redeliveries_total"}


class Scrape:
    """A suite and its `/metrics`."""

    def __init__(self, suite: RunningSuite, port: int) -> None:
        self.suite = suite
        self._url = f"http://127.0.0.1:{port}/metrics"

    def text(self) -> str:
        return requests.get(self._url, timeout=10).text

    def value(self, name: str, **labels: str) -> float:
        """Of a series, all that have these labels together; 0 where there is none."""
        return sum(
            sample.value
            for family in text_string_to_metric_families(self.text())
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def becomes(self, least: float, name: str, **labels: str) -> float:
        """The series' value, as soon as it is so much; some are measured only every few seconds."""
        deadline = time.monotonic() + 30
        while (value := self.value(name, **labels)) < least and time.monotonic() < deadline:
            time.sleep(0.1)
        return value


@pytest.fixture(scope="module")
def scrape(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scrape]:
    data = tmp_path_factory.mktemp("metrics") / "suite"
    suite = RunningSuite(data, drain_seconds="0", metrics_port=str(port := free_port()))
    assert port != suite.port
    with suite:
        yield Scrape(suite, port)


def test_a_job_that_ends_well_is_counted_and_timed(scrape: Scrape, sources: Sources) -> None:
    kind = "media_length"
    with Receiver() as receiver:
        scrape.suite.completed("/api/v1/length", {"media_url": sources.speech, "webhook_url": receiver.url()})
        receiver.next()
    assert scrape.value("lastframe_tasks_finished_total", kind=kind, error="") == 1
    assert scrape.value("lastframe_job_seconds_count", kind=kind, outcome="completed") == 1
    assert 0 < scrape.value("lastframe_job_seconds_sum", kind=kind, outcome="completed") < 60
    assert scrape.value("lastframe_job_phase_seconds_count", kind=kind) >= 1
    assert scrape.value("lastframe_job_wait_seconds_count", kind=kind) == 1
    assert scrape.value("lastframe_source_bytes_total", kind=kind) == sources.files["speech"].stat().st_size
    assert scrape.becomes(1, "lastframe_webhook_attempts_total", outcome="delivered") == 1
    assert scrape.value("lastframe_rpc_seconds_count", code="OK") >= 1
    assert scrape.value("lastframe_job_slots") == 10
    assert scrape.becomes(1, "lastframe_tasks", status="completed") == 1


def test_a_job_that_fails_is_counted_by_its_word(scrape: Scrape, sources: Sources) -> None:
    missing = sources.server.serve("/missing.mp4", status=404)
    scrape.suite.failed("/api/v1/process", {"video_url": missing})
    assert scrape.value("lastframe_tasks_finished_total", kind="last_frame", error="invalid_video_url") == 1
    assert scrape.value("lastframe_job_seconds_count", kind="last_frame", outcome="failed") == 1


def test_an_attempt_that_is_repeated_is_counted_once_as_a_retry(scrape: Scrape, sources: Sources) -> None:
    before = scrape.value("lastframe_tasks_finished_total", kind="media_length")
    broken = sources.server.serve("/shy.wav", sources.files["speech"], statuses=[503, 503, 503])
    scrape.suite.completed("/api/v1/length", {"media_url": broken})
    assert scrape.value("lastframe_task_retries_total", kind="media_length") == 1
    assert scrape.value("lastframe_tasks_finished_total", kind="media_length") == before + 1


def test_what_runs_and_what_it_holds_can_be_seen_and_a_cancel_is_counted(scrape: Scrape, sources: Sources) -> None:
    stalled = sources.server.serve("/stalled.mp4", bytes(4_000_000), stall_after=2_000_000, ranges=False)
    task_id = scrape.suite.submit("/api/v1/process", {"video_url": stalled})
    assert scrape.becomes(1_000_000, "lastframe_scratch_bytes") >= 1_000_000
    assert scrape.value("lastframe_jobs_running") == 1
    assert scrape.suite.call("DELETE", f"/api/v1/tasks/{task_id}").status_code == 200
    assert scrape.value("lastframe_tasks_finished_total", error="cancelled") == 1


def test_the_age_of_the_queue_grows_while_a_task_waits(scrape: Scrape, sources: Sources) -> None:
    """A retry's pause counts as waiting: nobody but the store's clock works on the task meanwhile."""
    broken = sources.server.serve("/down.wav", status=503)
    task_id = scrape.suite.submit("/api/v1/length", {"media_url": broken})
    assert scrape.becomes(0.5, "lastframe_queue_age_seconds") > 0
    scrape.suite.call("DELETE", f"/api/v1/tasks/{task_id}")


def test_what_alerts_wait_for_is_there_from_the_start(scrape: Scrape) -> None:
    """`increase()` sees nothing in a series that begins at 1."""
    text = scrape.text()
    for wanted in ('child_crashes_total{kind="video_stitch"}', 'webhook_attempts_total{outcome="given_up"}'):
        assert f"lastframe_{wanted} 0.0" in text
    for reason in ("nvdec_failed", "nvenc_failed", "crashed"):
        assert f'lastframe_accelerator_fallbacks_total{{reason="{reason}"}} 0.0' in text
    assert 'lastframe_accelerator_available{engine="nvdec"}' in text


def test_every_declared_metric_has_a_test_or_needs_what_a_test_here_cannot_have() -> None:
    named = set(re.findall(r"lastframe_[a-z_]+", Path(__file__).read_text()))
    at_start = {"lastframe_accelerator_available", "lastframe_gpu_utilization_percent"}
    for name, kind, _, _ in families():
        series = f"{name}_count" if kind == "histogram" else name
        assert series in named | NEED_A_GPU | NEED_A_FAULT | at_start, f"{name}: nothing shows that it moves"
