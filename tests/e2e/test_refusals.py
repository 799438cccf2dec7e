"""What the API refuses: the status, the word, and always the same two keys."""

from __future__ import annotations

import http.client
from typing import Any

import pytest
import requests

from tests.conftest import Sources
from tests.support.suite import KEY, RunningSuite

URL = "https://example.com/a.mp4"
SCENE = {"video_url": URL, "sequence_number": 1}
MASTER = {"audio_url": "https://example.com/a.mp3"}
LONG = "https://example.com/" + "a" * 4100

PROCESS, STITCH, LENGTH = "/api/v1/process", "/api/v1/stitch", "/api/v1/length"
SOUNDS, MUSIC, MOVIE = "/api/v1/audio-stitch", "/api/v1/music-track", "/api/v1/video/assemble-movie"


def movie(**more: Any) -> dict[str, Any]:
    return {"project_id": "p", "scene_videos": [SCENE], "master_audio": MASTER, **more}


def assert_error(reply: requests.Response, status: int, word: str, *mentions: str) -> None:
    assert (reply.status_code, reply.headers["content-type"].split(";")[0]) == (status, "application/json"), reply.text
    error = reply.json()
    assert error.keys() == {"detail", "error"}
    assert error["error"] == word, error
    assert error["detail"]
    for mention in mentions:
        assert mention in error["detail"], error


@pytest.mark.parametrize(
    ("path", "body", "word", "mention"),
    [
        (PROCESS, {}, "invalid_request", "video_url"),
        (PROCESS, {"video_url": ""}, "invalid_request", "video_url"),
        (PROCESS, {"video_url": None}, "invalid_request", "video_url"),
        (PROCESS, {"video_url": "not a url"}, "invalid_video_url", "video_url"),
        (PROCESS, {"video_url": "/etc/passwd"}, "invalid_video_url", "video_url"),
        (PROCESS, {"video_url": "file:///etc/passwd"}, "invalid_video_url", "http"),
        (PROCESS, {"video_url": "ftp://example.com/a.mp4"}, "invalid_video_url", "http"),
        (PROCESS, {"video_url": "http://user:secret@example.com/a.mp4"}, "invalid_video_url", "password"),
        (PROCESS, {"video_url": "http://169.254.169.254/latest/"}, "invalid_video_url", "video_url"),
        (PROCESS, {"video_url": LONG}, "invalid_request", "video_url"),
        (PROCESS, {"video_url": URL, "webhook_url": "nowhere"}, "invalid_webhook_url", "webhook_url"),
        (PROCESS, {"video_url": URL, "image_format": "gif"}, "invalid_request", "image_format"),
        (PROCESS, {"video_url": URL, "quality": 0}, "invalid_request", "quality"),
        (PROCESS, {"video_url": URL, "quality": 101}, "invalid_request", "quality"),
        (STITCH, {"video_urls": []}, "too_few_videos", "video_urls"),
        (STITCH, {"video_urls": [URL]}, "too_few_videos", "video_urls"),
        (STITCH, {"video_urls": [URL] * 11}, "too_many_videos", "video_urls"),
        (STITCH, {"video_urls": [URL, "ftp://x/y"]}, "invalid_video_url", "video_urls[1]"),
        (SOUNDS, {"audio_urls": []}, "invalid_request", "audio_urls"),
        (SOUNDS, {"audio_urls": ["empty:1"]}, "invalid_request", "audio_urls"),
        (SOUNDS, {"audio_urls": [URL, "empty:0.05"]}, "invalid_silence", "audio_urls[1]"),
        (SOUNDS, {"audio_urls": [URL, "empty:3601"]}, "invalid_silence", "audio_urls[1]"),
        (SOUNDS, {"audio_urls": [URL, "empty:soon"]}, "invalid_silence", "audio_urls[1]"),
        (SOUNDS, {"audio_urls": [URL, "empty:"]}, "invalid_silence", "audio_urls[1]"),
        (SOUNDS, {"audio_urls": [URL, "empty:1e3"]}, "invalid_silence", "audio_urls[1]"),
        (SOUNDS, {"audio_urls": [URL], "output_format": "ogg"}, "invalid_request", "output_format"),
        (SOUNDS, {"audio_urls": [URL], "sample_rate": 96000}, "invalid_request", "sample_rate: must be one of"),
        (SOUNDS, {"audio_urls": [URL], "output_format": "opus", "sample_rate": 44100}, "invalid_request", "48000"),
        (SOUNDS, {"audio_urls": [URL], "sample_rate": 24000, "bitrate": 192000}, "invalid_request", "160000"),
        (SOUNDS, {"audio_urls": ["music.mp3"]}, "invalid_audio_url", "audio_urls[0]"),
        (MUSIC, {"video_url": URL}, "invalid_request", "music_url"),
        (MUSIC, {"video_url": URL, "music_url": "x"}, "invalid_audio_url", "music_url"),
        (MOVIE, movie(project_id=""), "invalid_request", "project_id"),
        (MOVIE, movie(scene_videos=[]), "too_few_videos", "scene_videos"),
        (MOVIE, movie(scene_videos=[SCENE] * 21), "too_many_videos", "scene_videos"),
        (MOVIE, movie(scene_videos=[SCENE, SCENE]), "duplicate_sequence_number", "sequence_number 1"),
        (MOVIE, movie(scene_videos=[{"video_url": URL}]), "invalid_request", "sequence_number"),
        (MOVIE, movie(master_audio={}), "invalid_request", "audio_url"),
        (MOVIE, movie(output_settings={"audio_sync_mode": "squeeze"}), "invalid_request", "audio_sync_mode"),
        (LENGTH, {}, "invalid_request", "media_url"),
        (LENGTH, {"media_url": "x:y"}, "invalid_media_url", "media_url"),
    ],
)
def test_a_submit_with_a_fault(suite: RunningSuite, path: str, body: dict[str, Any], word: str, mention: str) -> None:
    before = suite.get("/api/v1/server/stats")["tasks"]["total"]
    assert_error(suite.call("POST", path, json=body), 400, word, mention)
    assert suite.get("/api/v1/server/stats")["tasks"]["total"] == before


