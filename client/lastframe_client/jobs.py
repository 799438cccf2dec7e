"""The six jobs. A source is an http(s) URL, or a local file (a `Path`, or a string that is no URL), which the client
uploads first. What is left out takes the service's default."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

Source = str | Path
UrlOf = Callable[[Source], str]
Json = dict[str, Any]


def silence(seconds: float) -> str:
    """A stretch of silence (0.1-3600 s) among the items of an `AudioStitch`."""
    return f"empty:{seconds:g}"


def local_file(source: Source) -> Path | None:
    """The path when this source is a local file; None for URLs and silences."""
    if isinstance(source, Path):
        return source
    return None if "://" in source or source.startswith("empty:") else Path(source)


class Job(ABC):
    """What a client submits."""

    path: ClassVar[str]

    @abstractmethod
    def sources(self) -> Iterator[Source]:
        """Every source, local files among them."""

    @abstractmethod
    def fields(self, url_of: UrlOf) -> Json:
        """The request's fields; None for what was not given."""

    def body(self, url_of: UrlOf) -> Json:
        """The JSON to send; `url_of` gives the URL of each source."""
        kept: Json = _given(self.fields(url_of))
        return kept


@dataclass(frozen=True)
class LastFrame(Job):
    """The last picture of a video: `image_format` `jpg`, `png` or `webp`; `quality` 1-100."""

    video: Source
    image_format: str | None = None
    quality: int | None = None
    webhook_url: str | None = None
    path = "/api/v1/process"

    def sources(self) -> Iterator[Source]:
        yield self.video

    def fields(self, url_of: UrlOf) -> Json:
        return {
            "video_url": url_of(self.video),
            "image_format": self.image_format,
            "quality": self.quality,
            "webhook_url": self.webhook_url,
        }


@dataclass(frozen=True)
class Stitch(Job):
    """2-10 videos into one. `strategy`: `auto`, `copy` or `reencode`; `quality`: `low`, `medium` or `high`."""

    videos: Sequence[Source]
    strategy: str | None = None
    resolution: str | None = None
    frame_rate: float | None = None
    quality: str | None = None
    webhook_url: str | None = None
    path = "/api/v1/stitch"

    def sources(self) -> Iterator[Source]:
        yield from self.videos

    def fields(self, url_of: UrlOf) -> Json:
        return {
            "video_urls": [url_of(video) for video in self.videos],
            "strategy": self.strategy,
            "output_settings": {
                "resolution": self.resolution,
                "frame_rate": self.frame_rate,
                "quality": self.quality,
            },
            "webhook_url": self.webhook_url,
        }


@dataclass(frozen=True)
class AudioStitch(Job):
    """1-100 sounds and silences (`silence(2.5)`), in order. `output_format`: `mp3`, `m4a`, `wav`, `flac`, `opus`."""

    items: Sequence[Source]
    output_format: str | None = None
    sample_rate: int | None = None
    channels: int | None = None
    bitrate: int | None = None
    normalize_lufs: float | None = None
    declick: bool | None = None
    webhook_url: str | None = None
    path = "/api/v1/audio-stitch"

    def sources(self) -> Iterator[Source]:
        yield from self.items

    def fields(self, url_of: UrlOf) -> Json:
        return {
            "audio_urls": [url_of(item) for item in self.items],
            "output_format": self.output_format,
            "sample_rate": self.sample_rate,
            "channels": self.channels,
            "bitrate": self.bitrate,
            "normalize_lufs": self.normalize_lufs,
            "declick": self.declick,
            "webhook_url": self.webhook_url,
        }


@dataclass(frozen=True)
class MusicTrack(Job):
    """Music under a video, turned down while there is voice. Seconds, dB and LUFS as the names say."""

    video: Source
    music: Source
    duck_db: float | None = None
    attack_seconds: float | None = None
    release_seconds: float | None = None
    hold_seconds: float | None = None
    music_lufs: float | None = None
    fade_in_seconds: float | None = None
    fade_out_seconds: float | None = None
    music_offset_seconds: float | None = None
    original_volume_db: float | None = None
    music_volume_db: float | None = None
    webhook_url: str | None = None
    path = "/api/v1/music-track"

    def sources(self) -> Iterator[Source]:
        yield self.video
        yield self.music

    def fields(self, url_of: UrlOf) -> Json:
        return {
            "video_url": url_of(self.video),
            "music_url": url_of(self.music),
            "duck_db": self.duck_db,
            "attack_seconds": self.attack_seconds,
            "release_seconds": self.release_seconds,
            "hold_seconds": self.hold_seconds,
            "music_lufs": self.music_lufs,
            "fade_in_seconds": self.fade_in_seconds,
            "fade_out_seconds": self.fade_out_seconds,
            "music_offset_seconds": self.music_offset_seconds,
            "original_volume_db": self.original_volume_db,
            "music_volume_db": self.music_volume_db,
            "webhook_url": self.webhook_url,
        }


@dataclass(frozen=True)
class Scene:
    """One scene of a movie; `scene_id` is `scene_001`, … by its place when not given."""

    video: Source
    scene_id: str | None = None
    expected_duration: float | None = None


@dataclass(frozen=True)
class AssembleMovie(Job):
    """1-20 scenes in order and a master audio into three files.

    `audio_sync_mode`: `stretch_to_fit`, `trim`, `pad` or `none`.
    """

    project_id: str
    scenes: Sequence[Scene | Source]
    master_audio: Source
    quality: str | None = None
    resolution: str | None = None
    include_audio: bool | None = None
    audio_sync_mode: str | None = None
    webhook_url: str | None = None
    path = "/api/v1/video/assemble-movie"

    def _scenes(self) -> list[Scene]:
        return [scene if isinstance(scene, Scene) else Scene(scene) for scene in self.scenes]

    def sources(self) -> Iterator[Source]:
        yield from (scene.video for scene in self._scenes())
        yield self.master_audio

    def fields(self, url_of: UrlOf) -> Json:
        return {
            "project_id": self.project_id,
            "scene_videos": [
                {
                    "scene_id": scene.scene_id or f"scene_{number:03d}",
                    "video_url": url_of(scene.video),
                    "sequence_number": number,
                    "expected_duration": scene.expected_duration,
                }
                for number, scene in enumerate(self._scenes(), 1)
            ],
            "master_audio": {"audio_url": url_of(self.master_audio)},
            "output_settings": {
                "quality": self.quality,
                "resolution": self.resolution,
                "include_audio": self.include_audio,
                "audio_sync_mode": self.audio_sync_mode,
            },
            "webhook_url": self.webhook_url,
        }


@dataclass(frozen=True)
class MediaLength(Job):
    """How long a medium really plays: `metadata["media_duration"]`, in seconds."""

    media: Source
    webhook_url: str | None = None
    path = "/api/v1/length"

    def sources(self) -> Iterator[Source]:
        yield self.media

    def fields(self, url_of: UrlOf) -> Json:
        return {"media_url": url_of(self.media), "webhook_url": self.webhook_url}


def _given(value: Any) -> Any:
    """Without what is None, and without objects that are empty then."""
    if isinstance(value, dict):
        kept = {name: _given(item) for name, item in value.items()}
        return {name: item for name, item in kept.items() if item is not None and item != {}}
    return [_given(item) for item in value] if isinstance(value, list) else value
