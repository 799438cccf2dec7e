"""StitchService: validates a request and makes a task of it."""

from __future__ import annotations

from typing import Any

from lastframe.stitch.v1 import stitch_pb2, stitch_pb2_grpc
from lastframe.tasks.v1 import tasks_pb2

from shared.rpc.submit import Submitter, accepted, optional_fields
from shared.tasks import TaskKind


class StitchService(stitch_pb2_grpc.StitchServiceServicer):
    def __init__(self, submitter: Submitter) -> None:
        self._submitter = submitter

    async def StitchVideos(self, request: stitch_pb2.StitchVideosRequest, context: Any) -> tasks_pb2.TaskAccepted:
        for index, url in enumerate(request.video_urls):
            self._submitter.check_source(url, f"video_urls[{index}]", "invalid_video_url")
        options = optional_fields(request, "strategy")
        options.update(optional_fields(request.output_settings, "resolution", "frame_rate", "quality"))
        answer = await self._submitter.submit(
            TaskKind.VIDEO_STITCH,
            inputs={"video_urls": list(request.video_urls)},
            options=options,
            webhook_url=request.webhook_url if request.HasField("webhook_url") else None,
            dry_run=request.dry_run,
        )
        return accepted(answer, "Video stitch queued successfully")
