"""Turns a media step's typed result into the public metadata of a task."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any


def present(result: Any, *, without: Collection[str] = ()) -> dict[str, Any]:
    """The fields of a dataclass as JSON values, less `without` and what is None.

    Seconds and levels keep six decimals: finer digits are noise of the division.
    """
    return {
        name: _rounded(value)
        for name, value in dataclasses.asdict(result).items()
        if name not in without and value is not None
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    return value
