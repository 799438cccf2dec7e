"""Sources that are slow, broken, hanging, huge or none at all: the task fails, with the word for it, in time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Sources
from tests.support.clips import ClipRecipe, make_clip
from tests.support.http_server import NastyServer
from tests.support.suite import RunningSuite, free_port

PROCESS = "/api/v1/process"


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSuite]:
    """A suite with small limits."""
    with RunningSuite(
        tmp_path_factory.mktemp("strict") / "data",
        max_input_bytes="300000",
        max_duration_seconds="5",
        job_deadline_seconds="3",
        max_concurrent_tasks="20",
    ) as running:
        yield running


def test_all_kinds_of_trouble(strict: RunningSuite, sources: Sources, tmp_path: Path) -> None:
    """Side by side, for most of the time is waiting."""
    server: NastyServer = sources.server
    video = sources.files["video"].read_bytes()
    long = make_clip(tmp_path / "long.mp4", ClipRecipe(frames=210, layout=None)).read_bytes()
    serve = server.serve
    cases: dict[str, tuple[str, str, str]] = {
        "absent": (server.url("/absent.mp4"), "invalid_video_url", "404"),
        "forbidden": (serve("/forbidden.mp4", status=403), "invalid_video_url", "403"),
        "text": (serve("/page.mp4", b"<html>not a video</html>"), "unsupported_format", "web page"),
        "empty": (serve("/empty.mp4", b""), "invalid_video_url", "empty"),
        "sound only": (sources.speech, "unsupported_format", ""),
        "half a header": (serve("/half.mp4", video[: len(video) // 3]), "unsupported_format", ""),
        "too large": (serve("/large.mp4", video + bytes(300_000)), "file_too_large", "0.3 MB"),
        "endless": (serve("/endless.mp4", video, endless=True, ranges=False), "file_too_large", "0.3 MB"),
        "hangs before answering": (serve("/hangs.mp4", video, latency_seconds=30.0), "processing_timeout", "3 s"),
        "hangs in the body": (serve("/stalls.mp4", video, stall_after=2000), "processing_timeout", "3 s"),
        "drips": (serve("/drips.mp4", video, drip_seconds=0.05), "processing_timeout", "3 s"),
        "leads to itself": (server.redirect("/loop.mp4", server.url("/loop.mp4")), "invalid_video_url", ""),
        "leads to a file": (server.redirect("/file.mp4", "file:///etc/passwd"), "invalid_video_url", ""),
        "leads to metadata": (server.redirect("/meta.mp4", "http://169.254.169.254/"), "invalid_video_url", ""),
        "too long": (serve("/long.mp4", long), "duration_too_long", "at most"),
        "no such host": ("http://nowhere.invalid/a.mp4", "invalid_video_url", ""),
    }
    ids = {name: strict.submit(PROCESS, {"video_url": url}) for name, (url, _, _) in cases.items()}
    wrong: dict[str, Any] = {}
    for name, (_, word, mention) in cases.items():
        task = strict.finished(ids[name])
        if (task["status"], task.get("error")) != ("failed", word) or mention not in task["error_message"]:
            wrong[name] = task
        assert task.get("error_input") == (None if word == "processing_timeout" else "video_url"), task
        for secret in (str(Path.home()), "Traceback", "127.0.0.1", "scratch"):
            assert secret not in task["error_message"], task
    assert wrong == {}
    assert list((strict.directory / "scratch" / "suite.").iterdir()) == []
    assert strict.get("/health", key=None)["status"] == "healthy"


def test_a_server_in_passing_trouble_is_asked_again(suite: RunningSuite, sources: Sources) -> None:
    """The first answers are 503; the attempt that failed is told on the task."""
    video = sources.files["video"].read_bytes()
    task = suite.completed(PROCESS, {"video_url": sources.server.serve("/busy.mp4", video, statuses=[503] * 3)})
    assert task["metadata"]["frame_index"] == 29
    for retry in task.get("retries", []):
        assert retry.keys() == {"attempt", "at", "error", "error_message"}
        assert retry["error"] == "invalid_video_url"


def test_a_host_that_refuses_is_tried_three_times(sources: Sources, strict: RunningSuite) -> None:
    url = f"http://127.0.0.1:{free_port()}/a.mp4"
    task_id = strict.submit(PROCESS, {"video_url": url})
    for task in strict.events(task_id):
        if task.get("retries"):
            break
    assert task["status"] == "pending"
    assert task["attempt"] == 1
    assert task["retries"][0]["error"] == "invalid_video_url"
    cancelled = strict.call("DELETE", f"/api/v1/tasks/{task_id}").json()
    assert cancelled["error"] == "cancelled"


def test_a_server_without_ranges_is_downloaded(suite: RunningSuite, sources: Sources) -> None:
    video = sources.files["video"].read_bytes()
    url = sources.server.serve("/plain.mp4", video, ranges=False, known_length=False, etag=False)
    metadata = suite.completed(PROCESS, {"video_url": url})["metadata"]
    assert metadata["frame_index"] == 29
    assert metadata["bytes_fetched"] >= len(video)
