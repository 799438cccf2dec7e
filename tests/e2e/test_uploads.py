"""Files of the caller's own: streamed through the edge, usable as sources, gone when they are due."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
import requests
from google.api.httpbody_pb2 import HttpBody
from lastframe.server.v1 import uploads_pb2, uploads_pb2_grpc

from tests.conftest import Sources
from tests.support.suite import KEY, METADATA, RunningSuite

PATH = "/api/v1/uploads"
LIMIT = 3_000_000


def memory_bytes(pid: int) -> int:
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def test_an_upload_is_a_source(suite: RunningSuite, sources: Sources) -> None:
    content = sources.files["video"].read_bytes()
    reply = suite.call("POST", f"{PATH}?filename=My%20clip.MP4", data=content)
    assert reply.status_code == 200, reply.text
    upload = reply.json()
    assert upload["size_bytes"] == len(content)
    assert upload["sha256"] == hashlib.sha256(content).hexdigest()
    due = datetime.fromisoformat(upload["expires_at"])
    assert timedelta(hours=23.9) < due - datetime.now(UTC) <= timedelta(hours=24)
    served = requests.get(upload["url"], timeout=10)
    assert (served.content, served.headers["content-type"]) == (content, "video/mp4")
    of_upload = suite.completed("/api/v1/process", {"video_url": upload["url"], "image_format": "png"})
    of_source = suite.completed("/api/v1/process", {"video_url": sources.video, "image_format": "png"})
    assert of_upload["metadata"]["sha256"] == of_source["metadata"]["sha256"]


def test_a_big_file_streams_in_chunks_of_unknown_length_and_never_fills_the_memory(suite: RunningSuite) -> None:
    piece, count = os.urandom(1 << 20), 120
    before = memory_bytes(suite.pid)
    reply = suite.call("POST", PATH, data=(piece for _ in range(count)))
    assert reply.status_code == 200, reply.text
    digest = hashlib.sha256()
    for _ in range(count):
        digest.update(piece)
    assert reply.json() | {"sha256": digest.hexdigest(), "size_bytes": count << 20} == reply.json()
    assert reply.json()["url"].endswith(".bin")
    assert memory_bytes(suite.pid) - before < 60 << 20
    name = reply.json()["url"].rpartition("/")[2]
    (suite.directory / "media" / name).unlink()


def test_without_a_key_the_answer_comes_before_the_body(suite: RunningSuite) -> None:
    with socket.create_connection(("127.0.0.1", suite.port), timeout=10) as connection:
        head = f"POST {PATH} HTTP/1.1\r\nhost: suite\r\ncontent-length: 100000000\r\n\r\n"
        connection.sendall(head.encode() + b"x" * 1000)
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 401 "), answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"] == "unauthorized"
    assert not list((suite.directory / "media").glob("upload-*.bin"))


def test_an_upload_that_breaks_off_leaves_nothing(suite: RunningSuite) -> None:
    media, scratch = suite.directory / "media", suite.directory / "uploads"
    before = set(media.iterdir())
    with socket.create_connection(("127.0.0.1", suite.port), timeout=10) as connection:
        head = f"POST {PATH} HTTP/1.1\r\nhost: suite\r\nauthorization: Bearer {KEY}\r\ncontent-length: 9000000\r\n\r\n"
        connection.sendall(head.encode() + b"x" * 3_000_000)
    assert suite.call("POST", PATH, data=b"another").status_code == 200
    assert len(set(media.iterdir()) - before) == 1
    assert list(scratch.iterdir()) == []


def test_nothing_is_no_file(suite: RunningSuite) -> None:
    reply = suite.call("POST", PATH, data=b"")
    assert (reply.status_code, reply.json()["error"]) == (400, "invalid_request")


def test_a_form_is_no_file(suite: RunningSuite, sources: Sources) -> None:
    reply = suite.call("POST", PATH, files={"file": sources.files["video"].read_bytes()})
    assert (reply.status_code, reply.json()["error"]) == (400, "invalid_request")
    assert "not a form" in reply.json()["detail"]


@pytest.mark.parametrize("filename", ["page.html", "picture.svg", "script.js", "x", "../../etc/passwd", "a.MP4.exe"])
def test_nothing_is_served_that_a_browser_would_run(suite: RunningSuite, filename: str) -> None:
    reply = suite.call("POST", PATH, params={"filename": filename}, data=b"<script>alert(1)</script>")
    served = requests.get(reply.json()["url"], timeout=10)
    assert served.headers["content-type"] == "application/octet-stream"
    assert served.headers["x-content-type-options"] == "nosniff"


def test_over_native_grpc(suite: RunningSuite, sources: Sources) -> None:
    content = sources.files["music"].read_bytes()

    def pieces() -> Iterator[uploads_pb2.UploadFileRequest]:
        yield uploads_pb2.UploadFileRequest(filename="music.mp3")
        for start in range(0, len(content), 5000):
            yield uploads_pb2.UploadFileRequest(file=HttpBody(data=content[start : start + 5000]))

    with suite.channel() as channel:
        stub = uploads_pb2_grpc.UploadsServiceStub(channel)
        upload = stub.UploadFile(pieces(), metadata=METADATA, timeout=20)
        assert upload.sha256 == hashlib.sha256(content).hexdigest()
        assert upload.url.endswith(".mp3")
        with pytest.raises(grpc.RpcError) as refused:
            stub.UploadFile(pieces(), timeout=20)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_the_limit_of_sources_and_expiry_across_restarts(tmp_path: Path) -> None:
    with RunningSuite(tmp_path / "data", max_input_bytes=str(LIMIT), result_name_secret="s") as suite:
        fits = suite.call("POST", PATH, data=b"x" * LIMIT)
        assert fits.status_code == 200, fits.text
        headers = {"Authorization": f"Bearer {KEY}"}
        too_big = requests.post(suite.url + PATH, data=b"x" * (LIMIT + 1), headers=headers, timeout=30)
        assert (too_big.status_code, too_big.json()["error"]) == (400, "file_too_large")
        assert str(LIMIT) in too_big.json()["detail"]
    media = tmp_path / "data" / "media"
    [kept] = media.glob("upload-*")
    yesterday = int((datetime.now(UTC) - timedelta(seconds=5)).timestamp())
    due = kept.with_name(f"upload-{yesterday}-{'0' * 32}.mp4")
    due.write_bytes(b"x")
    with RunningSuite(tmp_path / "data", result_name_secret="s") as suite:
        suite.completed("/api/v1/audio-stitch", {"audio_urls": [_a_sound(suite)]})
    assert kept.exists()
    assert not due.exists()


def _a_sound(suite: RunningSuite) -> str:
    """An upload under another name than its own is a source with derived result names too."""
    import io
    import wave

    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(16000))
    return str(suite.call("POST", f"{PATH}?filename=a.wav", data=buffer.getvalue()).json()["url"])
