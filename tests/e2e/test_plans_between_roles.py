"""Dry runs where the api and the worker of a feature are processes of their own, as in production."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from lastframe.stitch.v1 import stitch_pb2, stitch_pb2_grpc

from tests.conftest import Sources
from tests.support.suite import KEY, METADATA, ROOT, START_SECONDS, STOP_SECONDS, free_port


@contextmanager
def role(name: str, directory: Path, port: int, **settings: str) -> Iterator[None]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LASTFRAME_")}
    wanted = {"rpc_port": str(port), "data_dir": str(directory), "api_keys": f"tests={KEY}"} | settings
    environment = clean | {f"LASTFRAME_{name.upper()}": value for name, value in wanted.items()}
    with (directory.parent / f"{name}.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "services.stitch", name], env=environment, cwd=ROOT, stdout=log, stderr=log
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


@contextmanager
def api_and_worker(directory: Path, planner: str | None = None) -> Iterator[stitch_pb2_grpc.StitchServiceStub]:
    api, worker = free_port(), free_port()
    address = planner if planner is not None else f"127.0.0.1:{worker}"
    with ExitStack() as stack:
        stack.enter_context(role("worker", directory, worker, allow_private_sources="1"))
        stack.enter_context(role("api", directory, api, allow_private_sources="1", planner_address=address))
        for port in (worker, api):
            channel = stack.enter_context(grpc.insecure_channel(f"127.0.0.1:{port}"))
            grpc.channel_ready_future(channel).result(START_SECONDS)
        yield stitch_pb2_grpc.StitchServiceStub(channel)


def test_the_api_asks_its_worker(tmp_path: Path, sources: Sources) -> None:
    with api_and_worker(tmp_path / "data") as stub:
        request = stitch_pb2.StitchVideosRequest(video_urls=[sources.video, sources.other_video], dry_run=True)
        answer = stub.StitchVideos(request, metadata=METADATA, timeout=30)
        assert not answer.HasField("task_id")
        plan = MessageToDict(answer.plan)
        assert (plan["frames"], plan["copied"]) == (60, [{"index": 0}, {"index": 1}])

        request.video_urls[1] = sources.speech
        with pytest.raises(grpc.RpcError) as refused:
            stub.StitchVideos(request, metadata=METADATA, timeout=30)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert refused.value.details().startswith("video_urls[1]: the file has no video stream")
        scratch = list((tmp_path / "data").glob("scratch/*/plan-*"))
    assert scratch == []


@pytest.mark.parametrize(("planner", "sentence"), [("", "LASTFRAME_PLANNER_ADDRESS"), ("127.0.0.1:1", "reached")])
def test_without_a_worker_the_answer_is_to_come_back(
    tmp_path: Path, sources: Sources, planner: str, sentence: str
) -> None:
    with api_and_worker(tmp_path / "data", planner) as stub:
        request = stitch_pb2.StitchVideosRequest(video_urls=[sources.video, sources.other_video], dry_run=True)
        began = time.monotonic()
        with pytest.raises(grpc.RpcError) as refused:
            stub.StitchVideos(request, metadata=METADATA, timeout=30)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert sentence in refused.value.details()
    assert time.monotonic() - began < 20
