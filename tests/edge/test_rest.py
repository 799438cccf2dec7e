"""What REST callers see when all is well: shapes, headers, framing."""

from __future__ import annotations

import asyncio
import json
import re
import time

import pytest

from tests.edge.conftest import PICTURE, PICTURE_NAME, Edge
from tests.support.fake_services import ASSEMBLY, FINISHED, FINISHED_METADATA

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_submit_answers_as_the_guide_shows(edge: Edge):
    reply = await edge.submit("https://example.com/video.mp4")
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    assert reply.json == {
        "task_id": FINISHED,
        "status": "pending",
        "message": "Video processing queued successfully",
    }


async def test_zero_counts_and_empty_lists_print(edge: Edge):
    assert (await edge.call("GET", "/api/v1/tasks/recent")).json == {"tasks": [], "count": 0}
    assert (await edge.call("GET", "/")).json["uptime"] == 0


async def test_absent_fields_are_absent_and_big_sizes_are_numbers(edge: Edge):
    task = (await edge.call("GET", f"/api/v1/status/{FINISHED}")).json
    assert set(task) == {
        *("task_id", "status", "kind", "video_url", "image_url", "created_at", "completed_at", "metadata")
    }
    assert task["created_at"] == "2025-08-06T10:13:05.833Z"
    assert task["metadata"] == FINISHED_METADATA


async def test_an_assembly_has_a_null_error_message(edge: Edge):
    task = (await edge.call("GET", f"/api/v1/video/assembly/{ASSEMBLY}")).json
    assert task["error_message"] is None


async def test_query_parameters_reach_the_service_and_unknown_ones_are_ignored(edge: Edge):
    assert (await edge.call("GET", "/api/v1/tasks/recent?limit=1&utm=1")).json["count"] == 1


async def test_unknown_body_fields_are_ignored(edge: Edge):
    reply = await edge.call("POST", "/api/v1/process", json={"video_url": "https://a.example/", "later": [1]})
    assert reply.status == 200


async def test_head_is_refused_without_a_body_and_the_connection_stays_in_step(edge: Edge):
    after = b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    reply = await edge.raw(b"HEAD /health HTTP/1.1\r\nhost: x\r\n\r\n" + after)
    assert (reply.status, reply.headers["allow"]) == (405, "get")
    assert reply.body.startswith(b"HTTP/1.1 200 OK\r\n")


async def test_a_request_id_is_made_or_kept_and_reaches_the_service(edge: Edge):
    made = (await edge.submit("https://a.example/")).headers["x-request-id"]
    assert re.fullmatch(r"[0-9a-f-]{36}", made)
    assert edge.services.frames.metadata[-1]["x-request-id"] == made
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    sent = {"x-request-id": "mine-17", "traceparent": trace, "Idempotency-Key": "k1"}
    kept = await edge.submit("https://a.example/", headers=sent)
    assert kept.headers["x-request-id"] == "mine-17"
    metadata = edge.services.frames.metadata[-1]
    assert metadata["x-request-id"] == "mine-17"
    assert metadata["traceparent"] == trace
    assert metadata["idempotency-key"] == "k1"


async def test_who_comes_over_rest_is_known_and_cannot_be_spoofed(edge: Edge):
    await edge.submit("https://a.example/", headers={"x-envoy-original-path": "/spoofed", "x-client-name": "root"})
    metadata = edge.services.frames.metadata[-1]
    assert metadata["x-envoy-original-path"] == "/api/v1/process"
    assert "x-client-name" not in metadata


async def test_rest_answers_carry_no_grpc_headers(edge: Edge):
    for reply in (await edge.submit("https://a.example/"), await edge.submit("https://fail.example/invalid")):
        assert not [name for name in reply.headers if name.lower().startswith("grpc-")]
        assert reply.headers["x-content-type-options"] == "nosniff"


async def test_a_preflight_needs_no_key_and_any_origin_may_call(edge: Edge):
    asked = {"Origin": "https://film.example", "Access-Control-Request-Method": "DELETE"}
    preflight = await edge.call("OPTIONS", f"/api/v1/tasks/{FINISHED}", headers=asked)
    assert preflight.status == 200
    assert preflight.headers["access-control-allow-origin"] == "https://film.example"
    assert "DELETE" in preflight.headers["access-control-allow-methods"]
    assert "idempotency-key" in preflight.headers["access-control-allow-headers"]
    # On the path that another route's pattern covers too.
    reply = await edge.call("GET", "/api/v1/tasks/recent", headers={"Origin": "https://film.example"})
    assert reply.headers["access-control-allow-origin"] == "https://film.example"
    refused = await edge.submit("https://fail.example/unauthorized", headers={"Origin": "https://film.example"})
    assert (refused.status, refused.headers["access-control-allow-origin"]) == (401, "https://film.example")


async def test_events_arrive_one_by_one_as_server_sent_events(edge: Edge):
    arrivals, text = [], b""
    async with edge.client.get(f"{edge.url}/api/v1/tasks/{FINISHED}/events") as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        async for chunk in answer.content.iter_any():
            arrivals.append(time.monotonic())
            text += chunk
    events = text.decode().split("\n\n")
    assert events.pop() == ""
    assert all(event.startswith("data: {") for event in events)
    states = [json.loads(event.removeprefix("data: "))["status"] for event in events]
    assert states == ["pending", "processing", "completed"]
    assert arrivals[-1] - arrivals[0] > 0.3  # the fake sleeps 0.2 s twice: nothing was held back


async def test_watch_is_newline_delimited_json(edge: Edge):
    reply = await edge.call("GET", f"/api/v1/tasks/{FINISHED}/watch")
    assert [json.loads(line)["status"] for line in reply.body.splitlines()] == ["pending", "processing", "completed"]


async def test_big_answers_are_compressed_on_request(edge: Edge):
    reply = await edge.call("GET", "/openapi.json", headers={"Accept-Encoding": "gzip"})
    assert reply.headers["content-encoding"] == "gzip"
    assert reply.json["openapi"] == "3.1.0"


async def test_results_are_served_with_ranges_and_only_read(edge: Edge):
    path = f"/media/{PICTURE_NAME}"
    whole = await edge.call("GET", path)
    assert (whole.status, whole.body, whole.headers["content-type"]) == (200, PICTURE, "image/jpeg")
    assert whole.headers["x-content-type-options"] == "nosniff"
    part = await edge.call("GET", path, headers={"Range": "bytes=5-9"})
    assert (part.status, part.body, part.headers["content-range"]) == (206, PICTURE[5:10], "bytes 5-9/10240")
    head = await edge.call("HEAD", path)
    assert (head.status, head.headers["content-length"], head.body) == (200, "10240", b"")
    assert (await edge.call("DELETE", path)).is_error(405, "method_not_allowed")
    assert (await edge.call("GET", "/media/nothing.jpg")).is_error(404, "not_found")


async def test_the_access_log_says_who_asked_for_what(edge: Edge):
    await edge.submit("https://a.example/", headers={"x-request-id": "log-me"})
    deadline = time.monotonic() + 20  # Envoy flushes its files once a second
    lines: list[dict[str, object]] = []
    while not lines and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
        entries = [json.loads(line) for line in edge.access_log.read_text().splitlines()]
        lines = [entry for entry in entries if entry["request_id"] == "log-me"]
    [line] = lines
    assert (line["method"], line["path"], line["status"]) == ("POST", "/api/v1/process", 200)
    assert line["grpc"] == "/lastframe.frames.v1.FramesService/ExtractLastFrame"
