"""A task as its watchers see it, and its end by cancelling."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator

import grpc
import pytest
import requests
from google.protobuf.json_format import MessageToDict
from lastframe.tasks.v1 import tasks_pb2, tasks_pb2_grpc

from tests.conftest import Sources
from tests.support.receiver import Gate, Receiver
from tests.support.suite import KEY, METADATA, RunningSuite, descendants


@pytest.fixture
def gate(sources: Sources) -> Iterator[Gate]:
    with Gate(sources.files["video"].read_bytes()) as gate:
        yield gate


def stalling_after_open(sources: Sources, path: str) -> str:
    """A video that opens, and whose later ranges never come: the decoder waits for them."""
    body = sources.files["video"].read_bytes()
    body += (2**21).to_bytes(4, "big") + b"free" + bytes(2**21 - 8)

    def stall(resource: object, request: int) -> None:
        if request > 0:
            resource.stall_after = 0  # type: ignore[attr-defined]

    # Behind the padding the reader looks for what may follow.
    return sources.server.serve(path, body, change=stall)


def test_events_tell_every_state_and_end_with_the_last(suite: RunningSuite, sources: Sources, gate: Gate) -> None:
    task_id = suite.submit("/api/v1/process", {"video_url": gate.url("/a.mp4")})
    events = suite.events(task_id)
    seen = [next(events)]
    gate.next()
    while seen[-1]["status"] != "processing" or seen[-1]["phase"] != "fetching":
        seen.append(next(events))
    gate.let_through("/a.mp4")
    seen += events
    statuses = [task["status"] for task in seen]
    assert statuses == sorted(statuses, key=["pending", "processing", "completed"].index)
    assert statuses.count("completed") == 1
    assert statuses[-1] == "completed"
    assert seen[-1] == suite.status(task_id)
    shown = [task["progress"] for task in seen if task["status"] == "processing"]
    assert shown == sorted(shown)


def test_events_of_a_finished_task_are_its_end(suite: RunningSuite, sources: Sources) -> None:
    task = suite.completed("/api/v1/length", {"media_url": sources.speech})
    assert list(suite.events(task["task_id"])) == [task]


def test_watching_as_lines_of_json(suite: RunningSuite, sources: Sources) -> None:
    task_id = suite.submit("/api/v1/process", {"video_url": sources.video})
    reply = suite.call("GET", f"/api/v1/tasks/{task_id}/watch", stream=True)
    lines = [json.loads(line) for line in reply.iter_lines() if line]
    assert lines[-1] == suite.status(task_id)
    assert lines[-1]["status"] == "completed"


def test_a_slow_download_shows_its_progress(suite: RunningSuite, sources: Sources) -> None:
    body = bytes(120_000)
    slow = sources.server.serve("/slow.mp4", body, bytes_per_second=50_000)
    task_id = suite.submit("/api/v1/stitch", {"video_urls": [slow, sources.video]})
    seen = [task for task in suite.events(task_id) if task["status"] == "processing"]
    downloading = [task["progress"] for task in seen if task["phase"] == "downloading"]
    assert len(downloading) >= 2
    assert downloading == sorted(downloading)
    assert 0 < downloading[-1] <= 0.3


def test_watching_by_grpc(suite: RunningSuite, sources: Sources, gate: Gate) -> None:
    task_id = suite.submit("/api/v1/process", {"video_url": gate.url("/a.mp4")})
    with suite.channel() as channel:
        tasks = tasks_pb2_grpc.TasksServiceStub(channel)
        watch = tasks.WatchTask(tasks_pb2.WatchTaskRequest(task_id=task_id), metadata=METADATA, timeout=60)
        seen = [next(watch)]
        while seen[-1].status != "processing":
            seen.append(next(watch))
        gate.let_through("/a.mp4")
        seen += watch
        assert seen[-1].status == "completed"
        assert all(task.status in ("pending", "processing") for task in seen[:-1])
        got = tasks.GetTask(tasks_pb2.GetTaskRequest(task_id=task_id), metadata=METADATA)
    assert got == seen[-1]
    assert MessageToDict(got, preserving_proto_field_name=True)["image_url"] == suite.status(task_id)["image_url"]


def assert_cancelled(task: dict[str, object]) -> None:
    assert (task["status"], task["error"]) == ("failed", "cancelled")
    assert task["error_message"]
    assert not task.keys() & {"image_url", "metadata", "phase", "progress"}


def test_cancelling_a_running_job_ends_its_decoder_within_a_second(suite: RunningSuite, sources: Sources) -> None:
    before = descendants(suite.pid)
    task_id = suite.submit("/api/v1/process", {"video_url": stalling_after_open(sources, "/stalls.mp4")})
    for task in suite.events(task_id):  # the child reports phases of its own once it runs
        if task["status"] == "processing" and task["phase"] not in ("starting", "fetching"):
            break
    assert len(descendants(suite.pid)) == len(before) + 1

    events = suite.events(task_id)
    next(events)
    began = time.monotonic()
    reply = suite.call("DELETE", f"/api/v1/tasks/{task_id}")
    assert reply.status_code == 200
    assert_cancelled(reply.json())
    assert_cancelled(list(events)[-1])
    while len(descendants(suite.pid)) > len(before) and time.monotonic() < began + 20:
        time.sleep(0.01)
    stopped = time.monotonic() - began
    assert len(before - descendants(suite.pid)) == 1, "the child that ran the job is still there"
    assert stopped < 5, "the second that is promised, and what a busy machine adds"
    scratch = suite.directory / "scratch" / "suite."
    while list(scratch.iterdir()) and time.monotonic() < began + 20:
        time.sleep(0.01)
    assert list(scratch.iterdir()) == []
    assert_cancelled(suite.status(task_id))


def test_cancelling_by_grpc_is_announced(suite: RunningSuite, gate: Gate) -> None:
    with Receiver() as receiver, suite.channel() as channel:
        body = {"video_url": gate.url("/a.mp4"), "webhook_url": receiver.url()}
        task_id = suite.submit("/api/v1/process", body)
        suite.until(task_id, "processing")
        tasks = tasks_pb2_grpc.TasksServiceStub(channel)
        cancelled = tasks.CancelTask(tasks_pb2.CancelTaskRequest(task_id=task_id), metadata=METADATA)
        assert (cancelled.status, cancelled.error) == ("failed", "cancelled")
        payload = receiver.next().json
        assert (payload["task_id"], payload["status"], payload["error"]) == (task_id, "failed", "cancelled")
        with pytest.raises(grpc.RpcError) as refused:
            tasks.CancelTask(tasks_pb2.CancelTaskRequest(task_id=task_id), metadata=METADATA)
        assert refused.value.code() is grpc.StatusCode.ABORTED


def submit_with_key(suite: RunningSuite, body: dict[str, str], key: str) -> requests.Response:
    headers = {"Idempotency-Key": key, "Authorization": f"Bearer {KEY}"}
    return requests.post(suite.url + "/api/v1/process", json=body, headers=headers, timeout=30)


def test_the_same_idempotency_key_is_the_same_task(suite: RunningSuite, sources: Sources) -> None:
    first = submit_with_key(suite, {"video_url": sources.video}, "key-1")
    again = submit_with_key(suite, {"video_url": sources.video}, "key-1")
    assert first.status_code == again.status_code == 200
    assert first.json()["task_id"] == again.json()["task_id"]
    other = submit_with_key(suite, {"video_url": sources.other_video}, "key-1")
    assert (other.status_code, other.json()["error"]) == (409, "idempotency_conflict")
    quality = submit_with_key(suite, {"video_url": sources.video, "quality": 50}, "key-1")
    assert quality.status_code == 409
    assert submit_with_key(suite, {"video_url": sources.other_video}, "key-2").status_code == 200


def test_an_idempotency_key_used_at_once_makes_one_task(suite: RunningSuite, sources: Sources) -> None:
    replies: list[requests.Response] = []
    before = suite.get("/api/v1/server/stats")["tasks"]["total"]

    def submit() -> None:
        replies.append(submit_with_key(suite, {"video_url": sources.video}, "key-at-once"))

    threads = [threading.Thread(target=submit) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [reply.status_code for reply in replies] == [200] * 16
    assert len({reply.json()["task_id"] for reply in replies}) == 1
    assert suite.get("/api/v1/server/stats")["tasks"]["total"] == before + 1
