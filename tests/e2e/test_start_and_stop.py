"""Starting with what cannot work, waiting in order, draining on SIGTERM."""

from __future__ import annotations

import re
import signal
import socket
import stat
import threading
import time
from pathlib import Path

import pytest
import requests

from tests.conftest import Sources
from tests.support.receiver import Gate
from tests.support.suite import RunningSuite, descendants


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("port", "99999"),
        ("port", "eight"),
        ("max_concurrent_tasks", "0"),
        ("max_input_bytes", "-1"),
        ("api_keys", "no-name"),
        ("api_keys", "a=1,a=2"),
        ("webhook_secret", "whsec_short"),
        ("webhook_retry_seconds", "5,soon"),
        ("source_ports", "http"),
        ("sandbox", "maybe"),
        ("allow_private_sources", "perhaps"),
    ],
)
def test_a_setting_that_cannot_be_ends_with_2_and_its_name(
    setting: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from shared.runtime.settings import load_settings

    monkeypatch.setenv(f"LASTFRAME_{setting.upper()}", value)
    with pytest.raises(SystemExit) as ended:
        load_settings()
    assert ended.value.code == 2
    assert f"LASTFRAME_{setting.upper()}: " in capsys.readouterr().err


def test_the_process_itself_ends_with_2(tmp_path: Path) -> None:
    suite = RunningSuite(tmp_path / "data", max_concurrent_tasks="none")
    status, said = suite.start_in_vain()
    assert (status, said.partition(":")[0]) == (2, "LASTFRAME_MAX_CONCURRENT_TASKS")


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        suite = RunningSuite(tmp_path / "data", port=port, log_level="error")
        status, said = suite.start_in_vain()
    assert status == 1
    assert str(port) in said
    assert "Traceback" not in said
    assert suite.stdout == []


def test_a_data_directory_that_is_in_use(suite: RunningSuite) -> None:
    second = RunningSuite(suite.directory, log_level="error")
    log_before = len(suite.log)
    status, said = second.start_in_vain()
    assert status == 1
    said = said[log_before:]
    assert str(suite.directory) in said
    assert "LASTFRAME_DATA_DIR" in said
    assert "Traceback" not in said
    assert suite.get("/health", key=None)["status"] == "healthy"


def test_a_suite_without_settings(tmp_path: Path, sources: Sources) -> None:
    """It makes a key of its own, keeps it, and takes no source on this machine; SIGINT ends it as well."""
    with RunningSuite(tmp_path / "data", api_keys=None, allow_private_sources=None) as suite:
        key_file = tmp_path / "data" / "api-key"
        assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
        assert stat.S_IMODE(key_file.parent.stat().st_mode) == 0o700  # the store holds signed URLs
        key = key_file.read_text().strip()
        assert len(key) >= 32
        assert suite.call("GET", "/api/v1/tasks/recent").status_code == 401
        assert suite.get("/api/v1/tasks/recent", key=key) == {"tasks": [], "count": 0}
        assert "last_activity" not in suite.get("/api/v1/server/status", key=key)
        for url in (sources.video, "http://localhost/a.mp4", "http://[::1]/a.mp4", "http://10.0.0.1/a.mp4"):
            reply = suite.call("POST", "/api/v1/process", json={"video_url": url}, key=key)
            assert (reply.status_code, reply.json()["error"]) == (400, "invalid_video_url"), url
        body = {"video_url": "http://example.com/a.mp4", "webhook_url": "http://127.0.0.1/hook"}
        reply = suite.call("POST", "/api/v1/process", json=body, key=key)
        assert (reply.status_code, reply.json()["error"]) == (400, "invalid_webhook_url")
        assert sources.server.to("/never") == []
        suite.signal(signal.SIGINT)
        assert suite.wait() == 0
        assert key_file.read_text().strip() == key
    assert suite.stdout == [f"ready {suite.url}", f"API key: {key}"]


def test_two_at_once_in_order_and_a_drain_that_finishes_them(tmp_path: Path, sources: Sources) -> None:
    body = sources.files["speech"].read_bytes()
    paths = [f"/{number}.wav" for number in range(6)]
    with Gate(body) as gate, RunningSuite(tmp_path / "data", max_concurrent_tasks="2", log_level="info") as suite:
        ids = [suite.submit("/api/v1/length", {"media_url": gate.url(path)}) for path in paths]
        assert {gate.next(), gate.next()} == set(paths[:2])
        assert gate.is_quiet(0.7), "a third job began beside two"
        waiting = suite.status(ids[2])
        assert waiting.keys() == {"task_id", "status", "kind", "media_url", "created_at", "updated_at"}
        assert waiting["status"] == "pending"
        status = suite.get("/api/v1/server/status")
        assert (status["active_tasks"], status["queue_size"], status["max_concurrent_tasks"]) == (2, 4, 2)
        queue = suite.get("/api/v1/server/stats")["queue"]
        assert queue == {"active_tasks": 2, "queue_size": 4, "max_concurrent": 2}

        cancelled = suite.call("DELETE", f"/api/v1/tasks/{ids[2]}").json()
        assert (cancelled["status"], cancelled["error"]) == ("failed", "cancelled")
        assert "started_at" not in cancelled

        gate.let_through(paths[0])
        assert gate.next() == paths[3]
        gate.let_through(paths[1])
        assert gate.next() == paths[4]
        running = [suite.until(ids[number], "processing") for number in (3, 4)]
        assert all(task["status"] == "processing" for task in running)

        children = descendants(suite.pid)
        suite.signal(signal.SIGTERM)
        opened = threading.Event()

        def open_when_draining() -> None:
            while not opened.is_set():
                try:
                    requests.get(suite.url + "/health", timeout=5)
                except requests.ConnectionError:
                    opened.set()
                time.sleep(0.02)

        threading.Thread(target=open_when_draining, daemon=True).start()
        assert opened.wait(30), "the draining suite still takes calls"
        gate.let_through(paths[3])
        gate.let_through(paths[4])
        assert suite.wait() == 0
        assert not any(Path(f"/proc/{pid}").exists() for pid in children)

        gate.let_through(paths[5])
        with RunningSuite(tmp_path / "data", log_level="info") as again:
            for number in (0, 1, 3, 4, 5):
                task = again.finished(ids[number])
                assert task["status"] == "completed", task
                assert "retries" not in task
            assert again.status(ids[2])["error"] == "cancelled"

            ids.append(again.submit("/api/v1/length", {"media_url": gate.url("/last.wav")}))
            assert gate.next() in ("/last.wav", paths[5])
            again.until(ids[-1], "processing")
            for _ in range(2):  # the second one: now, not when the job is done
                again.signal(signal.SIGTERM)
                time.sleep(0.1)
            assert again.wait() == 0
            assert '"event": "job_stopped"' in again.log

            attempts = re.findall(rf'"task_id": "{ids[3]}".*?"event": "job_started"', again.log)
            assert len(attempts) <= 1, "a job that the drain let finish ran again"
