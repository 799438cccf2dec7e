"""A client for Last Frame: `Client` and `AsyncClient`, a class for each kind of job, `Task`, and the errors."""

from lastframe_client.aio import AsyncClient
from lastframe_client.errors import (
    ApiError,
    ConfigurationError,
    LastFrameError,
    TaskFailed,
    Unreachable,
    WaitTimeout,
)
from lastframe_client.jobs import (
    AssembleMovie,
    AudioStitch,
    Job,
    LastFrame,
    MediaLength,
    MusicTrack,
    Scene,
    Stitch,
    silence,
)
from lastframe_client.sync import Client
from lastframe_client.task import Page, Plan, Task, Upload

__version__ = "1.0.0"

__all__ = [
    "ApiError",
    "AssembleMovie",
    "AsyncClient",
    "AudioStitch",
    "Client",
    "ConfigurationError",
    "Job",
    "LastFrame",
    "LastFrameError",
    "MediaLength",
    "MusicTrack",
    "Page",
    "Plan",
    "Scene",
    "Stitch",
    "Task",
    "TaskFailed",
    "Unreachable",
    "Upload",
    "WaitTimeout",
    "silence",
]
