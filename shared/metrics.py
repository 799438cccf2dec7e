"""What Prometheus sees of one process. Names follow its conventions; docs/operations.md says what to do about each.

Decoder children have no exporter: what they measure reaches their parent over the pipe.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 900)

rpc_seconds = Histogram(
    "lastframe_rpc_seconds", "Time to answer an RPC; watches count until they end.", ("method", "code"), buckets=SECONDS
)
job_seconds = Histogram(
    "lastframe_job_seconds", "Time that one attempt at a job took.", ("kind", "outcome"), buckets=SECONDS
)
job_phase_seconds = Histogram(
    "lastframe_job_phase_seconds", "Time of a completed job by phase.", ("kind", "phase"), buckets=SECONDS
)
job_wait_seconds = Histogram(
    "lastframe_job_wait_seconds", "Time from a task's submit to its first attempt.", ("kind",), buckets=SECONDS
)
tasks_finished = Counter(
    "lastframe_tasks_finished_total", "Tasks that ended here, by error word (empty: completed).", ("kind", "error")
)
task_retries = Counter(
    "lastframe_task_retries_total", "Attempts that failed and will be repeated, by error word.", ("kind", "error")
)
redeliveries = Counter("lastframe_redeliveries_total", "Hints for tasks that were not to be had.")
jobs_running = Gauge("lastframe_jobs_running", "Attempts that run in this process.")
job_slots = Gauge("lastframe_job_slots", "Attempts that may run in this process at once.")
leases_expired = Counter("lastframe_leases_expired_total", "Tasks whose worker fell silent.", ("kind",))
child_crashes = Counter("lastframe_child_crashes_total", "Decoder children that died before their answer.", ("kind",))
source_bytes = Counter("lastframe_source_bytes_total", "Bytes fetched from sources.", ("kind",))
webhook_attempts = Counter("lastframe_webhook_attempts_total", "Webhook posts by outcome.", ("outcome",))
accelerator_fallbacks = Counter(
    "lastframe_accelerator_fallbacks_total", "Jobs that left the GPU for software, by reason.", ("reason",)
)
accelerator_available = Gauge(
    "lastframe_accelerator_available", "Whether a video engine worked when this worker started (1 or 0).", ("engine",)
)
gpu_utilization_percent = Gauge(
    "lastframe_gpu_utilization_percent",
    "The busiest of SM, encoder and decoder over this machine's GPUs; absent where there are none.",
    ("meter",),
)
tasks = Gauge("lastframe_tasks", "Tasks in the store by status; the same in every process.", ("status",))
queue_age_seconds = Gauge(
    "lastframe_queue_age_seconds", "Age of the oldest pending task, 0 when none waits; the same in every process."
)
scratch_bytes = Gauge("lastframe_scratch_bytes", "Bytes in this worker's scratch directory.")
