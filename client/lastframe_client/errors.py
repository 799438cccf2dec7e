"""Everything that a call may raise."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lastframe_client.task import Task


class LastFrameError(Exception):
    """Root of this package's errors."""


class ConfigurationError(LastFrameError):
    """The URL or the key is missing; the text says which variable to set."""


class Unreachable(LastFrameError):
    """No answer came: the service is not there, or the connection broke and could not be mended."""


class ApiError(LastFrameError):
    """The service refused a call.

    Attributes:
        http_status: 400, 401, 404, …
        word: the API's `error`, for programs: `invalid_video_url`, `task_not_found`, …
        detail: the API's sentence, for people.
        retry_after_seconds: when to come back (429 and 503), or None.
    """

    def __init__(self, http_status: int, word: str, detail: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(f"{detail} ({word})")
        self.http_status = http_status
        self.word = word
        self.detail = detail
        self.retry_after_seconds = retry_after_seconds


class TaskFailed(LastFrameError):
    """The task that was waited for ended as `failed`."""

    def __init__(self, task: Task) -> None:
        at = f" at {task.error_input}" if task.error_input else ""
        super().__init__(f"{task.error_message or 'no reason was given'} ({task.error}{at})")
        self.task = task


class WaitTimeout(LastFrameError):
    """The task had not ended in the time that its caller would wait; it goes on."""

    def __init__(self, task_id: str, seconds: float) -> None:
        super().__init__(f"task {task_id} has not ended within {seconds:g} s; it goes on")
        self.task_id = task_id
