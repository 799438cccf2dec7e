"""Exceptions → gRPC statuses: the one place where failures meet the wire."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import grpc
import protovalidate
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from shared.errors import (
    ERROR_WORD_NUMBERS,
    InvalidRequest,
    LastFrameError,
    Overloaded,
    ProcessingTimeout,
    Unavailable,
)

DETAILS_KEY = "grpc-status-details-bin"
RETRY_KEY = "retry-after"
UNREACHED_RETRY_SECONDS = 2.0

# Rules whose breach has a finer word than `invalid_request`: (field, protovalidate rule) → word.
RULE_WORDS: dict[tuple[str, str], str] = {
    ("video_urls", "repeated.min_items"): "too_few_videos",
    ("video_urls", "repeated.max_items"): "too_many_videos",
    ("scene_videos", "repeated.min_items"): "too_few_videos",
    ("scene_videos", "repeated.max_items"): "too_many_videos",
}


THOROUGH_BYTES = 8192
"""Longer requests are told of their first fault only: a megabyte of empty scenes has 700,000, which take 20 s to
collect. The rule on a list's length is the first that is looked at."""
MOST_NAMED = 20
_validator = protovalidate.Validator()


def check(request: Message) -> None:
    """Holds a request to the rules in its proto.

    Raises:
        InvalidRequest: naming the fields at fault, the first few of very many.
    """
    violations = _violations(request)
    if not violations:
        return
    sentences = []
    word = None
    for violation in violations[:MOST_NAMED]:
        path = _path(violation.proto.field)
        rule = violation.proto.rule_id
        word = word or RULE_WORDS.get((path, rule))
        sentences.append(f"{path}: {violation.proto.message}" if path else violation.proto.message)
    raise InvalidRequest("; ".join(sentences), word=word, input_name=_path(violations[0].proto.field) or None)


def _violations(request: Message) -> Sequence[protovalidate.Violation]:
    try:
        _validator.validate(request, fail_fast=request.ByteSize() > THOROUGH_BYTES)
    except protovalidate.ValidationError as error:
        return error.violations
    return ()


def _path(field: Any) -> str:
    """`scene_videos[2].video_url` from protovalidate's field path."""
    text = ""
    for element in field.elements if field is not None else ():
        text += f".{element.field_name}" if text else element.field_name
        index = getattr(element, "subscript", None)
        if index is not None and getattr(index, "field", None) == "index":
            text += f"[{index.value}]"
    return text


async def abort(context: Any, error: LastFrameError, over_rest: bool) -> NoReturn:
    """Ends the call with this error.

    A native client gets a standard `google.rpc.Status` with `ErrorInfo`; through the transcoder the status' code
    is the word's own number, which Envoy's shadowed descriptor renders as `{"detail", "error"}`. An error's `facts`
    follow: as fields of that shadow, whose numbers they keep clear of, or as one more detail.
    """
    code = grpc.StatusCode[error.grpc_code]
    status = status_pb2.Status(code=code.value[0], message=error.detail)
    more = b""
    if over_rest:
        status.code = ERROR_WORD_NUMBERS.get(error.word, code.value[0])
        if error.facts is not None:
            more = error.facts.SerializeToString()
    else:
        info = error_details_pb2.ErrorInfo(reason=error.word, domain="lastframe")
        if error.input_name:
            info.metadata["input"] = error.input_name
        for detail in filter(None, (info, error.facts)):
            status.details.add().Pack(detail)
    trailing: list[tuple[str, str | bytes]] = [(DETAILS_KEY, status.SerializeToString() + more)]
    if code is grpc.StatusCode.UNAUTHENTICATED:
        trailing.append(("www-authenticate", "Bearer"))
    if error.retry_after_seconds is not None:
        trailing.append((RETRY_KEY, str(max(1, round(error.retry_after_seconds)))))
    metadata: Sequence[tuple[str, str | bytes]] = tuple(trailing)
    await context.abort(code, error.detail, metadata)
    raise AssertionError("abort always raises")


# What one role may answer another with.
_BY_CODE = {kind.grpc_code: kind for kind in (InvalidRequest, Overloaded, Unavailable, ProcessingTimeout)}


def error_of(failed: grpc.aio.AioRpcError) -> LastFrameError:
    """What `abort` ended another role's call with; `Unavailable` where that role could not be reached."""
    trailing = dict(failed.trailing_metadata() or ())
    info = error_details_pb2.ErrorInfo()
    if DETAILS_KEY not in trailing:
        if failed.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            return ProcessingTimeout("A part of the suite took too long to answer")
        return Unavailable("A part of the suite cannot be reached now", retry_after_seconds=UNREACHED_RETRY_SECONDS)
    for detail in status_pb2.Status.FromString(trailing[DETAILS_KEY]).details:
        detail.Unpack(info)
    after = str(trailing.get(RETRY_KEY, ""))
    return _BY_CODE.get(failed.code().name, LastFrameError)(
        failed.details() or "",
        word=info.reason or None,
        input_name=info.metadata.get("input"),
        retry_after_seconds=float(after) if after.isdigit() else None,
    )
