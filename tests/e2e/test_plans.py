"""Dry runs: the plan of every kind, held against what the finished job then reports; and that nothing is left of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from lastframe.stitch.v1 import stitch_pb2, stitch_pb2_grpc

from tests.conftest import Sources
from tests.contract.test_guide import GUIDE, request_body
from tests.support.clips import ClipRecipe, make_clip
from tests.support.suite import METADATA, RunningSuite

# Told by the plan and the finished job under one name, and equal.
EXACT = {
    "last_frame": {"video_codec", "video_resolution", "video_duration", "frame_index", "file_size", "method"},
    "video_stitch": {
        "total_videos", "total_duration", "output_duration", "frames", "copied", "reencoded", "max_av_offset_ms",
        "resolution", "warnings",
    },
    "audio_stitch": {
        "total_audio_sources", "total_silence_duration", "output_sample_rate", "output_channels", "output_samples",
    },
    "music_track": {"original_duration", "picture", "output_samples", "output_sample_rate", "output_channels"},
    "movie_assembly": {
        "total_scenes", "total_video_duration", "audio_duration", "output_resolution", "audio_stretch_ratio",
        "frames", "samples", "copied", "reencoded", "warnings",
    },
    "media_length": {"media_type", "media_format", "media_codec", "video_resolution", "file_size", "has_audio",
                     "duration_method"},
}  # fmt: skip
RESULT_BYTES = {
    "last_frame": "image_bytes",
    "video_stitch": "output_file_size",
    "audio_stitch": "output_audio_file_size",
}
TOLD_BY_THE_REQUEST = {"sample_rate", "webhook_url"}
every_kind = pytest.mark.parametrize("name", GUIDE)


def plan_of(suite: RunningSuite, path: str, body: dict[str, Any], **options: Any) -> dict[str, Any]:
    reply = suite.call("POST", path, json=body | {"dry_run": True}, **options)
    assert reply.status_code == 200, reply.text
    answer: dict[str, Any] = reply.json()
    assert "task_id" not in answer
    assert answer["status"] == "planned"
    return answer


@every_kind
def test_the_plan_says_what_the_job_then_does(suite: RunningSuite, sources: Sources, name: str) -> None:
    kind = GUIDE[name]
    body = request_body(name, sources.video, sources)
    answer = plan_of(suite, kind.path, body)
    plan = answer["plan"]
    facts = suite.completed(kind.path, body)["metadata"]
    assert {key: plan[key] for key in EXACT[name]} == {key: facts[key] for key in EXACT[name]}
    made = facts.get(RESULT_BYTES.get(name, ""), sum(facts.get("file_sizes", {}).values()))
    if made:
        assert made / 2 <= plan["estimated_bytes"] <= made * 2
    assert 0 < plan["estimated_seconds"] <= facts["processing_time"] + 5  # how near it is: bench/plans.py
    assert facts["bytes_fetched"] / 2 <= plan["bytes_to_fetch"] <= facts["bytes_fetched"] * 2
    if name == "movie_assembly":
        assert answer["estimated_processing_time"] >= 1
        assert answer["total_scenes"] == 1
    else:
        assert answer["message"]


def test_the_plan_of_unequal_clips(suite: RunningSuite, sources: Sources) -> None:
    body = {
        "video_urls": [sources.video, sources.other_video, sources.video],
        "output_settings": {"resolution": "320x180", "quality": "low"},
    }
    plan = plan_of(suite, "/api/v1/stitch", body)["plan"]
    facts = suite.completed("/api/v1/stitch", body)["metadata"]
    assert plan["reencoded"] == facts["reencoded"]
    assert [one["index"] for one in plan["reencoded"]] == [0, 1, 2]
    assert "320x180" in plan["reencoded"][0]["reasons"][0]
    assert (plan["frames"], plan["resolution"]) == (facts["frames"], facts["resolution"])


def test_where_the_parts_of_a_sound_will_be(suite: RunningSuite, sources: Sources) -> None:
    body = {"audio_urls": [sources.speech, "empty:0.5", sources.speech], "output_format": "wav"}
    parts = plan_of(suite, "/api/v1/audio-stitch", body)["plan"]["parts"]
    done = suite.completed("/api/v1/audio-stitch", body)["metadata"]["parts"]
    told = ("source", "start_seconds", "duration_seconds")
    assert parts == [{key: part[key] for key in told if key in part} for part in done]
    assert [part.get("source") for part in parts] == [0, None, 0]


def test_nothing_is_left_of_a_plan(suite: RunningSuite, sources: Sources) -> None:
    before = suite.get("/api/v1/tasks?limit=1000")["count"]
    for name, kind in GUIDE.items():
        body = request_body(name, sources.video, sources)
        first = plan_of(suite, kind.path, body, headers={"Idempotency-Key": "plan"})
        again = plan_of(suite, kind.path, body | {"webhook_url": "http://127.0.0.1:1/hook"},
                        headers={"Idempotency-Key": "plan"})  # fmt: skip
        assert first == again
    assert suite.get("/api/v1/tasks?limit=1000")["count"] == before
    assert not list(suite.directory.glob("scratch/*/plan-*"))
    # The key names no task: the next submit under it makes one.
    task_id = suite.submit("/api/v1/length", {"media_url": sources.video}, headers={"Idempotency-Key": "plan"})
    assert suite.finished(task_id)["status"] == "completed"


def test_what_a_job_would_fail_with_is_the_answer(suite: RunningSuite, sources: Sources) -> None:
    server = sources.server
    page = server.serve("/plan-page.mp4", b"<html>no video</html>" * 100)
    good = sources.video
    cases: list[tuple[str, dict[str, Any], str, str]] = [
        ("/api/v1/stitch", {"video_urls": [good, server.url("/none.mp4")]}, "invalid_video_url", "video_urls[1]"),
        ("/api/v1/stitch", {"video_urls": [good, page]}, "unsupported_format", "video_urls[1]"),
        (
            "/api/v1/stitch",
            {"video_urls": [good, sources.other_video], "strategy": "copy", "output_settings": {"resolution": "480p"}},
            "clips_differ",
            "video_urls[0]",
        ),
        ("/api/v1/process", {"video_url": sources.speech}, "unsupported_format", "video_url"),
        ("/api/v1/length", {"media_url": page}, "unsupported_format", "media_url"),
        ("/api/v1/audio-stitch", {"audio_urls": [page]}, "unsupported_format", "audio_urls[0]"),
        (
            "/api/v1/audio-stitch",
            {"audio_urls": [sources.speech], "output_format": "opus", "sample_rate": 44100},
            "invalid_request",
            "sample_rate",
        ),
        (
            "/api/v1/music-track",
            {"video_url": good, "music_url": sources.music, "music_offset_seconds": 60},
            "invalid_request",
            "music_offset_seconds",
        ),
        (
            "/api/v1/video/assemble-movie",
            {
                "project_id": "p",
                "scene_videos": [{"video_url": good, "sequence_number": 1}],
                "master_audio": {"audio_url": server.url("/none.mp3")},
            },
            "invalid_audio_url",
            "master_audio.audio_url",
        ),
        ("/api/v1/process", {"video_url": good, "webhook_url": "ftp://a/b"}, "invalid_webhook_url", "webhook_url"),
    ]
    for path, body, word, field in cases:
        reply = suite.call("POST", path, json=body | {"dry_run": True})
        assert reply.status_code == 400, (body, reply.text)
        assert reply.json()["error"] == word, (body, reply.text)
        assert reply.json()["detail"].startswith(field), (body, reply.text)
        submitted = suite.call("POST", path, json=body)
        if field in TOLD_BY_THE_REQUEST:
            assert (submitted.status_code, submitted.json()) == (400, reply.json()), body
        else:
            task = suite.finished(submitted.json()["task_id"])
            assert (task["status"], task["error"], task["error_input"]) == ("failed", word, field)
    assert not list(suite.directory.glob("scratch/*/plan-*"))


def test_a_plan_reads_only_what_it_needs(suite: RunningSuite, sources: Sources, tmp_path: Path) -> None:
    """Of a film: its index and its first pictures."""
    recipe = ClipRecipe(size=(640, 360), frames=150, codec="mpeg4", options={"qmin": "1", "qmax": "1"}, gop=150)
    film = make_clip(tmp_path / "film.mp4", recipe)
    url, size = sources.server.serve("/film.mp4", film), film.stat().st_size
    assert size > 4 << 20
    plan = plan_of(suite, "/api/v1/stitch", {"video_urls": [url, url]})["plan"]
    assert plan["bytes_to_fetch"] == 2 * size
    assert plan["bytes_fetched"] < size / 2


def test_grpc_callers_get_the_same(suite: RunningSuite, sources: Sources) -> None:
    with suite.channel() as channel:
        stub = stitch_pb2_grpc.StitchServiceStub(channel)
        request = stitch_pb2.StitchVideosRequest(video_urls=[sources.video, sources.video], dry_run=True)
        reply = stub.StitchVideos(request, metadata=METADATA)
        assert not reply.HasField("task_id")
        plan = plan_of(suite, "/api/v1/stitch", {"video_urls": [sources.video, sources.video]})["plan"]
        assert MessageToDict(reply.plan) == plan
        request.video_urls[1] = sources.speech
        with pytest.raises(grpc.RpcError) as refused:
            stub.StitchVideos(request, metadata=METADATA)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    info = error_details_pb2.ErrorInfo()
    rpc_status.from_call(refused.value).details[0].Unpack(info)
    assert (info.reason, info.metadata["input"]) == ("unsupported_format", "video_urls[1]")


def test_plans_are_not_for_the_outside(suite: RunningSuite) -> None:
    """The door between roles is not there for callers of the edge."""
    with suite.channel() as channel:
        call = channel.unary_unary("/lastframe.internal.v1.PlansService/MakePlan")
        with pytest.raises(grpc.RpcError) as refused:
            call(b"", metadata=METADATA, timeout=5)
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
