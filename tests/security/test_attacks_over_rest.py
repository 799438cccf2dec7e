"""The whole way: hostile URLs and files over REST, for every kind of job. Each ends as a failed task with a sentence,
nothing is left behind, and the suite serves on."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from tests.security.attack_files import bombs, honest, honest_sound, references, rubbish
from tests.security.canary import Canary
from tests.security.conftest import Keys, ended
from tests.support.http_server import NastyServer
from tests.support.suite import RunningSuite, descendants

HOSTILE = [
    "hls-file",
    "hls-http",
    "concat-path",
    "mov-dref-alias",
    "streams-mov-10000",
    "pixels-apng",
    "zip-bomb",
    "empty",
    "noise-behind-ftyp",
    "cut-before-index",
]
REFUSED_AT_THE_DOOR = {"invalid_request", "invalid_video_url", "invalid_audio_url", "invalid_media_url"}


def requests_for(bad: str, video: str, sound: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """Path and body of every kind of job, the hostile URL in one of its places."""
    return {
        "last_frame": ("/api/v1/process", {"video_url": bad}),
        "length": ("/api/v1/length", {"media_url": bad}),
        "stitch": ("/api/v1/stitch", {"video_urls": [video, bad]}),
        "audio_stitch": ("/api/v1/audio-stitch", {"audio_urls": [sound, "empty:0.5", bad]}),
        "music": ("/api/v1/music-track", {"video_url": bad, "music_url": sound}),
        "assembly": (
            "/api/v1/video/assemble-movie",
            {
                "project_id": "attack",
                "scene_videos": [{"scene_id": "s", "video_url": bad, "sequence_number": 1}],
                "master_audio": {"audio_url": sound},
            },
        ),
    }


def serve_honest(sources: NastyServer) -> tuple[str, str]:
    return sources.serve("/honest.mp4", honest()), sources.serve("/honest.wav", honest_sound())


def assert_failed_with_a_sentence(task: dict[str, Any], data: Path) -> None:
    assert task["status"] == "failed", task
    assert re.fullmatch(r"[a-z_]+", task["error"])
    assert task["error"] not in ("internal_error", "media_crashed", "processing_timeout"), task
    sentence = task["error_message"]
    assert 10 < len(sentence) <= 300
    assert str(data) not in sentence
    assert not re.search(r"/tmp|/proc|Traceback|\.py\b|0x[0-9a-f]{6}|source-\d", sentence), sentence
    assert task["error_input"]


def test_hostile_files_fail_their_own_tasks_and_nothing_else(
    suite: RunningSuite, keys: Keys, sources: NastyServer, tmp_path: Path
) -> None:
    canary = Canary(tmp_path, honest())
    attacks = [*references(canary.path, canary.url), *bombs(), *rubbish()]
    chosen = [attack for attack in attacks if attack.name in HOSTILE]
    assert len(chosen) == len(HOSTILE)
    video, sound = serve_honest(sources)
    submitted = []
    for attack in chosen:
        # Whatever it is, it claims to be a video, by its name and by its type.
        bad = sources.serve(f"/{attack.name}.mp4", attack.body, content_type="video/mp4")
        for path, body in requests_for(bad, video, sound).values():
            submitted.append(suite.submit(path, body, key=keys.alice))
    for task_id in submitted:
        assert_failed_with_a_sentence(ended(suite, task_id, keys.alice, 120), suite.directory)
    assert not canary.was_opened
    assert not canary.was_called
    canary.close()

    for path, body in requests_for(video, video, sound).values():
        assert ended(suite, suite.submit(path, body, key=keys.alice), keys.alice)["status"] == "completed"
    assert suite.get("/health", key=None)["status"] == "healthy"
    assert_nothing_left(suite)


def assert_nothing_left(suite: RunningSuite) -> None:
    deadline = time.monotonic() + 5
    while any(path.is_file() for path in (suite.directory / "scratch").rglob("*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [path for path in (suite.directory / "scratch").rglob("*") if path.is_file()] == []
    assert len(descendants(suite.pid)) <= 5  # Envoy, the fork server, and two warm children


@pytest.mark.parametrize("name", ["-i.mp4", "--help", "..%2f..%2fetc%2fpasswd", "%00.mp4", "a%0d%0ab.mp4", "x" * 1500])
def test_an_odd_name_in_a_url_is_only_a_name(suite: RunningSuite, keys: Keys, sources: NastyServer, name: str) -> None:
    url = sources.serve(f"/{name}", honest())
    task_id = suite.submit("/api/v1/process", {"video_url": url}, key=keys.alice)
    assert ended(suite, task_id, keys.alice)["status"] == "completed"


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "-i",
        "ftp://example.com/x.mp4",
        "concat:/etc/passwd|/etc/hosts",
        "data:video/mp4;base64,AAAA",
        "http://user:secret@127.0.0.1/x.mp4",
        "http://127.0.0.1:99999/x.mp4",
        "http:///x.mp4",
        "javascript:alert(1)",
    ],
)
def test_a_url_that_is_not_http_is_refused_at_the_door(suite: RunningSuite, keys: Keys, url: str) -> None:
    for path, body in requests_for(url, "http://127.0.0.1/v.mp4", "http://127.0.0.1/s.wav").values():
        reply = suite.call("POST", path, json=body, key=keys.alice)
        assert reply.status_code == 400, (path, reply.text)
        assert reply.json()["error"] in (
            "invalid_request",
            "invalid_video_url",
            "invalid_audio_url",
            "invalid_media_url",
        )
        assert "secret" not in reply.text


@pytest.mark.parametrize("name", ["n~6", "x!y", "a`b", "^", "c$d|e#f%g&h'i*j+k"])
def test_a_header_name_that_only_http_knows_harms_no_call(suite: RunningSuite, keys: Keys, name: str) -> None:
    """gRPC allows fewer letters in a header's name than RFC 9110 does, and fails the whole call as internal."""
    reply = suite.call("GET", "/api/v1/tasks/recent", key=keys.bob, headers={name: "x", "x-fine": "y"})
    assert reply.status_code == 200, reply.text
