"""Turns a media step's typed result into the public metadata of a task."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any


def present(result: Any, *, without: Collection[str] = ()) -> dict[str, Any]:
    """The fields of a dataclass as JSON values, less `without` and what is None."""
    return {
        name: value
        for name, value in dataclasses.asdict(result).items()
        if name not in without and value is not None
    }
