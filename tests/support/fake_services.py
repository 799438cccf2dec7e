"""Every service of the suite with canned answers, to test the edge alone. What an answer is hangs on the request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.protobuf import json_format
from google.rpc import status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from lastframe.assembly.v1 import assembly_pb2, assembly_pb2_grpc
from lastframe.audio.v1 import audio_pb2_grpc
from lastframe.frames.v1 import frames_pb2_grpc
from lastframe.probe.v1 import probe_pb2_grpc
from lastframe.server.v1 import server_pb2, server_pb2_grpc, uploads_pb2_grpc
from lastframe.stitch.v1 import stitch_pb2_grpc
from lastframe.tasks.v1 import tasks_pb2, tasks_pb2_grpc

from services.gateway.openapi_examples import TASKS
from services.gateway.rpcs import load_contract
from services.gateway.site import SiteService
from shared.errors import (
    ERROR_WORD_NUMBERS,
    Conflict,
    InvalidRequest,
    LastFrameError,
    NotFound,
    Overloaded,
    ProcessingTimeout,
    Unauthenticated,
    Unavailable,
)

FINISHED = "68932ab1f918707cd6188d5f"
ASSEMBLY = "04c428bdde6b4c3b96138f2d4fcbbb62"
UNKNOWN = "ffffffffffffffffffffffff"

# A submit of `https://fail.example/NAME` fails so.
FAILURES: dict[str, LastFrameError] = {
    "invalid": InvalidRequest("Video URL is not accessible", word="invalid_video_url"),
    "unauthorized": Unauthenticated("Invalid or missing API key"),
    "not_found": NotFound('Fehler ☃ 100% "quoted"\nline2'),
    "conflict": Conflict("Another request used this key", word="idempotency_conflict"),
    "rate_limited": Overloaded("Too many requests", retry_after_seconds=7),
    "internal_error": LastFrameError("Internal server error"),
    "unavailable": Unavailable("The store is away"),
    "timeout": ProcessingTimeout("Took too long"),
}


class Frames(frames_pb2_grpc.FramesServiceServicer):
    def __init__(self) -> None:
        self.metadata: list[dict[str, str]] = []
        self.begun = 0

    async def ExtractLastFrame(self, request: Any, context: Any) -> Any:
        self.begun += 1
        self.metadata.append({key: value for key, value in context.invocation_metadata() if isinstance(value, str)})
        target = request.video_url
        if target.startswith("https://fail.example/"):
            raise FAILURES[target.rsplit("/", 1)[1]]
        if target == "https://broken.example/":
            raise RuntimeError("a secret of the service")
        if target == "https://slow.example/":
            await asyncio.sleep(60)
        if target == "https://pause.example/":
            await asyncio.sleep(0.5)
        return tasks_pb2.TaskAccepted(
            task_id=FINISHED, status="pending", message="Video processing queued successfully"
        )


class Assembly(assembly_pb2_grpc.AssemblyServiceServicer):
    async def AssembleMovie(self, request: Any, context: Any) -> Any:
        return assembly_pb2.AssemblyAccepted(
            task_id=ASSEMBLY,
            status="pending",
            estimated_processing_time=125,
            total_scenes=len(request.scene_videos),
        )

    async def GetAssembly(self, request: Any, context: Any) -> Any:
        task = tasks_pb2.Task(task_id=request.task_id, status="completed", kind="movie_assembly", project_id="p")
        task.error_message.null_value = 0
        return task


class Tasks(tasks_pb2_grpc.TasksServiceServicer):
    async def GetTask(self, request: Any, context: Any) -> Any:
        if request.task_id == UNKNOWN:
            raise NotFound("Task not found", word="task_not_found")
        return finished_task(request.task_id)

    async def ListRecentTasks(self, request: Any, context: Any) -> Any:
        if request.limit == 1:
            return tasks_pb2.ListRecentTasksResponse(tasks=[finished_task(FINISHED)], count=1)
        return tasks_pb2.ListRecentTasksResponse()

    async def RegisterWebhook(self, request: Any, context: Any) -> Any:
        return tasks_pb2.RegisterWebhookResponse(
            task_id=request.task_id, webhook_url=request.webhook_url, message="Webhook registered successfully"
        )

    async def WatchTask(self, request: Any, context: Any) -> AsyncIterator[Any]:
        if request.task_id == UNKNOWN:
            raise NotFound("Task not found", word="task_not_found")
        for status in ("pending", "processing"):
            yield tasks_pb2.Task(task_id=request.task_id, status=status, kind="last_frame")
            await asyncio.sleep(0.2)
        yield finished_task(request.task_id)

    async def CancelTask(self, request: Any, context: Any) -> Any:
        raise Conflict("The task has finished", word="already_finished")


class Server(server_pb2_grpc.ServerServiceServicer):
    async def GetRoot(self, request: Any, context: Any) -> Any:
        return server_pb2.Root(service="Last Frame Extractor", version="1.0.0", status="running", uptime=0)

    async def GetHealth(self, request: Any, context: Any) -> Any:
        return json_format.ParseDict(
            {"status": "healthy", "timestamp": "2025-08-06T11:27:30.348Z", "services": {"mongodb": "embedded"}},
            server_pb2.Health(),
        )


FINISHED_METADATA = TASKS["Last frame"]["metadata"] | {"file_size": 5_000_000_000}


def finished_task(task_id: str) -> Any:
    return json_format.ParseDict(
        {
            "task_id": task_id,
            "status": "completed",
            "kind": "last_frame",
            "video_url": "https://example.com/video.mp4",
            "image_url": "http://127.0.0.1/media/x.jpg",
            "created_at": "2025-08-06T10:13:05.833Z",
            "completed_at": "2025-08-06T10:13:06Z",
            "metadata": FINISHED_METADATA,
        },
        tasks_pb2.Task(),
    )


class _Errors(grpc.aio.ServerInterceptor):
    """What shared.rpc does with errors, in short: the word's number in the status when the call came over REST."""

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], details: grpc.HandlerCallDetails
    ) -> Any:
        handler = await continuation(details)
        if handler is None:
            return None
        if handler.response_streaming:

            async def stream(request: Any, context: Any) -> AsyncIterator[Any]:
                try:
                    async for message in handler.unary_stream(request, context):
                        yield message
                except LastFrameError as error:
                    await _abort(context, error)

            return grpc.unary_stream_rpc_method_handler(
                stream, handler.request_deserializer, handler.response_serializer
            )

        async def unary(request: Any, context: Any) -> Any:
            try:
                return await handler.unary_unary(request, context)
            except LastFrameError as error:
                return await _abort(context, error)

        return grpc.unary_unary_rpc_method_handler(unary, handler.request_deserializer, handler.response_serializer)


