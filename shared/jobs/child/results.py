"""What a step returned, read as the words of a stranger."""

from __future__ import annotations

import dataclasses
import functools
import stat
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from shared.errors import MediaCrashed

R = TypeVar("R")


def result_path(scratch: Path, name: str | Path) -> Path:
    """`scratch/name`, if it is a plain regular file directly in `scratch`.

    Args:
        name: what the child said: a bare name, or that name below `scratch`.

    Raises:
        MediaCrashed: it is anything else: another directory, a link, a device, a file with a second name, nothing.
    """
    bare = Path(name).name if Path(name).parent == scratch.absolute() else str(name)
    if bare in ("", ".", "..") or "/" in bare or "\0" in bare:
        raise MediaCrashed("the decoder named a file that is not its own")
    path = scratch / bare
    try:
        status = path.lstat()
    except OSError as error:
        raise MediaCrashed("the decoder named a file that it did not write") from error
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        raise MediaCrashed("the decoder named a file that is not its own")
    return path


def rebuild(step: Callable[..., R], payload: bytes, scratch: Path) -> R:
    """The step's result from the child's JSON, strictly of the annotated type, every `Path` in it judged.

    Call it when the child is dead: then no file can change under the judgement.

    Raises:
        MediaCrashed: wrong shape, wrong types, or a path that `result_path` refuses.
    """
    try:
        result = _adapter(step).validate_json(payload, strict=True)
    except ValidationError as error:
        raise MediaCrashed("the decoder answered nonsense") from error
    return cast(R, _judge_paths(result, scratch))


@functools.cache
def _adapter(step: Callable[..., Any]) -> TypeAdapter[Any]:
    return TypeAdapter(typing.get_type_hints(step)["return"])


def _judge_paths(value: Any, scratch: Path) -> Any:
    if isinstance(value, Path):
        return result_path(scratch, value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        judged = {
            field.name: _judge_paths(getattr(value, field.name), scratch)
            for field in dataclasses.fields(value)
            if field.init
        }
        return dataclasses.replace(value, **judged)
    if isinstance(value, dict):
        return {key: _judge_paths(item, scratch) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_judge_paths(item, scratch) for item in value)
    return value
