import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.api import httpbody_pb2 as _httpbody_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetRootRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Root(_message.Message):
    __slots__ = ("service", "version", "status", "uptime")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    UPTIME_FIELD_NUMBER: _ClassVar[int]
    service: str
    version: str
    status: str
    uptime: float
    def __init__(self, service: _Optional[str] = ..., version: _Optional[str] = ..., status: _Optional[str] = ..., uptime: _Optional[float] = ...) -> None: ...

class GetHealthRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Health(_message.Message):
    __slots__ = ("status", "timestamp", "services", "since")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    status: str
    timestamp: _timestamp_pb2.Timestamp
    services: HealthServices
    since: HealthSince
    def __init__(self, status: _Optional[str] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., services: _Optional[_Union[HealthServices, _Mapping]] = ..., since: _Optional[_Union[HealthSince, _Mapping]] = ...) -> None: ...

class HealthSince(_message.Message):
    __slots__ = ("mongodb", "redis", "rabbitmq", "storage")
    MONGODB_FIELD_NUMBER: _ClassVar[int]
    REDIS_FIELD_NUMBER: _ClassVar[int]
    RABBITMQ_FIELD_NUMBER: _ClassVar[int]
    STORAGE_FIELD_NUMBER: _ClassVar[int]
    mongodb: _timestamp_pb2.Timestamp
    redis: _timestamp_pb2.Timestamp
    rabbitmq: _timestamp_pb2.Timestamp
    storage: _timestamp_pb2.Timestamp
    def __init__(self, mongodb: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., redis: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., rabbitmq: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., storage: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Unhealthy(_message.Message):
    __slots__ = ("status", "timestamp", "services", "since")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    status: str
    timestamp: _timestamp_pb2.Timestamp
    services: HealthServices
    since: HealthSince
    def __init__(self, status: _Optional[str] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., services: _Optional[_Union[HealthServices, _Mapping]] = ..., since: _Optional[_Union[HealthSince, _Mapping]] = ...) -> None: ...

class HealthServices(_message.Message):
    __slots__ = ("mongodb", "redis", "gpu", "rabbitmq", "storage", "sandbox")
    MONGODB_FIELD_NUMBER: _ClassVar[int]
    REDIS_FIELD_NUMBER: _ClassVar[int]
    GPU_FIELD_NUMBER: _ClassVar[int]
    RABBITMQ_FIELD_NUMBER: _ClassVar[int]
    STORAGE_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_FIELD_NUMBER: _ClassVar[int]
    mongodb: str
    redis: str
    gpu: str
    rabbitmq: str
    storage: str
    sandbox: str
    def __init__(self, mongodb: _Optional[str] = ..., redis: _Optional[str] = ..., gpu: _Optional[str] = ..., rabbitmq: _Optional[str] = ..., storage: _Optional[str] = ..., sandbox: _Optional[str] = ...) -> None: ...

class GetServerStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ServerStatus(_message.Message):
    __slots__ = ("server_status", "active_tasks", "queue_size", "max_concurrent_tasks", "gpu_utilization", "memory_usage", "uptime", "processed_videos_today", "last_activity")
    SERVER_STATUS_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_TASKS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_SIZE_FIELD_NUMBER: _ClassVar[int]
    MAX_CONCURRENT_TASKS_FIELD_NUMBER: _ClassVar[int]
    GPU_UTILIZATION_FIELD_NUMBER: _ClassVar[int]
    MEMORY_USAGE_FIELD_NUMBER: _ClassVar[int]
    UPTIME_FIELD_NUMBER: _ClassVar[int]
    PROCESSED_VIDEOS_TODAY_FIELD_NUMBER: _ClassVar[int]
    LAST_ACTIVITY_FIELD_NUMBER: _ClassVar[int]
    server_status: str
    active_tasks: int
    queue_size: int
    max_concurrent_tasks: int
    gpu_utilization: float
    memory_usage: float
    uptime: float
    processed_videos_today: int
    last_activity: _timestamp_pb2.Timestamp
    def __init__(self, server_status: _Optional[str] = ..., active_tasks: _Optional[int] = ..., queue_size: _Optional[int] = ..., max_concurrent_tasks: _Optional[int] = ..., gpu_utilization: _Optional[float] = ..., memory_usage: _Optional[float] = ..., uptime: _Optional[float] = ..., processed_videos_today: _Optional[int] = ..., last_activity: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetServerStatsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ServerStats(_message.Message):
    __slots__ = ("server", "tasks", "queue", "system")
    SERVER_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    SYSTEM_FIELD_NUMBER: _ClassVar[int]
    server: ServerFacts
    tasks: TaskCounts
    queue: QueueFacts
    system: SystemFacts
    def __init__(self, server: _Optional[_Union[ServerFacts, _Mapping]] = ..., tasks: _Optional[_Union[TaskCounts, _Mapping]] = ..., queue: _Optional[_Union[QueueFacts, _Mapping]] = ..., system: _Optional[_Union[SystemFacts, _Mapping]] = ...) -> None: ...

class ServerFacts(_message.Message):
    __slots__ = ("status", "uptime", "start_time")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    UPTIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    status: str
    uptime: float
    start_time: _timestamp_pb2.Timestamp
    def __init__(self, status: _Optional[str] = ..., uptime: _Optional[float] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class TaskCounts(_message.Message):
    __slots__ = ("pending", "processing", "completed", "failed", "total")
    PENDING_FIELD_NUMBER: _ClassVar[int]
    PROCESSING_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    pending: int
    processing: int
    completed: int
    failed: int
    total: int
    def __init__(self, pending: _Optional[int] = ..., processing: _Optional[int] = ..., completed: _Optional[int] = ..., failed: _Optional[int] = ..., total: _Optional[int] = ...) -> None: ...

class QueueFacts(_message.Message):
    __slots__ = ("active_tasks", "queue_size", "max_concurrent")
    ACTIVE_TASKS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_SIZE_FIELD_NUMBER: _ClassVar[int]
    MAX_CONCURRENT_FIELD_NUMBER: _ClassVar[int]
    active_tasks: int
    queue_size: int
    max_concurrent: int
    def __init__(self, active_tasks: _Optional[int] = ..., queue_size: _Optional[int] = ..., max_concurrent: _Optional[int] = ...) -> None: ...

class SystemFacts(_message.Message):
    __slots__ = ("memory_usage", "gpu_utilization")
    MEMORY_USAGE_FIELD_NUMBER: _ClassVar[int]
    GPU_UTILIZATION_FIELD_NUMBER: _ClassVar[int]
    memory_usage: float
    gpu_utilization: float
    def __init__(self, memory_usage: _Optional[float] = ..., gpu_utilization: _Optional[float] = ...) -> None: ...

class GetDocsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetDocsAssetRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetConsoleRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetConsoleAssetRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetOpenapiRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
