"""Every metric that the suite exports: what rules and dashboard may name, and what docs/operations.md tells."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """One metric family.

    Attributes:
        kind: `counter`, `gauge` or `histogram`.
        role: which processes export it: `gateway`, `api` (gateway included), `worker`, `edge` or `all`.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    role: str
    meaning: str


METRICS: tuple[Metric, ...] = (
    Metric("lastframe_build_info", "gauge", ("version", "revision"), "all", "1; what runs"),
    Metric("lastframe_queue_age_seconds", "gauge", (), "gateway", "age of the oldest pending task; 0 when none waits"),
    Metric("lastframe_tasks", "gauge", ("status",), "gateway", "tasks in the store that are `pending` or `processing`"),
    Metric("lastframe_tasks_stuck", "gauge", (), "gateway", "processing for longer than the job deadline and a minute"),
    Metric("lastframe_rpc_seconds", "histogram", ("method", "code"), "api", "time of a gRPC call"),
    Metric("lastframe_tasks_accepted_total", "counter", ("kind",), "api", "tasks written by a submit"),
    Metric("lastframe_task_wait_seconds", "histogram", ("kind",), "worker", "from acceptance to the first claim"),
    Metric("lastframe_job_seconds", "histogram", ("kind", "phase"), "worker", "time of a job in each phase"),
    Metric(
        "lastframe_tasks_finished_total",
        "counter",
        ("kind", "outcome"),
        "worker",
        "settled tasks; outcome is `completed` or the error's word",
    ),
    Metric(
        "lastframe_task_retries_total", "counter", ("kind", "reason"), "worker", "attempts given back after a failure"
    ),
    Metric("lastframe_redeliveries_total", "counter", ("kind",), "worker", "hints dropped: settled or leased already"),
    Metric(
        "lastframe_webhook_attempts_total",
        "counter",
        ("result",),
        "worker",
        "`delivered`, `retry` or `given_up`",
    ),
    Metric("lastframe_worker_slots", "gauge", ("feature", "pool"), "worker", "jobs that this process may run at once"),
    Metric("lastframe_worker_slots_busy", "gauge", ("feature", "pool"), "worker", "jobs that it runs"),
    Metric("lastframe_source_bytes_total", "counter", ("kind",), "worker", "bytes fetched from sources"),
    Metric("lastframe_result_bytes_total", "counter", ("kind",), "worker", "bytes stored as results"),
    Metric("lastframe_scratch_bytes", "gauge", (), "worker", "bytes in the scratch directory"),
    Metric("lastframe_child_crashes_total", "counter", ("kind",), "worker", "decoder children that died by themselves"),
    Metric(
        "lastframe_accelerator_info",
        "gauge",
        ("decode", "encode"),
        "worker",
        "1; what the start-up probe found: `nvdec` or `software`, `nvenc` or `software`",
    ),
    Metric(
        "lastframe_accelerator_fallbacks_total",
        "counter",
        ("reason",),
        "worker",
        "software instead of the GPU: `no_driver`, `decode_failed`, `encode_failed`",
    ),
    Metric(
        "lastframe_gpu_utilization_ratio", "gauge", (), "worker", "the busiest of SM, encoder and decoder; GPU only"
    ),
)

BROKER_METRICS = frozenset({"rabbitmq_detailed_queue_messages_ready", "rabbitmq_detailed_queue_consumers"})
"""Of RabbitMQ's own `/metrics/detailed`, in the families that the PodMonitor asks for."""


def series_names() -> frozenset[str]:
    """Names that may stand in an expression."""
    ours = {
        name
        for metric in METRICS
        for name in (
            [f"{metric.name}_{part}" for part in ("bucket", "sum", "count")]
            if metric.kind == "histogram"
            else [metric.name]
        )
    }
    return frozenset(ours) | BROKER_METRICS


def as_markdown() -> str:
    """The table of docs/operations.md."""
    rows = ["| metric | type | labels | from | meaning |", "|---|---|---|---|---|"]
    rows += [
        f"| `{metric.name}` | {metric.kind} | {', '.join(metric.labels) or '-'} | {metric.role} | {metric.meaning} |"
        for metric in METRICS
    ]
    return "\n".join(rows) + "\n"
