"""Every kind of job from submit to result, through Envoy's REST; what comes out is decoded."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import requests
from PIL import Image

from tests.conftest import Sources
from tests.support.suite import RunningSuite


def fetch(url: str) -> bytes:
    reply = requests.get(url, timeout=10)
    assert reply.status_code == 200, reply.text
    return reply.content


def streams(content: bytes) -> dict[str, float]:
    """Type of stream → seconds of what decodes from it."""
    found: dict[str, float] = {}
    with av.open(io.BytesIO(content)) as container:
        for frame in container.decode():
            if isinstance(frame, av.VideoFrame):
                found["video"] = found.get("video", 0.0) + 1 / 30
            else:
                found["audio"] = found.get("audio", 0.0) + frame.samples / frame.sample_rate
    return found


def last_picture(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        *_, last = container.decode(video=0)
    return last.to_ndarray(format="rgb24").astype(int)


@pytest.mark.parametrize(
    ("image_format", "kind"), [("jpg", "JPEG"), ("jpeg", "JPEG"), ("png", "PNG"), ("webp", "WEBP")]
)
def test_last_frame(suite: RunningSuite, sources: Sources, image_format: str, kind: str) -> None:
    task = suite.completed("/api/v1/process", {"video_url": sources.video, "image_format": image_format, "quality": 97})
    image = Image.open(io.BytesIO(fetch(task["image_url"])))
    assert image.format == kind
    assert task["image_url"].endswith({"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}[kind])
    difference = np.abs(np.asarray(image.convert("RGB"), dtype=int) - last_picture(sources.files["video"])).mean()
    assert difference < 4.0
    metadata = task["metadata"]
    assert metadata["frame_index"] == 29
    assert metadata["frame_pts"] == pytest.approx(29 / 30, abs=0.001)
    assert (metadata["width"], metadata["height"]) == image.size == (160, 96)


def test_video_stitch(suite: RunningSuite, sources: Sources) -> None:
    task = suite.completed("/api/v1/stitch", {"video_urls": [sources.video, sources.other_video, sources.video]})
    seen = streams(fetch(task["video_result_url"]))
    assert seen["video"] == pytest.approx(3.0, abs=0.001)
    assert seen["audio"] == pytest.approx(3.0, abs=0.05)
    assert task["metadata"]["total_videos"] == 3


def test_audio_stitch(suite: RunningSuite, sources: Sources) -> None:
    body = {"audio_urls": [sources.speech, "empty:0.5", sources.music], "output_format": "wav"}
    task = suite.completed("/api/v1/audio-stitch", body)
    assert streams(fetch(task["audio_result_url"]))["audio"] == pytest.approx(3.0, abs=0.002)
    assert task["metadata"]["total_audio_sources"] == 2
    assert task["metadata"]["total_silence_duration"] == 0.5


def test_music_track(suite: RunningSuite, sources: Sources) -> None:
    task = suite.completed("/api/v1/music-track", {"video_url": sources.video, "music_url": sources.music})
    seen = streams(fetch(task["video_result_url"]))
    assert seen["video"] == pytest.approx(1.0, abs=0.001)
    assert seen["audio"] == pytest.approx(1.0, abs=0.05)
    assert task["metadata"]["music_duration"] == pytest.approx(1.5, abs=0.06)


def assembly(sources: Sources, **more: Any) -> dict[str, Any]:
    return {
        "project_id": "film-7",
        "scene_videos": [
            {"scene_id": "b", "video_url": sources.other_video, "sequence_number": 2, "expected_duration": 1.0},
            {"scene_id": "a", "video_url": sources.video, "sequence_number": 1, "expected_duration": 1.0},
        ],
        "master_audio": {"audio_url": sources.speech, "expected_duration": 1.0},
        **more,
    }


def test_movie_assembly(suite: RunningSuite, sources: Sources) -> None:
    reply = suite.call("POST", "/api/v1/video/assemble-movie", json=assembly(sources)).json()
    assert reply["total_scenes"] == 2
    assert reply["estimated_processing_time"] >= 1
    suite.until(reply["task_id"], "completed", "failed")
    task = suite.get(f"/api/v1/video/assembly/{reply['task_id']}")
    assert task["status"] == "completed", task
    full, silent, sound = (
        streams(fetch(task[name])) for name in ("full_video_url", "video_only_url", "audio_only_url")
    )
    assert full["video"] == silent["video"] == pytest.approx(2.0, abs=0.001)
    assert full["audio"] == pytest.approx(2.0, abs=0.06)
    assert set(silent) == {"video"}
    assert set(sound) == {"audio"}
    assert task["metadata"]["total_scenes"] == 2
    assert task["project_id"] == "film-7"


def test_media_length(suite: RunningSuite, sources: Sources) -> None:
    task = suite.completed("/api/v1/length", {"media_url": sources.video})
    assert task["metadata"]["media_duration"] == pytest.approx(1.0, abs=0.001)
    assert task["metadata"]["media_type"] == "video"
    assert task["metadata"]["file_size"] == sources.files["video"].stat().st_size
