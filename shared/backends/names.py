"""Names of stored objects."""

from __future__ import annotations

import re

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ ()+-]*(/[A-Za-z0-9][A-Za-z0-9._ ()+-]*)*")
MAX_NAME_CHARACTERS = 512


def checked_name(name: str) -> str:
    """The name itself; raises `ValueError` on one that could leave its folder or means different things to stores."""
    if len(name) > MAX_NAME_CHARACTERS or not NAME.fullmatch(name):
        raise ValueError(f"not a name for an object: {name[:80]!r}")
    return name
