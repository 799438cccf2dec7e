"""ServerService: what the suite is and how it is."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from lastframe.server.v1 import server_pb2, server_pb2_grpc

from services.gateway.health import HealthWatch
from shared.errors import Unavailable
from shared.jobs.ledger import Ledger
from shared.ports import GpuMeter, ObjectStore
from shared.public import to_the_millisecond
from shared.rpc.call import current_caller
from shared.tasks import TaskStatus

SERVICE_NAME = "Last Frame Extractor"


@dataclass(frozen=True)
class Deployment:
    """What does not change while the suite runs.

    Attributes:
        parts: health name (`mongodb`, …) → True when the embedded twin stands in for it.
        sandbox: `full`, `partial` or `none`; None in a process that runs no decoders.
    """

    version: str
    max_concurrent_tasks: int
    parts: Mapping[str, bool]
    sandbox: str | None


class ServerService(server_pb2_grpc.ServerServiceServicer):
    def __init__(self, ledger: Ledger, objects: ObjectStore, gpu: GpuMeter, deployment: Deployment) -> None:
        self._ledger = ledger
        self._objects = objects
        self._gpu = gpu
        self._deployment = deployment
        self._started = time.monotonic()
        self._started_at = datetime.now(UTC)
        self.health = HealthWatch(
            {
                "mongodb": ledger.store.now,
                "redis": ledger.live.is_up,
                "rabbitmq": ledger.queue.is_up,
                "storage": objects.is_up,
            }
        )
        self.draining = False
        self.has_video_engine = False

    @property
    def _uptime_seconds(self) -> int:
        return int(time.monotonic() - self._started)

    @property
    def _status(self) -> str:
        return "draining" if self.draining else "running"

    async def GetRoot(self, request: server_pb2.GetRootRequest, context: Any) -> server_pb2.Root:
        return server_pb2.Root(
            service=SERVICE_NAME,
            version=self._deployment.version,
            status=self._status,
            uptime=self._uptime_seconds,
        )

    async def GetHealth(self, request: server_pb2.GetHealthRequest, context: Any) -> server_pb2.Health:
        parts = await self.health.look()
        words = {name: self._word(name, part.is_up) for name, part in parts.items()}
        has_gpu = self.has_video_engine or self._gpu.utilization_percent() is not None
        gpu = "available" if has_gpu else "unavailable"
        found: dict[str, Any] = {
            "timestamp": _timestamp(datetime.now(UTC)),
            "services": server_pb2.HealthServices(gpu=gpu, sandbox=self._deployment.sandbox, **words),
            "since": server_pb2.HealthSince(**{name: _timestamp(part.since) for name, part in parts.items()}),
        }
        if not parts["mongodb"].is_up:
            raise Unavailable(
                "The task store is not reachable", facts=server_pb2.Unhealthy(status="unhealthy", **found)
            )
        is_whole = all(part.is_up for part in parts.values())
        return server_pb2.Health(status="healthy" if is_whole else "degraded", **found)

    def _word(self, part: str, up: bool) -> str:
        if not up:
            return "disconnected"
        return "embedded" if self._deployment.parts.get(part, False) else "connected"

    async def GetServerStatus(
        self, request: server_pb2.GetServerStatusRequest, context: Any
    ) -> server_pb2.ServerStatus:
        owner = current_caller().visible_owner
        store = self._ledger.store
        counts = await store.counts(owner)
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        last_activity = await store.last_activity(owner)
        status = server_pb2.ServerStatus(
            server_status=self._status,
            active_tasks=counts[TaskStatus.PROCESSING],
            queue_size=counts[TaskStatus.PENDING],
            max_concurrent_tasks=self._deployment.max_concurrent_tasks,
            gpu_utilization=self._gpu.utilization_percent() or 0.0,
            memory_usage=memory_usage_percent(),
            uptime=self._uptime_seconds,
            processed_videos_today=await store.finished_since(today, owner),
        )
        if last_activity is not None:
            status.last_activity.CopyFrom(_timestamp(last_activity))
        return status

    async def GetServerStats(self, request: server_pb2.GetServerStatsRequest, context: Any) -> server_pb2.ServerStats:
        store = self._ledger.store
        counts = await store.counts(current_caller().visible_owner)
        return server_pb2.ServerStats(
            server=server_pb2.ServerFacts(
                status=self._status, uptime=self._uptime_seconds, start_time=_timestamp(self._started_at)
            ),
            tasks=server_pb2.TaskCounts(
                **{status.value: counts[status] for status in TaskStatus}, total=sum(counts.values())
            ),
            queue=server_pb2.QueueFacts(
                active_tasks=counts[TaskStatus.PROCESSING],
                queue_size=counts[TaskStatus.PENDING],
                max_concurrent=self._deployment.max_concurrent_tasks,
            ),
            system=server_pb2.SystemFacts(
                memory_usage=memory_usage_percent(), gpu_utilization=self._gpu.utilization_percent() or 0.0
            ),
        )


def memory_usage_percent() -> float:
    """The share of this machine's memory that is in use, in percent: 1 - MemAvailable / MemTotal."""
    fields = {}
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        fields[name] = float(rest.split()[0])
    return round(100.0 * (1.0 - fields["MemAvailable"] / fields["MemTotal"]), 1)


def _timestamp(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(to_the_millisecond(moment))
    return stamp
