"""Spans that follow one request from the edge to its webhook.

The W3C `traceparent` of the submit is kept on the task's record, so that a job and a webhook, which may run hours later
in other processes, belong to the same trace. Without an exporter (`LASTFRAME_OTLP_ENDPOINT`) all of this is a no-op
that still passes a client's own `traceparent` on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

TRACEPARENT = "traceparent"
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?P<trace_id>[0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}.*")  # W3C Trace Context
_propagator = TraceContextTextMapPropagator()
_tracer = trace.get_tracer("lastframe")


@contextmanager
def span(
    name: str, carrier: Mapping[str, str], kind: SpanKind = SpanKind.INTERNAL, **attributes: str | int | float
) -> Iterator[Span]:
    """A span below the `traceparent` in `carrier`; an exception marks it as an error and goes on."""
    parent = _propagator.extract(dict(carrier))
    with _tracer.start_as_current_span(name, context=parent, kind=kind, attributes=attributes) as current:
        yield current


def context_of(current: Span, carrier: Mapping[str, str]) -> dict[str, str]:
    """`carrier` with the `traceparent` of `current`, or as it was when nothing is recorded."""
    if not current.get_span_context().is_valid:
        return dict(carrier)
    injected: dict[str, str] = dict(carrier)
    _propagator.inject(injected, trace.set_span_in_context(current))
    return injected


def log_fields(carrier: Mapping[str, str]) -> dict[str, str]:
    """What ties a log line to the request that it belongs to: the request's id and its trace's, as far as known."""
    found = {"request_id": carrier.get("x-request-id", "")}
    if match := _TRACEPARENT.fullmatch(carrier.get(TRACEPARENT, "")):
        found["trace_id"] = match["trace_id"]
    return {name: value for name, value in found.items() if value}


def mark_failed(current: Span, word: str) -> None:
    """Says on the span why its work failed."""
    current.set_status(Status(StatusCode.ERROR, word))
    current.set_attribute("lastframe.error", word)
