"""AudioService: validates requests and makes tasks of them."""

from __future__ import annotations

import re
from typing import Any

from lastframe.audio.v1 import audio_pb2, audio_pb2_grpc
from lastframe.tasks.v1 import tasks_pb2

from shared.errors import InvalidRequest
from shared.rpc.submit import Submitter, accepted, optional_fields
from shared.tasks import TaskKind

SILENCE_PREFIX = "empty:"
MIN_SILENCE_SECONDS = 0.1
MAX_SILENCE_SECONDS = 3600.0
DECIMAL = re.compile(r"[0-9]{1,6}(\.[0-9]{1,9})?")


class AudioService(audio_pb2_grpc.AudioServiceServicer):
    def __init__(self, submitter: Submitter) -> None:
        self._submitter = submitter

    async def StitchAudio(self, request: audio_pb2.StitchAudioRequest, context: Any) -> tasks_pb2.TaskAccepted:
        items = list(request.audio_urls)
        for index, item in enumerate(items):
            field = f"audio_urls[{index}]"
            if item.lower().startswith(SILENCE_PREFIX):
                silence_seconds(item, field)
            else:
                self._submitter.check_source(item, field, "invalid_audio_url")
        if all(item.lower().startswith(SILENCE_PREFIX) for item in items):
            raise InvalidRequest("audio_urls: at least one item must be a URL", input_name="audio_urls")
        options = optional_fields(
            request, "output_format", "sample_rate", "channels", "bitrate", "normalize_lufs", "declick"
        )
        task = await self._submitter.submit(
            TaskKind.AUDIO_STITCH,
            inputs={"audio_urls": items},
            options=options,
            webhook_url=request.webhook_url if request.HasField("webhook_url") else None,
        )
        return accepted(task, "Audio stitch queued successfully")

    async def MixMusicTrack(self, request: audio_pb2.MixMusicTrackRequest, context: Any) -> tasks_pb2.TaskAccepted:
        self._submitter.check_source(request.video_url, "video_url", "invalid_video_url")
        self._submitter.check_source(request.music_url, "music_url", "invalid_audio_url")
        options = optional_fields(
            request,
            "duck_db",
            "attack_seconds",
            "release_seconds",
            "hold_seconds",
            "music_lufs",
            "fade_in_seconds",
            "fade_out_seconds",
            "music_offset_seconds",
            "original_volume_db",
            "music_volume_db",
        )
        task = await self._submitter.submit(
            TaskKind.MUSIC_TRACK,
            inputs={"video_url": request.video_url, "music_url": request.music_url},
            options=options,
            webhook_url=request.webhook_url if request.HasField("webhook_url") else None,
        )
        return accepted(task, "Music track mixing queued successfully")


def silence_seconds(item: str, field: str) -> float:
    """The length of an `empty:SECONDS` item.

    Raises:
        InvalidRequest: not a decimal number of 0.1 to 3600 seconds; names the item.
    """
    text = item[len(SILENCE_PREFIX) :]
    if not DECIMAL.fullmatch(text) or not MIN_SILENCE_SECONDS <= float(text) <= MAX_SILENCE_SECONDS:
        raise InvalidRequest(
            f"{field}: silence must be empty:SECONDS with 0.1 to 3600 seconds, not {item[:40]!r}",
            word="invalid_silence",
            input_name=field,
        )
    return float(text)
