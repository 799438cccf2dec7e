"""The same door for gRPC clients: every kind submitted natively, errors as rich statuses, and health."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from lastframe.assembly.v1 import assembly_pb2, assembly_pb2_grpc
from lastframe.audio.v1 import audio_pb2, audio_pb2_grpc
from lastframe.frames.v1 import frames_pb2, frames_pb2_grpc
from lastframe.probe.v1 import probe_pb2, probe_pb2_grpc
from lastframe.server.v1 import server_pb2, server_pb2_grpc
from lastframe.stitch.v1 import stitch_pb2, stitch_pb2_grpc
from lastframe.tasks.v1 import tasks_pb2, tasks_pb2_grpc

from tests.conftest import Sources
from tests.support.suite import METADATA, RunningSuite


@pytest.fixture(scope="module")
def channel(suite: RunningSuite) -> Iterator[grpc.Channel]:
    with suite.channel() as channel:
        yield channel


def submit_assembly(channel: grpc.Channel, sources: Sources) -> Any:
    scene = assembly_pb2.SceneVideo(video_url=sources.video, sequence_number=1)
    master = assembly_pb2.MasterAudio(audio_url=sources.speech)
    request = assembly_pb2.AssembleMovieRequest(project_id="p", scene_videos=[scene], master_audio=master)
    return assembly_pb2_grpc.AssemblyServiceStub(channel).AssembleMovie(request, metadata=METADATA)


SUBMITS: dict[str, Callable[[grpc.Channel, Sources], Any]] = {
    "last_frame": lambda channel, sources: frames_pb2_grpc.FramesServiceStub(channel).ExtractLastFrame(
        frames_pb2.ExtractLastFrameRequest(video_url=sources.video), metadata=METADATA
    ),
    "video_stitch": lambda channel, sources: stitch_pb2_grpc.StitchServiceStub(channel).StitchVideos(
        stitch_pb2.StitchVideosRequest(video_urls=[sources.video, sources.video]), metadata=METADATA
    ),
    "audio_stitch": lambda channel, sources: audio_pb2_grpc.AudioServiceStub(channel).StitchAudio(
        audio_pb2.StitchAudioRequest(audio_urls=[sources.speech, "empty:0.2"]), metadata=METADATA
    ),
    "music_track": lambda channel, sources: audio_pb2_grpc.AudioServiceStub(channel).MixMusicTrack(
        audio_pb2.MixMusicTrackRequest(video_url=sources.video, music_url=sources.music), metadata=METADATA
    ),
    "movie_assembly": submit_assembly,
    "media_length": lambda channel, sources: probe_pb2_grpc.ProbeServiceStub(channel).MeasureLength(
        probe_pb2.MeasureLengthRequest(media_url=sources.speech), metadata=METADATA
    ),
}


@pytest.mark.parametrize("kind", SUBMITS)
def test_every_kind(suite: RunningSuite, sources: Sources, channel: grpc.Channel, kind: str) -> None:
    accepted = SUBMITS[kind](channel, sources)
    assert accepted.status == "pending"
    assert len(accepted.task_id) == (32 if kind == "movie_assembly" else 24)
    watch = tasks_pb2_grpc.TasksServiceStub(channel).WatchTask(
        tasks_pb2.WatchTaskRequest(task_id=accepted.task_id), metadata=METADATA, timeout=60
    )
    *_, last = watch
    assert (last.status, last.kind) == ("completed", kind), last
    over_rest = suite.status(accepted.task_id)
    assert MessageToDict(last, preserving_proto_field_name=True)["metadata"] == over_rest["metadata"]


@pytest.mark.parametrize(
    ("call", "code", "word", "input_name"),
    [
        (
            lambda channel, metadata: frames_pb2_grpc.FramesServiceStub(channel).ExtractLastFrame(
                frames_pb2.ExtractLastFrameRequest(video_url="ftp://example.com/a"), metadata=metadata
            ),
            grpc.StatusCode.INVALID_ARGUMENT,
            "invalid_video_url",
            "video_url",
        ),
        (
            lambda channel, metadata: stitch_pb2_grpc.StitchServiceStub(channel).StitchVideos(
                stitch_pb2.StitchVideosRequest(video_urls=["http://example.com/a"]), metadata=metadata
            ),
            grpc.StatusCode.INVALID_ARGUMENT,
            "too_few_videos",
            "video_urls",
        ),
        (
            lambda channel, metadata: tasks_pb2_grpc.TasksServiceStub(channel).GetTask(
                tasks_pb2.GetTaskRequest(task_id="f" * 24), metadata=metadata
            ),
            grpc.StatusCode.NOT_FOUND,
            "task_not_found",
            None,
        ),
        (
            lambda channel, metadata: list(
                tasks_pb2_grpc.TasksServiceStub(channel).WatchTask(
                    tasks_pb2.WatchTaskRequest(task_id="f" * 24), metadata=metadata
                )
            ),
            grpc.StatusCode.NOT_FOUND,
            "task_not_found",
            None,
        ),
    ],
)
def test_errors_say_their_word_and_input(
    channel: grpc.Channel, call: Callable[..., Any], code: grpc.StatusCode, word: str, input_name: str | None
) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        call(channel, METADATA)
    assert refused.value.code() is code
    status = rpc_status.from_call(refused.value)
    assert status is not None
    assert status.code == code.value[0]
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain, info.metadata.get("input")) == (word, "lastframe", input_name)
    with pytest.raises(grpc.RpcError) as unknown:
        call(channel, (("authorization", "Bearer wrong"),))
    assert unknown.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_an_idempotency_key_in_the_metadata(channel: grpc.Channel, sources: Sources) -> None:
    metadata = (*METADATA, ("idempotency-key", "by-grpc"))
    frames = frames_pb2_grpc.FramesServiceStub(channel)

    def submit(url: str) -> Any:
        return frames.ExtractLastFrame(frames_pb2.ExtractLastFrameRequest(video_url=url), metadata=metadata)

    assert submit(sources.video).task_id == submit(sources.video).task_id
    with pytest.raises(grpc.RpcError) as refused:
        submit(sources.other_video)
    assert refused.value.code() is grpc.StatusCode.ABORTED


def test_health_and_the_open_methods_need_no_key(channel: grpc.Channel) -> None:
    health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    assert health.status == health_pb2.HealthCheckResponse.SERVING
    server = server_pb2_grpc.ServerServiceStub(channel)
    assert server.GetRoot(server_pb2.GetRootRequest()).status == "running"
    assert server.GetHealth(server_pb2.GetHealthRequest()).status == "healthy"
