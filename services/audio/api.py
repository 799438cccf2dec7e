"""AudioService: validates requests and makes tasks of them."""

from __future__ import annotations

from typing import Any

from lastframe.audio.v1 import audio_pb2, audio_pb2_grpc
from lastframe.tasks.v1 import tasks_pb2

from services.audio.silence import is_silence, silence_seconds
from shared.errors import InvalidRequest
from shared.media.audio.formats import DEFAULT_FORMAT, audio_format
from shared.rpc.submit import Submitter, accepted, optional_fields
from shared.tasks import TaskKind


class AudioService(audio_pb2_grpc.AudioServiceServicer):
    def __init__(self, submitter: Submitter) -> None:
        self._submitter = submitter

    async def StitchAudio(self, request: audio_pb2.StitchAudioRequest, context: Any) -> tasks_pb2.TaskAccepted:
        items = list(request.audio_urls)
        for index, item in enumerate(items):
            field = f"audio_urls[{index}]"
            if is_silence(item):
                silence_seconds(item, field)
            else:
                self._submitter.check_source(item, field, "invalid_audio_url")
        if all(is_silence(item) for item in items):
            raise InvalidRequest("audio_urls: at least one item must be a URL", input_name="audio_urls")
        options = optional_fields(
            request, "output_format", "sample_rate", "channels", "bitrate", "normalize_lufs", "declick"
        )
        wanted = audio_format(options.get("output_format", DEFAULT_FORMAT))
        wanted.check(options.get("sample_rate"), options.get("channels"), options.get("bitrate"))
        answer = await self._submitter.submit(
            TaskKind.AUDIO_STITCH,
            inputs={"audio_urls": items},
            options=options,
            webhook_url=request.webhook_url if request.HasField("webhook_url") else None,
            dry_run=request.dry_run,
        )
        return accepted(answer, "Audio stitch queued successfully")

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
        answer = await self._submitter.submit(
            TaskKind.MUSIC_TRACK,
            inputs={"video_url": request.video_url, "music_url": request.music_url},
            options=options,
            webhook_url=request.webhook_url if request.HasField("webhook_url") else None,
            dry_run=request.dry_run,
        )
        return accepted(answer, "Music track mixing queued successfully")