async def _abort(context: Any, error: LastFrameError) -> None:
    code = grpc.StatusCode[error.grpc_code]
    over_rest = any(key == "x-envoy-original-path" for key, _ in context.invocation_metadata())
    number = ERROR_WORD_NUMBERS[error.word] if over_rest else code.value[0]
    trailers: list[tuple[str, str | bytes]] = [
        ("grpc-status-details-bin", status_pb2.Status(code=number, message=error.detail).SerializeToString())
    ]
    if error.http_status == 401:
        trailers.append(("www-authenticate", "Bearer"))
    if error.retry_after_seconds is not None:
        trailers.append(("retry-after", f"{error.retry_after_seconds:g}"))
    await context.abort(code, error.detail, trailing_metadata=tuple(trailers))


class FakeServices:
    """A running grpc.aio server on `port` of 127.0.0.1, with health; `health` lets a test take a service away."""

    def __init__(self) -> None:
        self.frames = Frames()
        self.health = health.aio.HealthServicer()
        self.server = grpc.aio.server(interceptors=[_Errors()])
        self.port = 0

    async def start(self) -> None:
        frames_pb2_grpc.add_FramesServiceServicer_to_server(self.frames, self.server)
        stitch_pb2_grpc.add_StitchServiceServicer_to_server(stitch_pb2_grpc.StitchServiceServicer(), self.server)
        audio_pb2_grpc.add_AudioServiceServicer_to_server(audio_pb2_grpc.AudioServiceServicer(), self.server)
        probe_pb2_grpc.add_ProbeServiceServicer_to_server(probe_pb2_grpc.ProbeServiceServicer(), self.server)
        assembly_pb2_grpc.add_AssemblyServiceServicer_to_server(Assembly(), self.server)
        tasks_pb2_grpc.add_TasksServiceServicer_to_server(Tasks(), self.server)
        server_pb2_grpc.add_ServerServiceServicer_to_server(Server(), self.server)
        server_pb2_grpc.add_SiteServiceServicer_to_server(SiteService(), self.server)
        uploads_pb2_grpc.add_UploadsServiceServicer_to_server(uploads_pb2_grpc.UploadsServiceServicer(), self.server)
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self.server)
        for service in load_contract().services:
            await self.health.set(service, health_pb2.HealthCheckResponse.SERVING)
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        await self.server.start()

    def addresses(self) -> dict[str, str]:
        """The edge's variables: every feature is at this server."""
        return {feature.upper(): f"127.0.0.1:{self.port}" for feature in load_contract().features}


@asynccontextmanager
async def fake_services() -> AsyncIterator[FakeServices]:
    services = FakeServices()
    await services.start()
    try:
        yield services
    finally:
        await services.server.stop(grace=0)
