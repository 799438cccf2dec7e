from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from lastframe.tasks.v1 import tasks_pb2 as _tasks_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StitchVideosRequest(_message.Message):
    __slots__ = ("video_urls", "webhook_url", "strategy", "output_settings", "dry_run")
    VIDEO_URLS_FIELD_NUMBER: _ClassVar[int]
    WEBHOOK_URL_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_SETTINGS_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    video_urls: _containers.RepeatedScalarFieldContainer[str]
    webhook_url: str
    strategy: str
    output_settings: StitchOutputSettings
    dry_run: bool
    def __init__(self, video_urls: _Optional[_Iterable[str]] = ..., webhook_url: _Optional[str] = ..., strategy: _Optional[str] = ..., output_settings: _Optional[_Union[StitchOutputSettings, _Mapping]] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class StitchOutputSettings(_message.Message):
    __slots__ = ("resolution", "frame_rate", "quality")
    RESOLUTION_FIELD_NUMBER: _ClassVar[int]
    FRAME_RATE_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    resolution: str
    frame_rate: float
    quality: str
    def __init__(self, resolution: _Optional[str] = ..., frame_rate: _Optional[float] = ..., quality: _Optional[str] = ...) -> None: ...
