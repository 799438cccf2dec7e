"""FramesService: validates a request and makes a task of it."""

from __future__ import annotations

from typing import Any

from lastframe.frames.v1 import frames_pb2, frames_pb2_grpc
from lastframe.tasks.v1 import tasks_pb2

from shared.rpc.submit import Submitter, accepted
from shared.tasks import TaskKind


class FramesService(frames_pb2_grpc.FramesServiceServicer):
    def __init__(self, submitter: Submitter) -> None:
        self._submitter = submitter

    async def ExtractLastFrame(
        self, request: frames_pb2.ExtractLastFrameRequest, context: Any
    ) -> tasks_pb2.TaskAccepted:
        self._submitter.check_source(request.video_url, "video_url", "invalid_video_url")
        image_format = {"": "jpg", "jpeg": "jpg"}.get(request.image_format, request.image_format)
        answer = await self._submitter.submit(
            TaskKind.LAST_FRAME,
            inputs={"video_url": request.video_url},
            options={
                "image_format": image_format,
                "quality": request.quality if request.HasField("quality") else 95,
            },
            webhook_url=request.webhook_url if request.HasField("webhook_url") else None,
            dry_run=request.dry_run,
        )
        return accepted(answer, "Video processing queued successfully")
