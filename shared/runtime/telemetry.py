"""Logs: structlog, JSON on stderr, readable on a terminal. Metrics: Prometheus text on a port."""

from __future__ import annotations

import logging
import sys

import structlog
from prometheus_client import start_http_server

from shared.runtime.version import VERSION


def configure_logs(level: str) -> None:
    """Call once, before the first log line."""
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if sys.stderr.isatty():
        processors.append(structlog.dev.ConsoleRenderer())
    else:
        processors += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(logging.WARNING, logging.getLevelNamesMapping()[level.upper()]), stream=sys.stderr)


def serve_metrics(port: int) -> None:
    """Prometheus text at `http://0.0.0.0:port/metrics`, from a thread of its own; 0 for none."""
    if port:
        start_http_server(port)


def export_traces(endpoint: str, service: str) -> None:
    """Sends spans to an OTLP collector in batches, in the background; nothing waits for it. No endpoint, no traces."""
    if not endpoint:
        return
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": service, "service.version": VERSION}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint, insecure=endpoint.startswith("http:"))))
    trace.set_tracer_provider(provider)
