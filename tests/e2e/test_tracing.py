"""One trace and one request id from the edge to the webhook, as a collector and the receiver see them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from tests.conftest import Sources
from tests.support.receiver import Receiver
from tests.support.suite import RunningSuite

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
WANTED = {"lastframe.probe.v1.ProbeService/MeasureLength", "job media_length", "webhook"}


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """A real OTLP endpoint that keeps what it is sent."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.complete = threading.Event()

    def Export(self, request: Any, context: Any) -> Any:
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.spans += [span for span in scope.spans if span.trace_id.hex() == TRACE_ID]
        if {span.name for span in self.spans} >= WANTED:
            self.complete.set()
        return trace_service_pb2.ExportTraceServiceResponse()


@pytest.fixture
def collector() -> Iterator[tuple[Collector, str]]:
    server = grpc.server(futures.ThreadPoolExecutor(2))
    servicer = Collector()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield servicer, f"http://127.0.0.1:{port}"
    server.stop(None)


@pytest.fixture
def receiver() -> Iterator[tuple[list[dict[str, str]], str]]:
    seen: list[dict[str, str]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            seen.append({key.lower(): value for key, value in self.headers.items()})
            self.send_response(204)
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield seen, f"http://127.0.0.1:{server.server_address[1]}/hook"
    server.shutdown()
    server.server_close()


def test_a_trace_goes_from_the_edge_to_the_webhook(
    tmp_path: Path,
    sources: Sources,
    collector: tuple[Collector, str],
    receiver: tuple[list[dict[str, str]], str],
) -> None:
    servicer, endpoint = collector
    seen, hook = receiver
    with RunningSuite(tmp_path, otlp_endpoint=endpoint) as suite:
        headers = {"traceparent": f"00-{TRACE_ID}-00f067aa0ba902b7-01", "x-request-id": "from-the-client"}
        suite.completed("/api/v1/length", {"media_url": sources.speech, "webhook_url": hook}, headers=headers)
        assert servicer.complete.wait(20), [span.name for span in servicer.spans]
    spans = {span.name: span for span in servicer.spans}
    rpc, job, webhook = (spans[name] for name in sorted(WANTED, key=len, reverse=True))
    assert rpc.parent_span_id.hex() == "00f067aa0ba902b7"
    assert job.parent_span_id == webhook.parent_span_id == rpc.span_id
    assert seen[0]["x-request-id"] == "from-the-client"
    lines = [json.loads(line) for line in suite.log.splitlines() if "job_ended" in line]
    assert [(line["request_id"], line["trace_id"]) for line in lines] == [("from-the-client", TRACE_ID)]
    assert seen[0]["traceparent"] == f"00-{TRACE_ID}-{webhook.span_id.hex()}-01"


def test_a_request_id_without_end_is_not_kept(suite: RunningSuite, sources: Sources) -> None:
    """It would stand in the store, in every log line of the job and in its webhook."""
    with Receiver() as receiver:
        for length, kept in ((128, True), (5000, False)):
            name = "r" * length
            body = {"media_url": sources.speech, "webhook_url": receiver.url()}
            suite.completed("/api/v1/length", body, headers={"x-request-id": name})
            assert (receiver.next().headers.get("x-request-id") == name) is kept
