"""Examples of the API reference: requests and replies as the API guide shows them."""

from __future__ import annotations

from typing import Any

from shared.rpc.submit import PLAN_MESSAGE, PLANNED

Json = dict[str, Any]

_VIDEO, _AUDIO = "https://example.com/video.mp4", "https://example.com/audio.mp3"
_HOOK = "https://your-webhook.com/notify"
_TASK_ID, _ASSEMBLY_ID = "68933d660fbe479408b185f1", "04c428bdde6b4c3b96138f2d4fcbbb62"
_RESULTS = "https://media.example.com"
_TIMES = {"created_at": "2025-08-06T10:13:05.833Z", "completed_at": "2025-08-06T10:13:06.594Z"}

# By the RPC's name. Without webhooks: the reference can send these as they are, and the host of one would be asked.
REQUESTS: dict[str, Json] = {
    "ExtractLastFrame": {"video_url": _VIDEO},
    "StitchVideos": {
        "video_urls": ["https://example.com/video1.mp4", "https://example.com/video2.mp4"],
    },
    "StitchAudio": {
        "audio_urls": ["https://example.com/intro.mp3", "empty:2.5", "https://example.com/main.wav"],
    },
    "MixMusicTrack": {"video_url": _VIDEO, "music_url": "https://example.com/background_music.mp3"},
    "AssembleMovie": {
        "project_id": "689888ad3f2c72ce8518337a",
        "scene_videos": [
            {
                "scene_id": "scene_001",
                "video_url": "https://example.com/scene1.mp4",
                "sequence_number": 1,
                "expected_duration": 45.5,
            },
            {
                "scene_id": "scene_002",
                "video_url": "https://example.com/scene2.mp4",
                "sequence_number": 2,
                "expected_duration": 38.2,
            },
        ],
        "master_audio": {"audio_url": _AUDIO, "expected_duration": 83.7},
        "output_settings": {
            "quality": "high",
            "format": "mp4",
            "resolution": "1080p",
            "include_audio": True,
            "audio_sync_mode": "stretch_to_fit",
        },
    },
    "MeasureLength": {"media_url": "https://example.com/speech.mp3"},
    "RegisterWebhook": {"task_id": _TASK_ID, "webhook_url": _HOOK},
}

_LAST_FRAME: Json = {
    "task_id": _TASK_ID,
    "status": "completed",
    "kind": "last_frame",
    "video_url": _VIDEO,
    "image_url": f"{_RESULTS}/{_TASK_ID}.jpg",
    **_TIMES,
    "metadata": {
        "video_duration": 5.2,
        "video_resolution": "1920x1080",
        "processing_time": 0.5,
        "file_size": 1024000,
        "video_codec": "h264",
        "frame_index": 124,
        "frame_pts": 5.16,
        "method": "last_gop",
        "width": 1920,
        "height": 1080,
        "image_bytes": 341207,
        "sha256": "cd5fb9c9ddf10fb9a770322f117ec56b7cd0aa6515a254c46ebaa330901b3235",
        "warnings": [],
        "bytes_fetched": 402424,
        "phase_seconds": {"reading": 0.12, "decoding": 0.29, "encoding": 0.06, "uploading": 0.01},
    },
}

TASKS: dict[str, Json] = {
    "Last frame": _LAST_FRAME,
    "Still running": {
        "task_id": _TASK_ID,
        "status": "processing",
        "kind": "last_frame",
        "video_url": _VIDEO,
        "created_at": _TIMES["created_at"],
        "phase": "decoding",
        "progress": 0.4,
    },
    "Failed": {
        "task_id": _TASK_ID,
        "status": "failed",
        "kind": "last_frame",
        "video_url": _VIDEO,
        **_TIMES,
        "error": "invalid_video_url",
        "error_message": "Video URL is not accessible",
        "error_input": "video_url",
    },
    "Video stitch": {
        "task_id": _TASK_ID,
        "status": "completed",
        "kind": "video_stitch",
        "video_urls": ["https://example.com/video1.mp4", "https://example.com/video2.mp4"],
        "video_result_url": f"{_RESULTS}/{_TASK_ID}.mp4",
        **_TIMES,
        "metadata": {
            "total_videos": 2,
            "total_duration": 10.5,
            "output_duration": 10.5,
            "processing_time": 4.03,
            "output_file_size": 2048576,
            "frames": 315,
            "copied": [{"index": 0}],
            "reencoded": [{"index": 1, "reasons": ["1080x1920 != 1920x1080"]}],
            "max_av_offset_ms": 0.02,
            "resolution": "1920x1080",
            "warnings": [],
            "bytes_fetched": 2110300,
            "phase_seconds": {"downloading": 0.4, "reading": 0.1, "joining": 3.4, "uploading": 0.1},
        },
    },
    "Media length": {
        "task_id": _TASK_ID,
        "status": "completed",
        "kind": "media_length",
        "media_url": "https://example.com/sample.mp4",
        **_TIMES,
        "metadata": {
            "media_duration": 125.847,
            "media_type": "video",
            "media_format": "mov,mp4,m4a,3gp,3g2,mj2",
            "media_codec": "h264",
            "media_bitrate": 2500000,
            "video_resolution": "1920x1080",
            "file_size": 39428571,
            "processing_time": 0.234,
            "duration_method": "container",
            "frame_rate": 24,
            "has_audio": True,
            "rotation": 0,
            "streams": [
                {
                    "index": 0,
                    "type": "video",
                    "codec": "h264",
                    "start": 0,
                    "duration": 125.833,
                    "resolution": "1920x1080",
                },
                {
                    "index": 1,
                    "type": "audio",
                    "codec": "aac",
                    "start": 0,
                    "duration": 125.847,
                    "language": "eng",
                    "sample_rate": 48000,
                    "channels": 2,
                },
            ],
            "bytes_fetched": 131072,
            "phase_seconds": {"fetching": 0.05, "measuring": 0.18},
        },
    },
}

