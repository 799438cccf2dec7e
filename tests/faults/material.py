"""What the client asks for: tiny media of every sort, some of it broken, some behind a server that fails at times."""

from __future__ import annotations

import random
import wave
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.clips import ClipRecipe, make_clip
from tests.support.http_server import NastyServer, Resource

FLAKY_SHARE = 0.15
LATENCY_SECONDS = 0.3  # so that faults meet jobs that run
SOURCE_WORDS = frozenset({"invalid_media_url", "invalid_video_url", "source_unavailable"})


@dataclass(frozen=True)
class Request:
    """One submit.

    Attributes:
        may_fail_as: the words with which it may end although nothing of ours was hurt; empty when it must succeed.
        must_fail: its source is bad.
        results: how many files a success leaves.
    """

    path: str
    body: Mapping[str, Any]
    results: int
    may_fail_as: frozenset[str] = frozenset()
    must_fail: bool = False


class Material:
    """Media on a server; `request` draws a submit, cheap kinds far more often than dear ones."""

    def __init__(self, directory: Path, server: NastyServer, seed: int) -> None:
        self._random = random.Random(seed)
        directory.mkdir(parents=True, exist_ok=True)
        tiny = ClipRecipe(size=(64, 48), frames=6, flash_frame=2)
        clip = make_clip(directory / "clip.mp4", tiny).read_bytes()
        self._clip = server.serve("/clip.mp4", clip, latency_seconds=LATENCY_SECONDS)
        self._other = server.serve("/other.mp4", make_clip(directory / "other.mp4", tiny).read_bytes())
        self._sound = server.serve("/sound.wav", _sound(directory / "sound.wav"), latency_seconds=LATENCY_SECONDS)
        self._flaky = server.serve("/flaky.mp4", clip, change=_sometimes_away(random.Random(seed + 1)))
        self._bad = server.serve("/bad.mp4", b"this is no media at all " * 40)
        self._gone = server.url("/gone.mp4")
        self._draws = (
            (40, self._length),
            (26, self._frame),
            (6, self._flaky_frame),
            (6, self._bad_length),
            (4, self._gone_frame),
            (7, self._audio),
            (4, self._stitch),
            (4, self._music),
            (3, self._movie),
        )

    def request(self) -> Request:
        weights = [weight for weight, _ in self._draws]
        return self._random.choices([draw for _, draw in self._draws], weights)[0]()

    def _length(self) -> Request:
        return Request("/api/v1/length", {"media_url": self._random.choice((self._clip, self._sound))}, 0)

    def _frame(self) -> Request:
        return Request("/api/v1/process", {"video_url": self._clip}, 1)

    def _flaky_frame(self) -> Request:
        return Request("/api/v1/process", {"video_url": self._flaky}, 1, may_fail_as=SOURCE_WORDS)

    def _bad_length(self) -> Request:
        return Request("/api/v1/length", {"media_url": self._bad}, 0, frozenset({"unsupported_format"}), True)

    def _gone_frame(self) -> Request:
        return Request("/api/v1/process", {"video_url": self._gone}, 0, SOURCE_WORDS, True)

    def _audio(self) -> Request:
        return Request("/api/v1/audio-stitch", {"audio_urls": [self._sound, "empty:0.2", self._sound]}, 1)

    def _stitch(self) -> Request:
        return Request("/api/v1/stitch", {"video_urls": [self._clip, self._other]}, 1)

    def _music(self) -> Request:
        return Request("/api/v1/music-track", {"video_url": self._clip, "music_url": self._sound}, 1)

    def _movie(self) -> Request:
        scenes = [{"scene_id": "one", "video_url": self._clip, "sequence_number": 1, "expected_duration": 0.2}]
        audio = {"audio_url": self._sound, "expected_duration": 0.4}
        return Request(
            "/api/v1/video/assemble-movie",
            {"project_id": "faults", "scene_videos": scenes, "master_audio": audio},
            3,
        )


def _sometimes_away(dice: random.Random):
    def change(resource: Resource, number: int) -> None:
        resource.status = 503 if dice.random() < FLAKY_SHARE else 200

    return change


def _sound(path: Path, seconds: float = 0.4, rate: int = 16000) -> bytes:
    samples = 8000 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return path.read_bytes()
