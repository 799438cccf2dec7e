from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from lastframe.tasks.v1 import tasks_pb2 as _tasks_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AssembleMovieRequest(_message.Message):
    __slots__ = ("project_id", "scene_videos", "master_audio", "output_settings", "webhook_url", "dry_run")
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    SCENE_VIDEOS_FIELD_NUMBER: _ClassVar[int]
    MASTER_AUDIO_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_SETTINGS_FIELD_NUMBER: _ClassVar[int]
    WEBHOOK_URL_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    project_id: str
    scene_videos: _containers.RepeatedCompositeFieldContainer[SceneVideo]
    master_audio: MasterAudio
    output_settings: AssemblyOutputSettings
    webhook_url: str
    dry_run: bool
    def __init__(self, project_id: _Optional[str] = ..., scene_videos: _Optional[_Iterable[_Union[SceneVideo, _Mapping]]] = ..., master_audio: _Optional[_Union[MasterAudio, _Mapping]] = ..., output_settings: _Optional[_Union[AssemblyOutputSettings, _Mapping]] = ..., webhook_url: _Optional[str] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class SceneVideo(_message.Message):
    __slots__ = ("scene_id", "video_url", "sequence_number", "expected_duration")
    SCENE_ID_FIELD_NUMBER: _ClassVar[int]
    VIDEO_URL_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_NUMBER_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_DURATION_FIELD_NUMBER: _ClassVar[int]
    scene_id: str
    video_url: str
    sequence_number: int
    expected_duration: float
    def __init__(self, scene_id: _Optional[str] = ..., video_url: _Optional[str] = ..., sequence_number: _Optional[int] = ..., expected_duration: _Optional[float] = ...) -> None: ...

class MasterAudio(_message.Message):
    __slots__ = ("audio_url", "expected_duration")
    AUDIO_URL_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_DURATION_FIELD_NUMBER: _ClassVar[int]
    audio_url: str
    expected_duration: float
    def __init__(self, audio_url: _Optional[str] = ..., expected_duration: _Optional[float] = ...) -> None: ...

class AssemblyOutputSettings(_message.Message):
    __slots__ = ("quality", "format", "resolution", "include_audio", "audio_sync_mode")
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    RESOLUTION_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_AUDIO_FIELD_NUMBER: _ClassVar[int]
    AUDIO_SYNC_MODE_FIELD_NUMBER: _ClassVar[int]
    quality: str
    format: str
    resolution: str
    include_audio: bool
    audio_sync_mode: str
    def __init__(self, quality: _Optional[str] = ..., format: _Optional[str] = ..., resolution: _Optional[str] = ..., include_audio: _Optional[bool] = ..., audio_sync_mode: _Optional[str] = ...) -> None: ...

class AssemblyAccepted(_message.Message):
    __slots__ = ("task_id", "status", "estimated_processing_time", "total_scenes", "plan")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_PROCESSING_TIME_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SCENES_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    status: str
    estimated_processing_time: int
    total_scenes: int
    plan: _struct_pb2.Struct
    def __init__(self, task_id: _Optional[str] = ..., status: _Optional[str] = ..., estimated_processing_time: _Optional[int] = ..., total_scenes: _Optional[int] = ..., plan: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class GetAssemblyRequest(_message.Message):
    __slots__ = ("task_id",)
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    def __init__(self, task_id: _Optional[str] = ...) -> None: ...
