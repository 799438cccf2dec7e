"""How an error crosses the pipe: by the name of its class in `shared.errors`, its word and its sentence."""

from __future__ import annotations

import re
from typing import Any

from shared.errors import InvalidRequest, LastFrameError, MediaCrashed, ProcessingFailed, ProcessingTimeout, Unavailable

MAX_DETAIL_CHARACTERS = 500
_WORD = re.compile(r"[a-z][a-z0-9_]{0,63}")
_INPUT_NAME = re.compile(r"[A-Za-z0-9_.\[\]]{1,200}")


def _family(root: type[LastFrameError]) -> dict[str, type[LastFrameError]]:
    found = {root.__name__: root}
    for child in root.__subclasses__():
        found |= _family(child)
    return found


def to_wire(error: LastFrameError) -> dict[str, Any]:
    return {
        "class": type(error).__name__,
        "word": error.word,
        "detail": error.detail,
        "input_name": error.input_name,
        "retryable": error.retryable,
        "retry_after_seconds": error.retry_after_seconds,
    }


def from_parent(fields: dict[str, Any]) -> LastFrameError:
    """The same error again, in the child, which believes its parent."""
    names = _family(LastFrameError)
    return names.get(fields["class"], LastFrameError)(
        fields["detail"],
        word=fields["word"],
        input_name=fields["input_name"],
        retryable=fields["retryable"],
        retry_after_seconds=fields["retry_after_seconds"],
    )


def from_child(fields: object) -> LastFrameError:
    """The error that a media step may raise, rebuilt from what an untrusted child says; `MediaCrashed` when it lies.

    A step judges media and options: it has no say on keys, tasks or quotas, so only those classes are accepted.
    """
    if not isinstance(fields, dict):
        return MediaCrashed("the decoder answered nonsense")
    accepted = _family(ProcessingFailed) | _family(InvalidRequest) | _family(ProcessingTimeout) | _family(Unavailable)
    cls, word, detail = accepted.get(str(fields.get("class"))), fields.get("word"), fields.get("detail")
    if cls is None or not isinstance(word, str) or not _WORD.fullmatch(word) or not isinstance(detail, str):
        return MediaCrashed("the decoder answered nonsense")
    name = fields.get("input_name")
    return cls(
        "".join(character if character.isprintable() else " " for character in detail[:MAX_DETAIL_CHARACTERS]),
        word=word,
        input_name=name if isinstance(name, str) and _INPUT_NAME.fullmatch(name) else None,
        retryable=fields.get("retryable") is True,
    )
