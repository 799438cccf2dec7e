from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from lastframe.tasks.v1 import tasks_pb2 as _tasks_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class StitchAudioRequest(_message.Message):
    __slots__ = ("audio_urls", "webhook_url", "output_format", "sample_rate", "channels", "bitrate", "normalize_lufs", "declick", "dry_run")
    AUDIO_URLS_FIELD_NUMBER: _ClassVar[int]
    WEBHOOK_URL_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FORMAT_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_RATE_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    BITRATE_FIELD_NUMBER: _ClassVar[int]
    NORMALIZE_LUFS_FIELD_NUMBER: _ClassVar[int]
    DECLICK_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    audio_urls: _containers.RepeatedScalarFieldContainer[str]
    webhook_url: str
    output_format: str
    sample_rate: int
    channels: int
    bitrate: int
    normalize_lufs: float
    declick: bool
    dry_run: bool
    def __init__(self, audio_urls: _Optional[_Iterable[str]] = ..., webhook_url: _Optional[str] = ..., output_format: _Optional[str] = ..., sample_rate: _Optional[int] = ..., channels: _Optional[int] = ..., bitrate: _Optional[int] = ..., normalize_lufs: _Optional[float] = ..., declick: _Optional[bool] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class MixMusicTrackRequest(_message.Message):
    __slots__ = ("video_url", "music_url", "webhook_url", "duck_db", "attack_seconds", "release_seconds", "hold_seconds", "music_lufs", "fade_in_seconds", "fade_out_seconds", "music_offset_seconds", "original_volume_db", "music_volume_db", "dry_run")
    VIDEO_URL_FIELD_NUMBER: _ClassVar[int]
    MUSIC_URL_FIELD_NUMBER: _ClassVar[int]
    WEBHOOK_URL_FIELD_NUMBER: _ClassVar[int]
    DUCK_DB_FIELD_NUMBER: _ClassVar[int]
    ATTACK_SECONDS_FIELD_NUMBER: _ClassVar[int]
    RELEASE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    HOLD_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MUSIC_LUFS_FIELD_NUMBER: _ClassVar[int]
    FADE_IN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    FADE_OUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MUSIC_OFFSET_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ORIGINAL_VOLUME_DB_FIELD_NUMBER: _ClassVar[int]
    MUSIC_VOLUME_DB_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    video_url: str
    music_url: str
    webhook_url: str
    duck_db: float
    attack_seconds: float
    release_seconds: float
    hold_seconds: float
    music_lufs: float
    fade_in_seconds: float
    fade_out_seconds: float
    music_offset_seconds: float
    original_volume_db: float
    music_volume_db: float
    dry_run: bool
    def __init__(self, video_url: _Optional[str] = ..., music_url: _Optional[str] = ..., webhook_url: _Optional[str] = ..., duck_db: _Optional[float] = ..., attack_seconds: _Optional[float] = ..., release_seconds: _Optional[float] = ..., hold_seconds: _Optional[float] = ..., music_lufs: _Optional[float] = ..., fade_in_seconds: _Optional[float] = ..., fade_out_seconds: _Optional[float] = ..., music_offset_seconds: _Optional[float] = ..., original_volume_db: _Optional[float] = ..., music_volume_db: _Optional[float] = ..., dry_run: _Optional[bool] = ...) -> None: ...
