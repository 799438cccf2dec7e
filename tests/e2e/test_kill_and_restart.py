"""SIGKILL in the middle of fifty jobs, and a restart on the same data directory."""

from __future__ import annotations

import base64
import io
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from PIL import Image
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.conftest import Sources
from tests.support.receiver import Receiver
from tests.support.suite import RunningSuite, descendants, free_port

JOBS = 50
KILL_AFTER = 10
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
SETTINGS = {"webhook_secret": SECRET, "webhook_retry_seconds": ",".join(["0.5"] * 40), "log_level": "warning"}


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_no_task_is_lost_and_none_is_done_twice(tmp_path: Path, sources: Sources) -> None:
    data = tmp_path / "data"
    away = free_port()  # of the receiver that comes back only after the restart
    with Receiver() as receiver, RunningSuite(data, **SETTINGS) as first:
        early = first.submit(
            "/api/v1/length", {"media_url": sources.speech, "webhook_url": f"http://127.0.0.1:{away}/early"}
        )
        first.until(early, "completed")
        assert wait_until(lambda: bool(first.status(early)["webhook"]["attempts"]), 10)

        body = {"video_url": sources.video, "webhook_url": receiver.url()}
        ids = [first.submit("/api/v1/process", body) for _ in range(JOBS)]
        posts = [receiver.next() for _ in range(KILL_AFTER)]
        before = {task["task_id"]: task for task in first.get(f"/api/v1/tasks/recent?limit={JOBS + 1}")["tasks"]}
        processes = descendants(first.pid)
        first.kill()
        assert processes
        assert wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in processes), 10), (
            "the killed suite left processes behind"
        )
        done_before = {task_id for task_id in ids if before[task_id]["status"] == "completed"}
        assert KILL_AFTER <= len(done_before) < JOBS, "the kill did not come in the middle"

        with RunningSuite(data, port=first.port, **SETTINGS) as second:
            tasks = {task_id: second.finished(task_id) for task_id in ids}
            assert {task["status"] for task in tasks.values()} == {"completed"}
            for task_id in done_before:
                shown = {key: value for key, value in before[task_id].items() if key != "webhook"}
                assert shown == {key: tasks[task_id][key] for key in shown}, "a finished task was done again"
            assert not any("retries" in task for task in tasks.values()), "a crash of ours is no attempt of theirs"
            for task in tasks.values():
                image = Image.open(io.BytesIO(requests.get(task["image_url"], timeout=10).content))
                assert image.size == (160, 96)
            counts = second.get("/api/v1/server/stats")["tasks"]
            assert counts == {"pending": 0, "processing": 0, "completed": JOBS + 1, "failed": 0, "total": JOBS + 1}

            while {post.json["task_id"] for post in posts} != set(ids):
                posts.append(receiver.next())
            assert {(post.json["task_id"], post.json["image_url"]) for post in posts} == {
                (task_id, task["image_url"]) for task_id, task in tasks.items()
            }
            assert {post.headers["webhook-id"] for post in posts} == {f"{task_id}.completed" for task_id in ids}
            # The post whose answer the kill swallowed is repeated, with its own id; no others are.
            repeated = [
                task_id for task_id, times in Counter(post.json["task_id"] for post in posts).items() if times > 1
            ]
            assert len(repeated) <= 8

            with Receiver(port=away) as returned:
                post = returned.next()
            assert post.json["task_id"] == early
            assert Webhook(SECRET).verify(post.body, post.headers) == post.json
            with pytest.raises(WebhookVerificationError):
                Webhook(SECRET).verify(post.body.replace(b"completed", b"cancelled"), post.headers)

            assert list((data / "scratch" / "suite.").iterdir()) == []
            results = {path.name for path in (data / "media").iterdir() if path.is_file()}
            assert results == {task["image_url"].rpartition("/")[2] for task in tasks.values()}
            assert list((data / "media" / ".incoming").iterdir()) == []
            assert second.stop() == 0