@pytest.mark.parametrize("body", ["", "{", "[]", '"text"', "null", '{"video_url": 5}', '{"video_url": ["a"]}', "\xff"])
def test_a_body_that_is_no_such_object(suite: RunningSuite, body: str) -> None:
    reply = suite.call("POST", PROCESS, data=body.encode("latin-1"), headers={"Content-Type": "application/json"})
    assert_error(reply, 400, "invalid_request")


@pytest.mark.parametrize("key", [None, "wrong", "", KEY + "x", "Bearer"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", PROCESS),
        ("GET", "/api/v1/status/68932ab1f918707cd6188d5f"),
        ("GET", "/api/v1/tasks/68932ab1f918707cd6188d5f/events"),
        ("DELETE", "/api/v1/tasks/68932ab1f918707cd6188d5f"),
        ("GET", "/api/v1/tasks/recent"),
        ("GET", "/api/v1/server/status"),
        ("GET", "/api/v1/server/stats"),
        ("POST", "/api/v1/webhook"),
    ],
)
def test_without_a_key_that_is_known(suite: RunningSuite, method: str, path: str, key: str | None) -> None:
    reply = suite.call(method, path, key=key, json={"video_url": URL} if method == "POST" else None)
    assert_error(reply, 401, "unauthorized")


@pytest.mark.parametrize("path", ["/", "/health", "/docs", "/openapi.json"])
def test_open_pages_need_no_key(suite: RunningSuite, path: str) -> None:
    assert suite.call("GET", path, key=None).status_code == 200


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "ten", "1.5", "99999999999"])
def test_a_limit_that_is_none(suite: RunningSuite, limit: str) -> None:
    assert_error(suite.call("GET", f"/api/v1/tasks/recent?limit={limit}"), 400, "invalid_request", "limit")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/status/{id}"),
        ("GET", "/api/v1/video/assembly/{id}"),
        ("GET", "/api/v1/tasks/{id}/events"),
        ("GET", "/api/v1/tasks/{id}/watch"),
        ("DELETE", "/api/v1/tasks/{id}"),
    ],
)
@pytest.mark.parametrize("task_id", ["f" * 24, "f" * 32])
def test_an_unknown_task(suite: RunningSuite, method: str, path: str, task_id: str) -> None:
    assert_error(suite.call(method, path.format(id=task_id)), 404, "task_not_found", task_id)


def test_a_webhook_for_an_unknown_task(suite: RunningSuite) -> None:
    body = {"task_id": "f" * 24, "webhook_url": "https://example.com/hook"}
    assert_error(suite.call("POST", "/api/v1/webhook", json=body), 404, "task_not_found")


def test_a_webhook_that_leads_nowhere(suite: RunningSuite, sources: Sources) -> None:
    task_id = suite.submit(LENGTH, {"media_url": sources.speech})
    body = {"task_id": task_id, "webhook_url": "gopher://example.com"}
    assert_error(suite.call("POST", "/api/v1/webhook", json=body), 400, "invalid_webhook_url")


def test_a_last_frame_is_no_assembly(suite: RunningSuite, sources: Sources) -> None:
    task_id = suite.submit(PROCESS, {"video_url": sources.video})
    assert_error(suite.call("GET", f"/api/v1/video/assembly/{task_id}"), 404, "task_not_found")


@pytest.mark.parametrize(
    "path", ["/nothing", "/api/v1", "/api/v2/process", "/api/v1/process/more", "/media/", "/media"]
)
def test_an_unknown_path(suite: RunningSuite, path: str) -> None:
    assert_error(suite.call("GET", path), 404, "not_found")


def test_a_body_over_one_mebibyte(suite: RunningSuite) -> None:
    body = {"video_url": URL, "more": "x" * (1 << 20)}
    assert_error(suite.call("POST", PROCESS, json=body), 413, "request_too_large")
    chunked = suite.call("POST", PROCESS, data=iter([b"x" * 65536] * 17), headers={"Content-Type": "application/json"})
    assert_error(chunked, 413, "request_too_large")


def test_cancelling_what_has_failed(suite: RunningSuite, sources: Sources) -> None:
    task_id = suite.call("POST", PROCESS, json={"video_url": sources.speech}).json()["task_id"]
    suite.finished(task_id)
    assert_error(suite.call("DELETE", f"/api/v1/tasks/{task_id}"), 409, "already_finished", "failed")
    assert suite.status(task_id)["status"] == "failed"


def test_an_idempotency_key_that_is_none(suite: RunningSuite) -> None:
    for key in ("x" * 256, "two words"):
        reply = suite.call("POST", PROCESS, json={"video_url": URL}, headers={"Idempotency-Key": key})
        assert_error(reply, 400, "invalid_request", "Idempotency-Key")


def test_a_request_that_is_no_http(suite: RunningSuite) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", suite.port, timeout=10)
    connection.putrequest("GET", "/health", skip_host=True)
    connection.endheaders()
    reply = connection.getresponse()
    body = reply.read()
    assert reply.status == 400
    assert b'"detail"' in body
    assert b'"error"' in body
    connection.close()
