"""ProbeService: validates a request and makes a task of it."""

from __future__ import annotations

from typing import Any

from lastframe.probe.v1 import probe_pb2, probe_pb2_grpc
from lastframe.tasks.v1 import tasks_pb2

from shared.rpc.submit import Submitter, accepted
from shared.tasks import TaskKind


class ProbeService(probe_pb2_grpc.ProbeServiceServicer):
    def __init__(self, submitter: Submitter) -> None:
        self._submitter = submitter

    async def MeasureLength(self, request: probe_pb2.MeasureLengthRequest, context: Any) -> tasks_pb2.TaskAccepted:
        self._submitter.check_source(request.media_url, "media_url", "invalid_media_url")
        answer = await self._submitter.submit(
            TaskKind.MEDIA_LENGTH,
            inputs={"media_url": request.media_url},
            webhook_url=request.webhook_url if request.HasField("webhook_url") else None,
            dry_run=request.dry_run,
        )
        return accepted(answer, "Media length detection queued successfully")
