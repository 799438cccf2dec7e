from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from lastframe.tasks.v1 import tasks_pb2 as _tasks_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class MeasureLengthRequest(_message.Message):
    __slots__ = ("media_url", "webhook_url", "dry_run")
    MEDIA_URL_FIELD_NUMBER: _ClassVar[int]
    WEBHOOK_URL_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    media_url: str
    webhook_url: str
    dry_run: bool
    def __init__(self, media_url: _Optional[str] = ..., webhook_url: _Optional[str] = ..., dry_run: _Optional[bool] = ...) -> None: ...
