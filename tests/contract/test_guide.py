"""The replies of the running suite, held to the shapes that the API guide shows.

The tables below are copied from the guide's examples. A reply may say more than the guide (it does: `kind`, `webhook`,
further metadata), but what the guide shows for a state must be there with the type it shows, and what belongs to
another kind or state must not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from google.protobuf import descriptor_pool
from google.protobuf.json_format import ParseDict
from google.protobuf.message_factory import GetMessageClass
from lastframe.tasks.v1 import metadata_pb2  # noqa: F401 - registers its messages

from services.gateway.openapi_schema import METADATA
from shared.tasks import TaskKind
from tests.conftest import Sources
from tests.support.receiver import Gate, Receiver
from tests.support.suite import RunningSuite

Number = (int, float)
RFC3339_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")

INPUTS = {"project_id", "video_url", "video_urls", "audio_urls", "music_url", "media_url"}
OUTPUTS = {"image_url", "video_result_url", "audio_result_url", "full_video_url", "video_only_url", "audio_only_url"}
ALWAYS = {"task_id", "status", "kind", "created_at", "updated_at"}
OF_PROCESSING = {"started_at", "phase", "progress"}
OF_COMPLETED = {"started_at", "completed_at", "metadata"}
OF_FAILED = {"completed_at", "error", "error_message"}
BEYOND = {"webhook", "expires_at"}
"""What any task may have besides, once it has a webhook or retention is on."""


@dataclass(frozen=True)
class Kind:
    """What the guide shows of one kind.

    Attributes:
        accepted: the reply to the submit: key → type or the very value.
        inputs, outputs: keys of its tasks.
        metadata: keys and types that a completed task's metadata has.
        webhook_metadata: those that the webhook's example shows.
        id_length: hexadecimal characters.
        extra: keys that only this kind has in every state.
        first_source: the name of the source that is fetched first, for errors.
    """

    path: str
    accepted: Mapping[str, Any]
    inputs: frozenset[str]
    outputs: frozenset[str]
    metadata: Mapping[str, Any]
    webhook_metadata: frozenset[str] = frozenset()
    id_length: int = 24
    extra: frozenset[str] = frozenset()
    status_path: str = "/api/v1/status/"
    nested: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def queued(message: str) -> dict[str, Any]:
    return {"task_id": str, "status": "pending", "message": message}


GUIDE = {
    "last_frame": Kind(
        "/api/v1/process",
        queued("Video processing queued successfully"),
        frozenset({"video_url"}),
        frozenset({"image_url"}),
        # Beyond the guide: what users of such services ask for.
        {"video_duration": Number, "video_resolution": str, "processing_time": Number, "file_size": int}
        | {"frame_index": int, "frame_pts": Number, "width": int, "height": int, "sha256": str}
        | {"bytes_fetched": int, "method": str},
        frozenset({"processing_time", "video_duration"}),
    ),
    "video_stitch": Kind(
        "/api/v1/stitch",
        queued("Video stitch queued successfully"),
        frozenset({"video_urls"}),
        frozenset({"video_result_url"}),
        {"total_videos": int, "total_duration": Number, "output_duration": Number, "processing_time": Number}
        | {"output_file_size": int},
        frozenset({"total_videos", "processing_time"}),
    ),
    "audio_stitch": Kind(
        "/api/v1/audio-stitch",
        queued("Audio stitch queued successfully"),
        frozenset({"audio_urls"}),
        frozenset({"audio_result_url"}),
        {"total_audio_sources": int, "total_silence_duration": Number, "output_audio_duration": Number}
        | {"output_audio_file_size": int},
    ),
    "music_track": Kind(
        "/api/v1/music-track",
        queued("Music track mixing queued successfully"),
        frozenset({"video_url", "music_url"}),
        frozenset({"video_result_url"}),
        {"original_duration": Number, "music_duration": Number, "processing_time": Number},
    ),
    "movie_assembly": Kind(
        "/api/v1/video/assemble-movie",
        {"task_id": str, "status": "pending", "estimated_processing_time": int, "total_scenes": 1},
        frozenset({"project_id"}),
        frozenset({"full_video_url", "video_only_url", "audio_only_url"}),
        {"processing_time": Number, "total_scenes": int, "total_video_duration": Number, "audio_duration": Number}
        | {"output_resolution": str, "file_sizes": dict},
        frozenset({"processing_time", "total_scenes", "total_video_duration", "audio_duration"}),
        id_length=32,
        extra=frozenset({"error_message"}),
        status_path="/api/v1/video/assembly/",
        nested={"file_sizes": {"full_video": int, "video_only": int, "audio_only": int}},
    ),
    "media_length": Kind(
        "/api/v1/length",
        queued("Media length detection queued successfully"),
        frozenset({"media_url"}),
        frozenset(),
        {"media_duration": Number, "media_type": "video", "media_format": "mov,mp4,m4a,3gp,3g2,mj2"}
        | {"media_codec": "h264", "media_bitrate": int, "video_resolution": "160x96", "file_size": int}
        | {"processing_time": Number},
    ),
}


def request_body(kind: str, video: str, sources: Sources) -> dict[str, Any]:
    """The guide's request of this kind, with `video` (or a sound) as its first source."""
    scene = {"scene_id": "scene_001", "video_url": video, "sequence_number": 1, "expected_duration": 1.0}
    settings = {"quality": "high", "format": "mp4", "resolution": "source", "include_audio": True}
    bodies: dict[str, dict[str, Any]] = {
        "last_frame": {"video_url": video},
        "video_stitch": {"video_urls": [video, sources.other_video]},
        "audio_stitch": {"audio_urls": [video, "empty:1.0", sources.speech]},
        "music_track": {"video_url": video, "music_url": sources.music},
        "movie_assembly": {
            "project_id": "689888ad3f2c72ce8518337a",
            "scene_videos": [scene],
            "master_audio": {"audio_url": sources.speech, "expected_duration": 1.0},
            "output_settings": {**settings, "audio_sync_mode": "stretch_to_fit"},
        },
        "media_length": {"media_url": video},
    }
    return bodies[kind]


