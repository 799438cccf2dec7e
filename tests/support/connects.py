"""Which addresses this process tries to connect to, told by the interpreter itself."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_listening: list[list[str]] = []
_installed = False


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and _listening and isinstance(arguments[1], tuple):
        for heard in _listening:
            heard.append(str(arguments[1][0]))


@contextmanager
def recorded_connects() -> Iterator[list[str]]:
    """The hosts of every `socket.connect` to an internet address while the block runs."""
    global _installed  # noqa: PLW0603  (an audit hook cannot be taken away again)
    if not _installed:
        sys.addaudithook(_hook)
        _installed = True
    heard: list[str] = []
    _listening.append(heard)
    try:
        yield heard
    finally:
        _listening.remove(heard)
