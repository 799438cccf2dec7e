"""Every error word: where it is said, what it means, what to do. The words themselves are found in the code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from scripts.reference.markdown import code, generated, table
from shared import errors
from shared.errors import ERROR_WORD_NUMBERS, LastFrameError

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Word:
    """`statuses`: HTTP statuses at the door; `in_task`: whether a failed task may carry it."""

    meaning: str
    mend: str
    statuses: tuple[int, ...] = ()
    in_task: bool = False


_URL = "Use a public http or https address on an allowed port, without a user name; or upload the file."
_SOURCE = "Check that the address serves the file to anybody. What may pass was tried three times already."
_WORDS: dict[str, Word] = {
    "invalid_request": Word(
        "A field is missing, breaks its rule or does not go with another; or the body is no JSON.",
        "The sentence names the field and what it may be.",
        (400,),
        in_task=True,
    ),
    "invalid_video_url": Word(
        "A video's address cannot be used, or did not give the file.", _URL, (400,), in_task=True
    ),
    "invalid_audio_url": Word(
        "A sound's address cannot be used, or did not give the file.", _URL, (400,), in_task=True
    ),
    "invalid_media_url": Word(
        "A medium's address cannot be used, or did not give the file.", _URL, (400,), in_task=True
    ),
    "invalid_webhook_url": Word("The webhook's address cannot be used.", _URL, (400,)),
    "too_few_videos": Word("A stitch needs two videos, a movie one scene.", "Send more.", (400,)),
    "too_many_videos": Word(
        "A stitch takes ten videos, a movie twenty scenes.", "Join in steps.", (400,), in_task=True
    ),
    "duplicate_sequence_number": Word("Two scenes claim the same place.", "Number them apart; gaps are fine.", (400,)),
    "invalid_silence": Word(
        "`empty:SECONDS` is not between 0.1 and 3600.", "The sentence has the item's place.", (400,)
    ),
    "invalid_cursor": Word("The cursor of a list is not one of ours.", "Take `next_cursor` as it is.", (400,)),
    "file_too_large": Word(
        "A file is over `LASTFRAME_MAX_INPUT_BYTES` (500 MiB), or a result would be over the limit for one file.",
        "Send a smaller file, or raise the limit.",
        (400,),
        in_task=True,
    ),
    "unauthorized": Word("The key is missing or unknown.", "Send `Authorization: Bearer KEY`.", (401,)),
    "task_not_found": Word("No such task; or another key's; or deleted.", "Check the id and the key.", (404,)),
    "not_found": Word("No such path or file.", "See the paths of [the API](api.md).", (404,)),
    "method_not_allowed": Word("The path is right, the verb is not.", "See the `allow` header.", (405,)),
    "idempotency_conflict": Word("The key was used for another request within 24 hours.", "Take a new key.", (409,)),
    "conflict": Word("An id was drawn that exists already; not to be expected.", "Repeat.", (409,)),
    "already_finished": Word("The task ended before it could be stopped.", "Ask for its status.", (409,)),
    "task_not_failed": Word("Only failed tasks can be retried.", "Submit anew.", (409,)),
    "no_webhook": Word("The task has none to be sent.", "Register one.", (409,)),
    "not_finished": Word("The webhook is sent when the task ends.", "Wait.", (409,)),
    "request_too_large": Word("The JSON body is over 1 MiB.", "Send less; files go to uploads.", (413,)),
    "rate_limited": Word(
        "Too many calls of this key, or too many uploads, watches or dry runs at once.", "Wait `Retry-After`.", (429,)
    ),
    "too_many_tasks": Word("Too many unfinished tasks of this key.", "Wait `Retry-After`, or until some end.", (429,)),
    "internal_error": Word(
        "A fault of ours.",
        "Repeat once; then look into the log under the request's or task's id.",
        (500,),
        in_task=True,
    ),
    "unavailable": Word(
        "A part of the suite is away: store, queue, bucket.", "Repeat; submits with an `Idempotency-Key`.", (503,), True
    ),
    "timeout": Word("The request was not complete in time, or its answer.", "Repeat.", (408, 504)),
    "source_changed": Word("A file changed while it was read in pieces.", "Submit again when it is whole.", (), True),
    "scene_video_missing": Word("A scene of a movie could not be fetched.", _SOURCE, (), True),
    "unsupported_format": Word(
        "Not a medium, or without the picture or sound that the job needs; the sentence says what was found.",
        "Check `error_input`.",
        (),
        True,
    ),
    "duration_too_long": Word(
        "A video longer than `LASTFRAME_MAX_DURATION_SECONDS`, or a sound longer than [it may be](../limits.md#a-job).",
        "Cut it, or raise the limit.",
        (),
        True,
    ),
    "too_many_pixels": Word("The picture is larger than a decoder may hold.", "Scale it down.", (), True),
    "clips_differ": Word("`strategy` `copy`, and a clip is not like the others.", "Take `auto`.", (), True),
    "audio_sync_failed": Word(
        "Sound and picture are more than a factor of two apart.", "Take another `audio_sync_mode`.", (), True
    ),
    "processing_failed": Word("The job could not be done with these inputs.", "The sentence says why.", (), True),
    "processing_timeout": Word(
        "The job took longer than `LASTFRAME_JOB_DEADLINE_SECONDS`, or a dry run longer than 20 s.",
        "Send less at once, or raise it.",
        (504,),
        True,
    ),
    "media_crashed": Word("The decoder died, or ran out of memory.", "The file is broken or hostile.", (), True),
    "storage_unavailable": Word("The result could not be stored, in three tries.", "Retry the task.", (), True),
    "cancelled": Word("The task was cancelled.", "–", (), True),
}
_GRPC_ONLY = {word for word, number in ERROR_WORD_NUMBERS.items() if number <= 16} - _WORDS.keys() | {"queue_full"}
"""gRPC's own codes, and reserved words, that nothing says by itself."""