def assert_shape(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    for key, kind in wanted.items():
        assert key in found, f"{key} is missing from {dict(found)}"
        if isinstance(kind, type | tuple):
            assert isinstance(found[key], kind), (key, found[key])
            assert not isinstance(found[key], bool), (key, found[key])
        else:
            assert found[key] == kind, (key, found[key])


def assert_times(found: Mapping[str, Any]) -> None:
    for key in found.keys() & {"created_at", "updated_at", "started_at", "completed_at"}:
        assert RFC3339_UTC.fullmatch(found[key]), (key, found[key])


def assert_documented(metadata: Mapping[str, Any], message_name: str) -> None:
    """The metadata is what metadata.proto says: nothing else is in it, and what is not `optional` there is in it."""
    message = descriptor_pool.Default().FindMessageTypeByName(message_name)
    ParseDict(metadata, GetMessageClass(message)())
    # The compiler puts each `optional` field into a oneof of its own.
    assert metadata.keys() >= {field.name for field in message.fields if field.containing_oneof is None}


every_kind = pytest.mark.parametrize("name", GUIDE)


@every_kind
def test_a_task_from_submit_to_completion_and_webhook(suite: RunningSuite, sources: Sources, name: str) -> None:
    kind = GUIDE[name]
    with Receiver() as receiver, Gate(sources.files["video"].read_bytes()) as gate:
        body = request_body(name, gate.url("/gated.mp4"), sources)
        reply = suite.call("POST", kind.path, json=body | {"webhook_url": receiver.url()})
        assert reply.status_code == 200, reply.text
        accepted = reply.json()
        assert accepted.keys() == kind.accepted.keys()
        assert_shape(accepted, kind.accepted)
        task_id = accepted["task_id"]
        assert re.fullmatch(rf"[0-9a-f]{{{kind.id_length}}}", task_id)

        gate.next()
        processing = suite.until(task_id, "processing")
        shown = {key: value for key, value in processing.items() if key not in BEYOND}
        assert shown.keys() == ALWAYS | OF_PROCESSING | kind.inputs | kind.extra
        assert isinstance(processing["phase"], str)
        assert 0 <= processing["progress"] <= 1
        assert_times(processing)

        gate.let_through("/gated.mp4")
        suite.until(task_id, "completed", "failed")
        announced = receiver.next()
    completed = suite.get(kind.status_path + task_id)
    shown = {key: value for key, value in completed.items() if key not in BEYOND}
    assert shown.keys() == ALWAYS | OF_COMPLETED | kind.inputs | kind.outputs | kind.extra, completed
    assert completed["status"] == "completed"
    assert {key: completed[key] for key in kind.inputs} == {key: body[key] for key in kind.inputs}
    assert all(completed[key] is None for key in kind.extra)
    assert all(completed[key].startswith(f"{suite.url}/media/") for key in kind.outputs)
    assert_shape(completed["metadata"], kind.metadata)
    for outer, inner in kind.nested.items():
        assert_shape(completed["metadata"][outer], inner)
    assert_documented(completed["metadata"], METADATA[TaskKind(name)])
    assert_times(completed)
    assert completed["created_at"] <= completed["started_at"] <= completed["completed_at"]

    payload = announced.json
    assert payload.keys() == {"task_id", "status", "kind", "metadata"} | kind.outputs
    assert payload["task_id"] == task_id
    assert payload["status"] == "completed"
    assert {key: payload[key] for key in kind.outputs} == {key: completed[key] for key in kind.outputs}
    assert payload["metadata"] == completed["metadata"]
    assert payload["metadata"].keys() >= kind.webhook_metadata


@every_kind
def test_a_task_that_fails(suite: RunningSuite, sources: Sources, name: str) -> None:
    kind = GUIDE[name]
    missing = sources.server.url("/nothing-here.mp4")
    with Receiver() as receiver:
        body = request_body(name, missing, sources) | {"webhook_url": receiver.url()}
        task_id = suite.submit(kind.path, body)
        payload = receiver.next().json
    failed = suite.get(kind.status_path + task_id)
    shown = {key: value for key, value in failed.items() if key not in BEYOND}
    assert shown.keys() - {"error_input"} == ALWAYS | OF_FAILED | {"started_at"} | kind.inputs, failed
    word = {"audio_stitch": "invalid_audio_url", "media_length": "invalid_media_url"}.get(name, "invalid_video_url")
    assert failed["error"] == ("scene_video_missing" if name == "movie_assembly" else word)
    assert "404" in failed["error_message"]
    assert (
        failed["error_input"]
        == {
            "last_frame": "video_url",
            "video_stitch": "video_urls[0]",
            "audio_stitch": "audio_urls[0]",
            "music_track": "video_url",
            "movie_assembly": "scene_videos[0].video_url",
            "media_length": "media_url",
        }[name]
    )
    error = {key: failed[key] for key in ("error", "error_message", "error_input")}
    assert payload == {"task_id": task_id, "status": "failed", "kind": name} | error


def test_media_length_of_a_sound(suite: RunningSuite, sources: Sources) -> None:
    metadata = suite.completed("/api/v1/length", {"media_url": sources.speech})["metadata"]
    wanted = {"media_duration": 1, "media_type": "audio", "media_format": "wav", "media_codec": "pcm_s16le"}
    assert_shape(metadata, wanted | {"media_sample_rate": 44100, "file_size": int, "processing_time": Number})
    assert "video_resolution" not in metadata


def test_recent_tasks(suite: RunningSuite, sources: Sources) -> None:
    first = suite.completed("/api/v1/process", {"video_url": sources.video})
    second = suite.completed("/api/v1/length", {"media_url": sources.speech})
    found = suite.get("/api/v1/tasks/recent?limit=2")
    assert found.keys() == {"tasks", "count"}
    assert found["count"] == 2
    assert found["tasks"] == [second, first]
    assert found["tasks"][1].keys() >= {"task_id", "status", "video_url", "image_url", "created_at", "completed_at"}
    assert len(suite.get("/api/v1/tasks/recent")["tasks"]) <= 50


def test_register_webhook(suite: RunningSuite, sources: Sources) -> None:
    task_id = suite.completed("/api/v1/length", {"media_url": sources.speech})["task_id"]
    with Receiver() as receiver:
        reply = suite.call("POST", "/api/v1/webhook", json={"task_id": task_id, "webhook_url": receiver.url()})
        assert reply.json() == {
            "task_id": task_id,
            "webhook_url": receiver.url(),
            "message": "Webhook registered successfully",
        }
        assert receiver.next().json["task_id"] == task_id


def test_server_pages(suite: RunningSuite, sources: Sources) -> None:
    suite.completed("/api/v1/process", {"video_url": sources.video})
    root = suite.get("/", key=None)
    assert root.keys() == {"service", "version", "status", "uptime"}
    assert_shape(root, {"service": "Last Frame Extractor", "version": str, "status": "running", "uptime": int})

    health = suite.get("/health", key=None)
    assert health.keys() == {"status", "timestamp", "services", "since"}
    assert health["status"] == "healthy"
    assert RFC3339_UTC.fullmatch(health["timestamp"])
    assert_shape(health["services"], {"mongodb": str, "redis": str, "gpu": str})
    assert health["since"].keys() == {"mongodb", "redis", "rabbitmq", "storage"}
    assert all(RFC3339_UTC.fullmatch(since) for since in health["since"].values())

    status = suite.get("/api/v1/server/status")
    wanted = {"server_status": "running", "active_tasks": int, "queue_size": int, "max_concurrent_tasks": 10}
    wanted |= {"gpu_utilization": Number, "memory_usage": Number, "uptime": int, "processed_videos_today": int}
    assert status.keys() == wanted.keys() | {"last_activity"}
    assert_shape(status, wanted)
    assert RFC3339_UTC.fullmatch(status["last_activity"])
    assert status["processed_videos_today"] >= 1

    stats = suite.get("/api/v1/server/stats")
    assert stats.keys() == {"server", "tasks", "queue", "system"}
    assert stats["server"].keys() == {"status", "uptime", "start_time"}
    assert RFC3339_UTC.fullmatch(stats["server"]["start_time"])
    counts = stats["tasks"]
    assert counts.keys() == {"pending", "processing", "completed", "failed", "total"}
    assert sum(counts.values()) == 2 * counts["total"] > 0
    assert stats["queue"].keys() == {"active_tasks", "queue_size", "max_concurrent"}
    assert stats["system"].keys() == {"memory_usage", "gpu_utilization"}
