"""Native gRPC through the same port: calls, codes, streams, health."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from lastframe.frames.v1 import frames_pb2, frames_pb2_grpc
from lastframe.tasks.v1 import tasks_pb2, tasks_pb2_grpc

from tests.edge.conftest import Edge
from tests.support.fake_services import FAILURES, FINISHED

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def channel(edge: Edge) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(edge.address) as opened:
        yield opened


async def extract(channel: grpc.aio.Channel, video_url: str):
    stub = frames_pb2_grpc.FramesServiceStub(channel)
    return await stub.ExtractLastFrame(
        frames_pb2.ExtractLastFrameRequest(video_url=video_url), metadata=(("x-envoy-original-path", "/spoofed"),)
    )


async def test_a_call_does_not_look_like_rest(edge: Edge, channel: grpc.aio.Channel):
    assert (await extract(channel, "https://a.example/")).task_id == FINISHED
    assert "x-envoy-original-path" not in edge.services.frames.metadata[-1]


@pytest.mark.parametrize("name", FAILURES)
async def test_failures_keep_their_standard_codes(channel: grpc.aio.Channel, name: str):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await extract(channel, f"https://fail.example/{name}")
    assert caught.value.code().name == FAILURES[name].grpc_code
    assert caught.value.details() == FAILURES[name].detail
    # Raises if the details' code is not the call's.
    assert rpc_status.from_call(caught.value).message == FAILURES[name].detail


async def test_the_edge_s_own_timeout_is_not_a_code_that_clients_retry(channel: grpc.aio.Channel):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await extract(channel, "https://slow.example/")
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize(
    "method",
    [
        "/lastframe.frames.v1.FramesService/Nothing",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "/grpc.channelz.v1.Channelz/GetServers",
    ],
)
async def test_what_is_not_the_api_s_is_unimplemented(channel: grpc.aio.Channel, method: str):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await channel.unary_unary(method)(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_watch_ends_with_a_terminal_task(channel: grpc.aio.Channel):
    watch = tasks_pb2_grpc.TasksServiceStub(channel).WatchTask(tasks_pb2.WatchTaskRequest(task_id=FINISHED))
    assert [task.status async for task in watch] == ["pending", "processing", "completed"]


async def test_a_request_over_the_rest_limit_passes_as_grpc(channel: grpc.aio.Channel):
    reply = await extract(channel, "https://a.example/" + "a" * (1 << 20))
    assert reply.task_id == FINISHED


async def test_health_is_open(channel: grpc.aio.Channel):
    request = health_pb2.HealthCheckRequest(service="lastframe.tasks.v1.TasksService")
    reply = await health_pb2_grpc.HealthStub(channel).Check(request)
    assert reply.status == health_pb2.HealthCheckResponse.SERVING