_SAYINGS = {
    400: "The request cannot be used as it is.",
    401: "The call carries no key that is known here.",
    404: "There is no such thing, or it is another key's.",
    405: "The path does not take this verb.",
    408: "The request did not arrive in time.",
    409: "The request contradicts what is already there.",
    413: "The body is too large.",
    429: "Too much at once; `Retry-After` says when to come back.",
    500: "The fault is ours.",
    503: "Not at the moment; try again.",
    504: "The answer took too long.",
}

_INTRODUCTION = """\
Every error is `{"detail": "a sentence", "error": "a_word"}`: the sentence is for a person and may change, the word is
for programs and does not. A failed task carries the same as `error_message` and `error`, with the field at fault in
`error_input`. Over gRPC the sentence is the status' message, the word the `reason` of its `google.rpc.ErrorInfo`, the
field its `metadata["input"]`."""

_FAILED = "The submit was accepted; the task ended as `failed`. A dry run answers with the same words, as HTTP 400."


def page() -> str:
    _hold_to_the_code()
    lines = [_INTRODUCTION, ""]
    for status in sorted({status for word in _WORDS.values() for status in word.statuses}):
        lines += [f"## HTTP {status}", "", _SAYINGS[status], ""]
        lines += _table(word for word, what in _WORDS.items() if status in what.statuses)
    lines += ["## Failed tasks", "", _FAILED, ""]
    lines += _table(word for word, what in _WORDS.items() if what.in_task)
    others = ", ".join(code(word) for word in sorted(_GRPC_ONLY))
    lines += ["## Others", "", f"Words of gRPC's own codes, which nothing here says by itself: {others}.", ""]
    return generated("Errors", *lines)


def _table(words: Iterator[str]) -> list[str]:
    rows = [(code(word), _WORDS[word].meaning, _WORDS[word].mend) for word in words]
    return table(("error", "meaning", "what to do"), rows)


def _hold_to_the_code() -> None:
    """Raises LookupError where the code says a word that is not explained here, or not with that status."""
    said = set(_said())
    words = {word for _, word in said} | ERROR_WORD_NUMBERS.keys()
    if unexplained := words - _WORDS.keys() - _GRPC_ONLY:
        raise LookupError(f"error words without an explanation: {sorted(unexplained)}")
    if unsaid := _WORDS.keys() - {word for _, word in said} - set(_strings()):
        raise LookupError(f"error words that nothing says: {sorted(unsaid)}")
    for cls, word in said:
        is_task = issubclass(cls, errors.ProcessingFailed | errors.ProcessingTimeout | errors.Unavailable)
        if not is_task and cls.http_status not in _WORDS[word].statuses:
            raise LookupError(f"{word} is said with HTTP {cls.http_status}")


def _said() -> Iterator[tuple[type[LastFrameError], str]]:
    """Each error class and word that stand together in the code: `raise Conflict(…, word="no_webhook")`."""
    for node in _nodes():
        if isinstance(node, ast.Attribute) and node.attr == "default_word" and (cls := _class(node.value)):
            yield cls, cls.default_word
        elif isinstance(node, ast.Call) and (cls := _class(node.func)):
            given = next((keyword.value for keyword in node.keywords if keyword.arg == "word"), None)
            if given is None:
                yield cls, cls.default_word
            elif isinstance(given, ast.Constant):
                yield cls, str(given.value)


def _class(node: ast.expr) -> type[LastFrameError] | None:
    found = getattr(errors, node.id, None) if isinstance(node, ast.Name) else None
    return found if isinstance(found, type) and issubclass(found, LastFrameError) else None


def _strings() -> Iterator[str]:
    """Words that are handed on before they are raised: `("scene_videos[0].video_url", "scene_video_missing")`."""
    return (node.value for node in _nodes() if isinstance(node, ast.Constant) and isinstance(node.value, str))


@cache
def _nodes() -> list[ast.AST]:
    """All of the code but the list of words itself."""
    paths = {*(ROOT / "shared").rglob("*.py"), *(ROOT / "services").rglob("*.py")} - {Path(errors.__file__)}
    return [node for path in sorted(paths) for node in ast.walk(ast.parse(path.read_text()))]
