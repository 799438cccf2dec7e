"""The client package and its command line, against a running suite and against a server that misbehaves."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import os
import pty
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Sources
from tests.support.suite import KEY, ROOT, RunningSuite

pytest.importorskip("httpx", reason="the client's one dependency is not installed here")
sys.path.insert(0, str(ROOT / "client"))

import lastframe_client as lf
from lastframe_client.arguments import since
from lastframe_client.cli import main

TASK = {"task_id": "68933d660fbe479408b185f1", "status": "pending"}


@pytest.fixture
def client(suite: RunningSuite) -> Iterator[lf.Client]:
    with lf.Client(suite.url, KEY) as client:
        yield client


@pytest.fixture
def env(suite: RunningSuite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The command line's environment; the current folder is the returned one."""
    monkeypatch.setenv("LAST_FRAME_API_URL", suite.url)
    monkeypatch.setenv("LAST_FRAME_API_KEY", KEY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


Answer = tuple[int, dict[str, str], bytes]


class Server:
    """Answers each request with the next of `answers` (the last one again and again) and keeps what came."""

    def __init__(self, *answers: Answer | Callable[[BaseHTTPRequestHandler], Answer]) -> None:
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        server = self
        left = list(answers)

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("content-length", 0)))
                server.requests.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
                status, headers, body = left.pop(0) if len(left) > 1 else left[0]
                self.send_response(status)
                for name, value in ({"content-length": str(len(body))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_DELETE = answer

            def log_message(self, *arguments: Any) -> None:
                return None

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> Server:
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._http.shutdown()
        self._http.server_close()


def reply(status: int, data: Any, **headers: str) -> Answer:
    return status, {name.replace("_", "-"): value for name, value in headers.items()}, json.dumps(data).encode()


def event(**fields: Any) -> Answer:
    body = f"data: {json.dumps(TASK | fields)}\n\n".encode()
    return 200, {"content-type": "text/event-stream"}, body


# The two clients


def test_the_two_clients_are_twins() -> None:
    def methods(kind: type) -> dict[str, inspect.Signature]:
        found = inspect.getmembers(kind, inspect.isfunction)
        return {name: inspect.signature(one) for name, one in found if not name.startswith("_")}

    plain, asynchronous = methods(lf.Client), methods(lf.AsyncClient)
    assert plain.keys() == asynchronous.keys()
    for name, signature in plain.items():
        assert signature.parameters == asynchronous[name].parameters, name
        if name != "watch":
            assert signature.return_annotation == asynchronous[name].return_annotation, name


@pytest.mark.parametrize(
    ("url", "key", "named"),
    [(None, "k", "LAST_FRAME_API_URL"), ("suite:8000", "k", "LAST_FRAME_API_URL"), ("http://s", None, "API_KEY")],
)
def test_what_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch, url: str | None, key: str | None, named: str):
    monkeypatch.delenv("LAST_FRAME_API_URL", raising=False)
    monkeypatch.delenv("LAST_FRAME_API_KEY", raising=False)
    with pytest.raises(lf.ConfigurationError, match=named):
        lf.Client(url, key)


def test_every_job_with_local_files_and_urls(client: lf.Client, sources: Sources, tmp_path: Path) -> None:
    files = sources.files
    frame = client.run(lf.LastFrame(files["video"], image_format="png"))
    assert frame.metadata["frame_index"] == 29
    image = client.download(frame.results["image_url"], tmp_path / "last.png")
    assert image.read_bytes().startswith(b"\x89PNG")
    film = client.run(lf.Stitch([str(files["video"]), sources.other_video], strategy="reencode", resolution="160x90"))
    assert film.metadata["output_duration"] == pytest.approx(2.0, abs=0.05)
    sound = client.run(lf.AudioStitch([files["speech"], lf.silence(0.5), sources.music], output_format="wav"))
    assert sound.metadata["total_silence_duration"] == 0.5
    scored = client.run(lf.MusicTrack(files["video"], files["music"], duck_db=6))
    assert "video_result_url" in scored.results
    scenes = [lf.Scene(files["video"], scene_id="opening"), sources.other_video]
    movie = client.run(lf.AssembleMovie("p", scenes, files["speech"], audio_sync_mode="pad"))
    assert set(movie.results) == {"full_video_url", "video_only_url", "audio_only_url"}
    length = client.run(lf.MediaLength(sources.speech))
    assert length.metadata["media_duration"] == 1.0
    page = client.tasks(status="completed", kind="media_length", limit=1)
    assert page.tasks[0].task_id == length.task_id


def test_a_failure_names_its_input(client: lf.Client, sources: Sources) -> None:
    with pytest.raises(lf.TaskFailed) as failed:
        client.run(lf.Stitch([sources.video, sources.speech]))
    assert (failed.value.task.error, failed.value.task.error_input) == ("unsupported_format", "video_urls[1]")
    again = client.retry(failed.value.task.task_id)
    assert again.task_id != failed.value.task.task_id
    with pytest.raises(lf.ApiError) as refused:
        client.run(lf.LastFrame("ftp://example.com/x"))
    assert (refused.value.http_status, refused.value.word) == (400, "invalid_video_url")
    with pytest.raises(lf.ApiError) as unknown:
        client.wait("f" * 24)
    assert unknown.value.word == "task_not_found"


def test_a_file_over_the_limit_is_refused_while_it_is_sent(tmp_path: Path) -> None:
    big = tmp_path / "big.mp4"
    big.write_bytes(bytes(8_000_000))
    with (
        RunningSuite(tmp_path / "data", max_input_bytes="1000000") as suite,
        lf.Client(suite.url, KEY) as client,
        pytest.raises(lf.ApiError) as refused,
    ):
        client.upload(big)
    assert refused.value.word == "file_too_large"


async def test_the_asynchronous_client(suite: RunningSuite, sources: Sources, tmp_path: Path) -> None:
    sent: list[int] = []
    async with lf.AsyncClient(suite.url, KEY) as client:
        upload = await client.upload(sources.files["video"], on_progress=lambda done, _: sent.append(done))
        assert sent[-1] == upload.size_bytes == sources.files["video"].stat().st_size
        jobs = [lf.LastFrame(upload.url), lf.MediaLength(sources.speech), lf.LastFrame(sources.files["video"])]
        tasks = await asyncio.gather(*(client.run(job) for job in jobs))
        assert [task.status for task in tasks] == ["completed"] * 3
        saved = await client.download(tasks[0].results["image_url"], tmp_path / "last.jpg")
        assert saved.read_bytes().startswith(b"\xff\xd8")
        assert (await client.status(tasks[1].task_id)).metadata["media_duration"] == 1.0
        assert [task.status async for task in client.watch(tasks[2].task_id)] == ["completed"]
        await client.cancel(tasks[2].task_id)
        with pytest.raises(lf.ApiError):
            await client.status(tasks[2].task_id)


def test_what_may_pass_is_tried_again_under_one_name() -> None:
    away = reply(503, {"error": "unavailable", "detail": "away"}, retry_after="1")
    with Server(away, reply(200, TASK)) as server, lf.Client(server.url, "k") as client:
        began = time.monotonic()
        assert client.submit(lf.LastFrame("https://example.com/v.mp4")).task_id == TASK["task_id"]
        assert time.monotonic() - began > 0.9
    names = [headers["idempotency-key"] for _, _, headers in server.requests]
    assert len(names) == 2
    assert names[0] == names[1] != ""


def test_nobody_there() -> None:
    with lf.Client("http://127.0.0.1:9", "k") as client, pytest.raises(lf.Unreachable, match="cannot be reached"):
        client.status("a" * 24)


def test_something_else_there() -> None:
    with (
        Server((200, {"content-type": "text/html"}, b"<html>")) as server,
        lf.Client(server.url, "k") as client,
        pytest.raises(lf.ApiError, match="LAST_FRAME_API_URL"),
    ):
        client.status("a" * 24)


def test_a_watch_survives_streams_that_end_early() -> None:
    away = reply(503, {"error": "unavailable", "detail": "away"})
    answers = [event(status="pending"), away, event(status="processing"), event(status="completed")]
    with Server(*answers) as server, lf.Client(server.url, "k") as client:
        assert [task.status for task in client.watch("a" * 24)] == ["pending", "processing", "completed"]
    assert {path for _, path, _ in server.requests} == {f"/api/v1/tasks/{'a' * 24}/events"}


async def test_waiting_ends_in_time() -> None:
    with Server(reply(200, TASK)) as server, lf.Client(server.url, "k") as client:
        began = time.monotonic()
        with pytest.raises(lf.WaitTimeout):
            await asyncio.to_thread(client.wait, "a" * 24, timeout_seconds=0.7)
        assert 0.6 < time.monotonic() - began < 10
    with Server(event()) as server:
        async with lf.AsyncClient(server.url, "k") as client:
            began = time.monotonic()
            with pytest.raises(lf.WaitTimeout):
                await client.wait("a" * 24, timeout_seconds=0.7)
            assert 0.6 < time.monotonic() - began < 10


def test_a_download_is_whole_or_absent_and_the_key_stays_home(tmp_path: Path) -> None:
    half = (200, {"content-length": "100"}, b"x" * 50)
    with Server(half, (200, {}, b"x" * 100)) as server, lf.Client("http://127.0.0.1:9", "k") as client:
        saved = client.download(f"{server.url}/media/a.jpg", tmp_path / "a.jpg")
        assert saved.read_bytes() == b"x" * 100
    assert all("authorization" not in headers for _, _, headers in server.requests)
    gone = reply(404, {"error": "not_found", "detail": "Not Found"})
    with Server(gone) as server, lf.Client(server.url, "k") as client, pytest.raises(lf.ApiError):
        client.download(f"{server.url}/media/b.jpg", tmp_path / "b.jpg")
    assert [path.name for path in tmp_path.iterdir()] == ["a.jpg"]


# The command line


def test_results_are_saved_and_told(env: Path, sources: Sources, capsys: pytest.CaptureFixture[str]) -> None:
    video = str(sources.files["video"])
    for words, begins in (
        (["last.jpg", "--format", "png"], b"\x89PNG"),
        (["last.png"], b"\x89PNG"),
        (["last.WEBP"], b"RIFF"),
        (["last.picture"], b"\xff\xd8"),
    ):
        assert main(["frame", video, "-o", *words]) == 0
        assert capsys.readouterr() == (f"{words[0]}\n", "")
        assert (env / words[0]).read_bytes().startswith(begins)
    assert main(["audio-stitch", sources.speech, "-o", "voice.flac"]) == 0
    assert capsys.readouterr().out == "voice.flac\n"
    assert (env / "voice.flac").read_bytes().startswith(b"fLaC")
    assert main(["assemble", video, sources.other_video, "--audio", sources.speech, "-o", "movie.mp4"]) == 0
    assert capsys.readouterr().out.split() == ["movie.mp4", "movie.video-only.mp4", "movie.audio-only.mp3"]
    assert all((env / name).stat().st_size > 1000 for name in ("movie.mp4", "movie.audio-only.mp3"))
    assert main(["length", sources.speech, "--wait"]) == 0
    assert capsys.readouterr().out == "1.000\n"
    assert main(["length", sources.speech, "-o", "length.json"]) == 0
    assert json.loads((env / "length.json").read_text())["metadata"]["media_duration"] == 1.0
    assert main(["audio-stitch", sources.speech, "silence:1.25", "--wait", "--json", "--no-declick"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["audio_urls"] == [sources.speech, "empty:1.25"]


def test_a_plan_is_told_and_nothing_is_queued(
    env: Path, client: lf.Client, sources: Sources, capsys: pytest.CaptureFixture[str]
) -> None:
    before = len(client.tasks(limit=1000).tasks)
    plan = client.plan(lf.Stitch([sources.video, sources.other_video]))
    assert plan.facts["frames"] == 60
    assert plan.facts["copied"] == [{"index": 0}, {"index": 1}]
    assert plan.estimated_seconds > 0
    assert plan.bytes_to_fetch == sum(sources.files[name].stat().st_size for name in ("video", "other_video"))
    with pytest.raises(lf.ApiError) as refused:
        client.plan(lf.Stitch([sources.video, sources.speech]))
    assert (refused.value.http_status, refused.value.word) == (400, "unsupported_format")

    words = ["stitch", str(sources.files["video"]), sources.video, "--resolution", "320x180", "--dry-run"]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert re.search(r"^input 2 +re-encoded: .*320x180", told, re.MULTILINE)
    assert re.search(r"^frames +60$", told, re.MULTILINE)
    assert re.search(r"^makes +about 0\.\d*[1-9]\d* MB$", told, re.MULTILINE)
    assert main(["length", sources.video, "--dry-run"]) == 0
    assert "makes" not in capsys.readouterr().out, "a length makes no file"
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["plan"]["frames"] == 60
    assert main(["stitch", sources.video, sources.speech, "--dry-run"]) == 3
    assert "video_urls[1]: " in capsys.readouterr().err
    assert len(client.tasks(limit=1000).tasks) == before


def test_tasks_over_the_command_line(env: Path, sources: Sources, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["frame", sources.video, "--idempotency-key", "once"]) == 0
    task_id = capsys.readouterr().out.strip()
    assert main(["frame", sources.video, "--idempotency-key", "once"]) == 0
    assert capsys.readouterr().out.strip() == task_id
    assert main(["watch", task_id]) == 0
    assert "image_url" in capsys.readouterr().out
    assert main(["tasks", "--since", "1h", "--kind", "last_frame", "--limit", "3", "--json"]) == 0
    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert listed[0]["task_id"] == task_id
    assert len(listed) <= 3
    assert main(["cancel", task_id]) == 0
    assert main(["status", task_id]) == 3
    assert "task_not_found" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "settings", "status", "said"),
    [
        (["frame", "SPEECH", "--wait"], {}, 1, "unsupported_format"),
        (["tasks"], {"LAST_FRAME_API_URL": ""}, 2, "LAST_FRAME_API_URL is not set"),
        (["tasks"], {"LAST_FRAME_API_KEY": ""}, 2, "LAST_FRAME_API_KEY is not set"),
        (["tasks"], {"LAST_FRAME_API_KEY": "wrong"}, 3, "unauthorized"),
        (["stitch", "VIDEO"], {}, 3, "too_few_videos"),
        (["tasks"], {"LAST_FRAME_API_URL": "http://127.0.0.1:9"}, 4, "cannot be reached"),
        (["frame", "absent.mp4"], {}, 6, "absent.mp4: No such file"),
        (["frame", "VIDEO", "-o", "no/such/folder.jpg"], {}, 6, "there is no such folder"),
        (["frame", "VIDEO", "-o", "."], {}, 6, "this is a folder; name a file in it"),
    ],
)
def test_exit_statuses(
    env: Path,
    sources: Sources,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    settings: dict[str, str],
    status: int,
    said: str,
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    words = {"SPEECH": sources.speech, "VIDEO": sources.video}
    assert main([words.get(word, word) for word in arguments]) == status
    out, err = capsys.readouterr()
    assert (out, said in err, err.startswith("lastframe: "), err.count("\n")) == ("", True, True, 1)


def test_not_in_time(env: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(reply(200, TASK)) as server:
        monkeypatch.setenv("LAST_FRAME_API_URL", server.url)
        assert main(["watch", "a" * 24, "--timeout", "0.2"]) == 5


def test_wrong_usage_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, status in (
        (["frame"], 2),
        (["nonsense"], 2),
        (["--help"], 0),
        (["stitch", "--help"], 0),
        (["--version"], 0),
        (["tasks", "--limit", "0"], 2),
        (["watch", "x", "--timeout", "-1"], 2),
    ):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == status
    assert "exit status:" in capsys.readouterr().out


def test_ages() -> None:
    assert abs(time.time() - since("2h").timestamp() - 7200) < 5
    assert since("2026-01-02T03:04:05+00:00").year == 2026


def everything(terminal: int) -> str:
    """What is written to a terminal until nobody holds it any more; it keeps only a few lines, so read as it comes."""
    read = bytearray()
    with contextlib.suppress(OSError):  # EIO is a pseudo-terminal's end of file
        while piece := os.read(terminal, 65536):
            read += piece
    return read.decode()


def test_a_terminal_sees_how_far_it_is(env: Path, sources: Sources) -> None:
    ours, theirs = pty.openpty()
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'client'}:{os.environ.get('PYTHONPATH', '')}", "COLUMNS": "80"}
    command = [sys.executable, "-m", "lastframe_client", "frame", str(sources.files["video"]), "--wait"]
    with ThreadPoolExecutor() as pool:
        seeing = pool.submit(everything, ours)
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=theirs, text=True) as process:
            os.close(theirs)
            out, _ = process.communicate(timeout=60)
        shown = seeing.result()
    os.close(ours)
    assert process.returncode == 0
    assert out.startswith("http://")
    assert "uploading" in shown
    assert "█" in shown
    assert shown.endswith("\r\x1b[K")
