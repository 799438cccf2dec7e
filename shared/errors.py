"""The vocabulary of failure: one table of class, word, gRPC code, HTTP status, retryable.

Every error that a client may see is a `LastFrameError`. Its `word` is the stable, machine-readable
name (`error` in JSON), its `detail` one sentence that a person can act on, `input_name` the request
field at fault (`video_urls[3]`). The cause (`__cause__`) goes to the log and never to the client.
"""

from __future__ import annotations

from typing import Any, ClassVar


class LastFrameError(Exception):
    """Root of every failure that the product names.

    Args:
        detail: one sentence for the client; no paths, no internal hosts, no stack.
        word: the machine-readable word; defaults to the class's own.
        input_name: the request field at fault, e.g. `scene_videos[2].video_url`.
        retryable: overrides the class's own answer to "may a second attempt succeed?".
        retry_after_seconds: when the client should come back (429 and 503 only).
        facts: a protobuf message with more for the client; `lastframe.server.v1.Unhealthy` is the only one.
    """

    grpc_code: ClassVar[str] = "INTERNAL"
    http_status: ClassVar[int] = 500
    default_word: ClassVar[str] = "internal_error"
    default_retryable: ClassVar[bool] = False

    def __init__(
        self,
        detail: str,
        *,
        word: str | None = None,
        input_name: str | None = None,
        retryable: bool | None = None,
        retry_after_seconds: float | None = None,
        facts: Any = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.word = word or self.default_word
        self.input_name = input_name
        self.retryable = self.default_retryable if retryable is None else retryable
        self.retry_after_seconds = retry_after_seconds
        self.facts = facts

    def at(self, input_name: str) -> LastFrameError:
        """This error, named for the request field that caused it (kept if already named)."""
        self.input_name = self.input_name or input_name
        return self


class InvalidRequest(LastFrameError):
    grpc_code, http_status, default_word = "INVALID_ARGUMENT", 400, "invalid_request"


class Unauthenticated(LastFrameError):
    grpc_code, http_status, default_word = "UNAUTHENTICATED", 401, "unauthorized"


class NotFound(LastFrameError):
    grpc_code, http_status, default_word = "NOT_FOUND", 404, "not_found"


class Conflict(LastFrameError):
    grpc_code, http_status, default_word = "ABORTED", 409, "conflict"


class Overloaded(LastFrameError):
    grpc_code, http_status, default_word = "RESOURCE_EXHAUSTED", 429, "rate_limited"


class Unavailable(LastFrameError):
    grpc_code, http_status, default_word = "UNAVAILABLE", 503, "unavailable"
    default_retryable = True


class ProcessingTimeout(LastFrameError):
    grpc_code, http_status, default_word = "DEADLINE_EXCEEDED", 504, "processing_timeout"


class ProcessingFailed(LastFrameError):
    """A job that could not be done with these inputs, or broke while it was done."""

    default_word = "processing_failed"


class UnsupportedMedia(ProcessingFailed):
    """The bytes are not a medium that this product can use; the detail says what was found."""

    default_word = "unsupported_format"


class LimitExceeded(ProcessingFailed):
    """A declared limit was passed; words: `file_too_large`, `duration_too_long`, `too_many_pixels`."""

    default_word = "file_too_large"


class SourceUnavailable(ProcessingFailed):
    """A source URL could not be read. Words: `invalid_video_url`, `invalid_audio_url`, `invalid_media_url`,
    `source_changed`. Retryable on 5xx, timeouts and broken connections; never on 4xx or refused addresses."""

    default_word = "invalid_media_url"


class MediaCrashed(ProcessingFailed):
    """The decoder child died, was killed for memory, or answered nonsense."""

    default_word = "media_crashed"


class Cancelled(ProcessingFailed):
    """The task was cancelled by its owner."""

    default_word = "cancelled"


class ConfigurationError(ValueError):
    """A setting that cannot be used: the message names the variable and the mend. Stops the process at its start."""


# One number per word that REST may show in {"error": …}: the values of google.rpc.Status.Kind in
# services/gateway/edge/status.proto. 1-16 are gRPC's own codes, 1001 and up are ours; a number is never reused.
ERROR_WORD_NUMBERS: dict[str, int] = {
    "cancelled": 1,
    "unknown_error": 2,
    "invalid_request": 3,
    "timeout": 4,
    "not_found": 5,
    "already_exists": 6,
    "forbidden": 7,
    "rate_limited": 8,
    "failed_precondition": 9,
    "conflict": 10,
    "out_of_range": 11,
    "not_implemented": 12,
    "internal_error": 13,
    "unavailable": 14,
    "data_loss": 15,
    "unauthorized": 16,
    "invalid_video_url": 1001,
    "invalid_audio_url": 1002,
    "invalid_media_url": 1003,
    "invalid_webhook_url": 1004,
    "too_many_videos": 1005,
    "too_few_videos": 1006,
    "task_not_found": 1007,
    "idempotency_conflict": 1008,
    "already_finished": 1009,
    "queue_full": 1010,
    "too_many_tasks": 1011,
    "duplicate_sequence_number": 1012,
    "invalid_silence": 1013,
    "file_too_large": 1014,
    "processing_timeout": 1015,
    "task_not_failed": 1016,
    "unsupported_format": 1017,
    "invalid_cursor": 1018,
    "no_webhook": 1019,
    "not_finished": 1020,
    "duration_too_long": 1021,
    "too_many_pixels": 1022,
    "source_changed": 1023,
    "clips_differ": 1024,
    "audio_sync_failed": 1025,
    "scene_video_missing": 1026,
    "media_crashed": 1027,
    "processing_failed": 1028,
}
