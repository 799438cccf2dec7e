"""Turns a media step's typed result into the public metadata of a task."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any


def present(result: Any, *, without: Collection[str] = ()) -> dict[str, Any]:
    """The fields of a dataclass as JSON values, less `without`, and at any depth less what is None.

    Seconds and levels keep six decimals: finer digits are noise of the division.
    """
    facts: dict[str, Any] = _plain(dataclasses.asdict(result))
    return {name: value for name, value in facts.items() if name not in without}


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