_ASSEMBLY: Json = {
    "task_id": _ASSEMBLY_ID,
    "status": "completed",
    "kind": "movie_assembly",
    "project_id": "test_local_assembly_123",
    "full_video_url": f"{_RESULTS}/final_movie_{_ASSEMBLY_ID}.mp4",
    "video_only_url": f"{_RESULTS}/final_movie_video_only_{_ASSEMBLY_ID}.mp4",
    "audio_only_url": f"{_RESULTS}/final_movie_audio_only_{_ASSEMBLY_ID}.mp3",
    **_TIMES,
    "error_message": None,
    "metadata": {
        "processing_time": 29.36,
        "total_scenes": 3,
        "total_video_duration": 21.0,
        "audio_duration": 23.0,
        "output_resolution": "1920x1080",
        "file_sizes": {"full_video": 6802679, "video_only": 6420555, "audio_only": 559155},
        "audio_stretch_ratio": 0.913043,
        "frames": 504,
        "samples": 1008000,
        "copied": [{"index": 0}, {"index": 1}, {"index": 2}],
        "reencoded": [],
        "warnings": [],
        "bytes_fetched": 6790010,
        "phase_seconds": {"downloading": 9.1, "reading": 0.4, "joining": 17.6, "uploading": 2.2},
    },
}


def _accepted(message: str) -> dict[str, Json]:
    return {"Accepted": {"task_id": _TASK_ID, "status": "pending", "message": message}}


_STITCH_PLAN: Json = {
    "status": PLANNED,
    "message": PLAN_MESSAGE,
    "plan": {
        "estimated_seconds": 4.1,
        "estimated_bytes": 4915200,
        "bytes_to_fetch": 4718592,
        "bytes_fetched": 196608,
        "total_videos": 2,
        "total_duration": 10.5,
        "output_duration": 10.5,
        "frames": 315,
        "copied": [{"index": 0}],
        "reencoded": [{"index": 1, "reasons": ["1280x720 != 1920x1080"]}],
        "max_av_offset_ms": 0,
        "resolution": "1920x1080",
        "warnings": [],
    },
}


# By the RPC's name; each is named for the menu of the reference.
REPLIES: dict[str, dict[str, Json]] = {
    "ExtractLastFrame": _accepted("Video processing queued successfully"),
    "StitchVideos": {**_accepted("Video stitch queued successfully"), "Planned": _STITCH_PLAN},
    "StitchAudio": _accepted("Audio stitch queued successfully"),
    "MixMusicTrack": _accepted("Music track mixing queued successfully"),
    "MeasureLength": _accepted("Media length detection queued successfully"),
    "AssembleMovie": {
        "Accepted": {
            "task_id": _ASSEMBLY_ID,
            "status": "pending",
            "estimated_processing_time": 125,
            "total_scenes": 2,
        }
    },
    "GetTask": TASKS,
    "GetAssembly": {"Completed": _ASSEMBLY},
    "ListRecentTasks": {"One task": {"tasks": [_LAST_FRAME], "count": 1}},
    "RegisterWebhook": {
        "Registered": {"task_id": _TASK_ID, "webhook_url": _HOOK, "message": "Webhook registered successfully"}
    },
    "GetRoot": {
        "Running": {"service": "Last Frame Extractor", "version": "1.0.0", "status": "running", "uptime": 3600}
    },
}

UNHEALTHY: Json = {
    "detail": "The task store is not reachable",
    "error": "unavailable",
    "status": "unhealthy",
    "timestamp": "2025-08-06T10:13:05.833Z",
    "services": {
        "mongodb": "disconnected",
        "redis": "connected",
        "gpu": "unavailable",
        "rabbitmq": "connected",
        "storage": "connected",
    },
    "since": {
        "mongodb": "2025-08-06T10:12:51.020Z",
        "redis": "2025-08-04T08:00:02.417Z",
        "rabbitmq": "2025-08-04T08:00:02.417Z",
        "storage": "2025-08-04T08:00:02.417Z",
    },
}
