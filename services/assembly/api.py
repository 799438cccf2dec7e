"""AssemblyService: validates a request and makes a task of it."""

from __future__ import annotations

from collections import Counter
from math import ceil
from typing import Any

from lastframe.assembly.v1 import assembly_pb2, assembly_pb2_grpc
from lastframe.tasks.v1 import tasks_pb2

from services.assembly.estimate import estimate_seconds
from shared.errors import InvalidRequest, NotFound
from shared.jobs.ledger import Ledger
from shared.rpc.call import current_caller
from shared.rpc.plans import plan_message
from shared.rpc.render import task_message
from shared.rpc.submit import PLANNED, Submitter, optional_fields
from shared.tasks import Plan, TaskKind


class AssemblyService(assembly_pb2_grpc.AssemblyServiceServicer):
    def __init__(self, submitter: Submitter, ledger: Ledger) -> None:
        self._submitter = submitter
        self._ledger = ledger

    async def AssembleMovie(
        self, request: assembly_pb2.AssembleMovieRequest, context: Any
    ) -> assembly_pb2.AssemblyAccepted:
        self._check(request)
        settings = optional_fields(request.output_settings, "quality", "resolution", "include_audio", "audio_sync_mode")
        scenes = [
            {
                "video_url": scene.video_url,
                "label": f"scene_videos[{index}].video_url",
                "sequence_number": scene.sequence_number,
                **optional_fields(scene, "scene_id", "expected_duration"),
            }
            for index, scene in enumerate(request.scene_videos)
        ]
        scenes.sort(key=lambda scene: scene["sequence_number"])
        master = {
            "audio_url": request.master_audio.audio_url,
            **optional_fields(request.master_audio, "expected_duration"),
        }
        answer = await self._submitter.submit(
            TaskKind.MOVIE_ASSEMBLY,
            inputs={"project_id": request.project_id},
            options={"scenes": scenes, "master": master, "settings": settings},
            webhook_url=request.webhook_url if request.HasField("webhook_url") else None,
            dry_run=request.dry_run,
        )
        if isinstance(answer, Plan):
            return assembly_pb2.AssemblyAccepted(
                status=PLANNED,
                estimated_processing_time=ceil(answer.facts["estimated_seconds"]),
                total_scenes=len(scenes),
                plan=plan_message(answer),
            )
        return assembly_pb2.AssemblyAccepted(
            task_id=answer.task_id,
            status=answer.status.value,
            estimated_processing_time=estimate_seconds(
                [scene.get("expected_duration") for scene in scenes],
                master.get("expected_duration"),
                resolution=settings.get("resolution"),
                quality=settings.get("quality"),
            ),
            total_scenes=len(scenes),
        )

    async def GetAssembly(self, request: assembly_pb2.GetAssemblyRequest, context: Any) -> tasks_pb2.Task:
        task = await self._ledger.get(request.task_id, current_caller().visible_owner)
        if task.kind is not TaskKind.MOVIE_ASSEMBLY:
            raise NotFound(f"No assembly has the id {request.task_id}", word="task_not_found")
        return task_message(task)

    def _check(self, request: assembly_pb2.AssembleMovieRequest) -> None:
        for index, scene in enumerate(request.scene_videos):
            self._submitter.check_source(scene.video_url, f"scene_videos[{index}].video_url", "invalid_video_url")
        self._submitter.check_source(request.master_audio.audio_url, "master_audio.audio_url", "invalid_audio_url")
        numbers = Counter(scene.sequence_number for scene in request.scene_videos)
        doubled = sorted(number for number, count in numbers.items() if count > 1)
        if doubled:
            raise InvalidRequest(
                f"scene_videos: sequence_number {', '.join(map(str, doubled))} stands more than once",
                word="duplicate_sequence_number",
                input_name="scene_videos",
            )
