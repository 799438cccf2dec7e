"""Every metric that the suite exports, read off `shared/metrics.py`: what rules and dashboard may name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase

from shared import metrics as exported

BROKER_METRICS = frozenset({"rabbitmq_detailed_queue_messages_ready", "rabbitmq_detailed_queue_consumers"})
"""Of RabbitMQ's own `/metrics/detailed`, in the families that the PodMonitor asks for."""


def families() -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    """Name, type, labels and meaning of each metric family."""
    for metric in vars(exported).values():
        if isinstance(metric, MetricWrapperBase):
            (family,) = metric.describe()
            name = f"{family.name}_total" if family.type == "counter" else family.name
            yield name, family.type, metric._labelnames, family.documentation


def series() -> dict[str, frozenset[str]]:
    """Names that may stand in an expression, each with the labels that our code gives it."""
    found: dict[str, frozenset[str]] = {}
    for name, kind, labels, _ in families():
        parts = [f"{name}_{part}" for part in ("bucket", "sum", "count")] if kind == "histogram" else [name]
        found |= {part: frozenset(labels) for part in parts}
    return found | {name: frozenset({"queue"}) for name in BROKER_METRICS}


def as_markdown() -> str:
    """The table of docs/operations.md."""
    rows = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    rows += [
        f"| `{name}` | {kind} | {', '.join(labels) or '-'} | {meaning} |" for name, kind, labels, meaning in families()
    ]
    return "\n".join(rows) + "\n"


def update(page: Path) -> None:
    """Puts the table in the place of the one that the page has."""
    table = as_markdown()
    page.write_text(re.sub(r"(?m)^\| metric \|.*\n(?:\|.*\n)*", lambda _: table, page.read_text(), count=1))
