"""Announcements of a task's end: repeated until they arrive, and recorded. (Signed, and after a restart:
`test_kill_and_restart`.)

The shared suite retries after 0.2, 0.4 and 0.8 s, each ±20 %.
"""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest

from tests.conftest import Sources
from tests.support.receiver import Gate, Receiver
from tests.support.suite import RunningSuite, free_port


def webhook_when(suite: RunningSuite, task_id: str, state: str) -> dict[str, Any]:
    """The task's webhook once it is in this state: the record follows the receiver's answer."""
    deadline = time.monotonic() + 30
    while True:
        webhook = suite.status(task_id)["webhook"]
        if webhook["state"] == state or time.monotonic() > deadline:
            assert webhook["state"] == state, webhook
            return dict(webhook)
        time.sleep(0.02)


def test_a_webhook_waits_for_the_end_of_its_task(suite: RunningSuite, sources: Sources) -> None:
    with Gate(sources.files["speech"].read_bytes()) as gate, Receiver() as receiver:
        body = {"media_url": gate.url("/a.wav"), "webhook_url": receiver.url()}
        task_id = suite.submit("/api/v1/length", body)
        gate.next()
        assert suite.status(task_id)["webhook"] == {"url": receiver.url(), "state": "waiting", "attempts": []}
        gate.let_through("/a.wav")
        post = receiver.next()
        assert post.headers["content-type"] == "application/json"
        assert post.headers["webhook-id"] == f"{task_id}.completed"
        assert abs(int(post.headers["webhook-timestamp"]) - time.time()) < 10
        webhook = webhook_when(suite, task_id, "delivered")
    (attempt,) = webhook["attempts"]
    assert attempt.keys() == {"at", "duration_seconds", "http_status"}
    assert attempt["http_status"] == 200


def test_a_receiver_in_trouble_is_tried_again(suite: RunningSuite, sources: Sources) -> None:
    with Receiver([500, 429, 408]) as receiver:
        body = {"media_url": sources.speech, "webhook_url": receiver.url()}
        task_id = suite.submit("/api/v1/length", body)
        posts, times = [], []
        for _ in range(4):
            posts.append(receiver.next())
            times.append(time.monotonic())
        webhook = webhook_when(suite, task_id, "delivered")
    waits = [after - before for before, after in itertools.pairwise(times)]
    assert len({post.body for post in posts}) == 1
    assert len({post.headers["webhook-id"] for post in posts}) == 1
    assert [attempt["http_status"] for attempt in webhook["attempts"]] == [500, 429, 408, 200]
    assert all("error" in attempt for attempt in webhook["attempts"][:3])
    # Between the schedule less its jitter, and that and the half second at which due webhooks are looked for.
    assert waits[0] >= 0.15
    assert waits[2] >= 0.6


def test_a_refused_connection_is_tried_again(suite: RunningSuite, sources: Sources) -> None:
    port = free_port()
    body = {"media_url": sources.speech, "webhook_url": f"http://127.0.0.1:{port}/hook"}
    task_id = suite.submit("/api/v1/length", body)
    suite.until(task_id, "completed")
    deadline = time.monotonic() + 30
    while not (webhook := suite.status(task_id)["webhook"])["attempts"] and time.monotonic() < deadline:
        time.sleep(0.02)
    assert webhook["state"] == "pending"
    assert webhook["next_attempt_at"].endswith("Z")
    with Receiver(port=port) as receiver:
        assert receiver.next().json["task_id"] == task_id
        webhook = webhook_when(suite, task_id, "delivered")
    first, *_, last = webhook["attempts"]
    assert "http_status" not in first
    assert first["error"]
    assert last["http_status"] == 200


@pytest.mark.parametrize(("status", "tries"), [(400, 1), (410, 1), (302, 1), (503, 4)])
def test_what_is_given_up(suite: RunningSuite, sources: Sources, status: int, tries: int) -> None:
    with Receiver([status] * 10) as receiver:
        task_id = suite.submit("/api/v1/length", {"media_url": sources.speech, "webhook_url": receiver.url()})
        for _ in range(tries):
            receiver.next()
        webhook = webhook_when(suite, task_id, "failed")
        assert receiver.is_quiet(0.6)
    assert [attempt["http_status"] for attempt in webhook["attempts"]] == [status] * tries
    assert "next_attempt_at" not in webhook


def test_one_registered_on_a_finished_task_is_sent_at_once(suite: RunningSuite, sources: Sources) -> None:
    task_id = suite.completed("/api/v1/length", {"media_url": sources.speech})["task_id"]
    with Receiver() as receiver:
        suite.call("POST", "/api/v1/webhook", json={"task_id": task_id, "webhook_url": receiver.url()})
        assert receiver.next().json["task_id"] == task_id
        webhook_when(suite, task_id, "delivered")


def test_one_registered_while_the_job_runs_replaces_the_first(suite: RunningSuite, sources: Sources) -> None:
    with Gate(sources.files["speech"].read_bytes()) as gate, Receiver() as receiver:
        body = {"media_url": gate.url("/a.wav"), "webhook_url": receiver.url("/first")}
        task_id = suite.submit("/api/v1/length", body)
        gate.next()
        suite.call("POST", "/api/v1/webhook", json={"task_id": task_id, "webhook_url": receiver.url("/second")})
        gate.let_through("/a.wav")
        assert receiver.next().path == "/second"
        webhook_when(suite, task_id, "delivered")
        assert receiver.is_quiet(0.5)
