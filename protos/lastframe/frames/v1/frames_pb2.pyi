from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from lastframe.tasks.v1 import tasks_pb2 as _tasks_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class ExtractLastFrameRequest(_message.Message):
    __slots__ = ("video_url", "webhook_url", "image_format", "quality", "dry_run")
    VIDEO_URL_FIELD_NUMBER: _ClassVar[int]
    WEBHOOK_URL_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FORMAT_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    video_url: str
    webhook_url: str
    image_format: str
    quality: int
    dry_run: bool
    def __init__(self, video_url: _Optional[str] = ..., webhook_url: _Optional[str] = ..., image_format: _Optional[str] = ..., quality: _Optional[int] = ..., dry_run: _Optional[bool] = ...) -> None: ...
