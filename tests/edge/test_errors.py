"""Every error, Envoy's own included, is {"detail", "error"} as JSON with the right status."""

from __future__ import annotations

import pytest

from tests.edge.conftest import Edge
from tests.support.fake_services import FAILURES, FINISHED, UNKNOWN

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOO_BIG = b'{"video_url": "' + b"a" * (1 << 20) + b'"}'


@pytest.mark.parametrize("name", FAILURES)
async def test_a_failure_of_a_service_keeps_its_status_word_and_text(edge: Edge, name: str):
    failure = FAILURES[name]
    reply = await edge.submit(f"https://fail.example/{name}")
    assert reply.is_error(failure.http_status, failure.word)
    assert reply.json["detail"] == failure.detail


async def test_headers_of_failures_reach_the_caller(edge: Edge):
    assert (await edge.submit("https://fail.example/unauthorized")).headers["www-authenticate"] == "Bearer"
    assert (await edge.submit("https://fail.example/rate_limited")).headers["retry-after"] == "7"


async def test_an_error_that_the_grpc_runtime_makes_has_the_shape_too(edge: Edge):
    assert (await edge.submit("https://broken.example/")).is_error(500, "unknown_error")
    assert (await edge.call("POST", "/api/v1/stitch", json={})).is_error(501, "not_implemented")


@pytest.mark.parametrize(
    "body",
    [
        b'{"video_url":',
        b"hello",
        b"[1]",
        b'"x"',
        b"null",
        b'{"video_url": 123}',
        b'{"quality": 1.5}',
        b'{"video_url": "\xff"}',
    ],
)
async def test_what_is_not_the_json_asked_for_is_400(edge: Edge, body: bytes):
    begun = edge.services.frames.begun
    assert (await edge.call("POST", "/api/v1/process", data=body)).is_error(400, "invalid_request")
    assert edge.services.frames.begun == begun


@pytest.mark.parametrize("query", ["limit=abc", "limit=", "limit=1&limit=2", "limit=99999999999"])
async def test_a_query_of_the_wrong_type_is_400(edge: Edge, query: str):
    assert (await edge.call("GET", f"/api/v1/tasks/recent?{query}")).is_error(400, "invalid_request")


@pytest.mark.parametrize("path", ["/nope", "/api/v1", "/api/v1/process/x", "/docs/a/b", "/media", "/console/a/b"])
async def test_an_unknown_path_is_404(edge: Edge, path: str):
    assert (await edge.call("GET", path)).is_error(404, "not_found")


async def test_json_posted_to_an_rpc_path_is_404(edge: Edge):
    path = "/lastframe.frames.v1.FramesService/ExtractLastFrame"
    assert (await edge.call("POST", path, json={"video_url": "https://a.example/"})).is_error(404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/api/v1/process", "POST"),
        ("PUT", "/api/v1/process", "POST"),
        ("POST", "/health", "GET"),
        ("OPTIONS", "/health", "GET"),
        ("PATCH", f"/api/v1/tasks/{FINISHED}", "DELETE"),
        ("GET", f"/api/v1/tasks/{FINISHED}", "DELETE"),
        ("POST", "/api/v1/tasks/recent", "GET"),
        ("POST", f"/api/v1/tasks/{FINISHED}/events", "GET"),
    ],
)
async def test_a_wrong_method_is_405_with_the_right_ones(edge: Edge, method: str, path: str, allowed: str):
    reply = await edge.call(method, path)
    assert reply.is_error(405, "method_not_allowed")
    assert reply.headers["allow"] == allowed


async def _chunks():
    yield TOO_BIG


@pytest.mark.parametrize("framing", ["content-length", "chunked"])
async def test_a_body_over_one_mebibyte_is_413(edge: Edge, framing: str):
    begun = edge.services.frames.begun
    data = TOO_BIG if framing == "content-length" else _chunks()
    reply = await edge.call("POST", "/api/v1/process", data=data)
    assert reply.is_error(413, "request_too_large")
    assert edge.services.frames.begun == begun


async def test_a_chunked_body_within_the_limit_is_fine(edge: Edge):
    async def parts():
        yield b'{"video_url": '
        yield b'"https://a.example/"}'

    assert (await edge.call("POST", "/api/v1/process", data=parts())).status == 200


async def test_headers_that_are_too_large_are_431(edge: Edge):
    # Read raw: the edge answers and closes while a client may still be sending.
    request = b"GET /health HTTP/1.1\r\nhost: x\r\nbig: " + b"a" * 70_000 + b"\r\n\r\n"
    assert (await edge.raw(request)).is_error(431, "invalid_request")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /health HTTP/1.0\r\n\r\n", 426),
        (b"POST /api/v1/process HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}", 400),
        (b"GARBAGE\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\n\r\n", 400),
    ],
)
async def test_what_is_not_http_1_1_is_told_so_in_json(edge: Edge, request_bytes: bytes, status: int):
    assert (await edge.raw(request_bytes)).is_error(status, "invalid_request")


async def test_a_body_that_never_comes_is_408(edge: Edge):
    request = b"POST /api/v1/process HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 99\r\n\r\n{"
    assert (await edge.raw(request)).is_error(408, "timeout")


async def test_a_route_that_takes_too_long_is_504(edge: Edge):
    assert (await edge.submit("https://slow.example/")).is_error(504, "timeout")


async def test_a_submit_is_never_sent_twice(edge: Edge):
    begun = edge.services.frames.begun
    await edge.submit("https://fail.example/unavailable")
    assert edge.services.frames.begun == begun + 1


async def test_an_unknown_task_is_404_also_as_a_stream(edge: Edge):
    for path in (f"/api/v1/status/{UNKNOWN}", f"/api/v1/tasks/{UNKNOWN}/events", f"/api/v1/tasks/{UNKNOWN}/watch"):
        assert (await edge.call("GET", path)).is_error(404, "task_not_found")


async def test_cancelling_a_finished_task_is_409(edge: Edge):
    assert (await edge.call("DELETE", f"/api/v1/tasks/{FINISHED}")).is_error(409, "already_finished")
