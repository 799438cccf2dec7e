"""What to do where a program that a test needs is not installed."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def missing(reason: str) -> NoReturn:
    """Skips the calling test at home, and fails it under CI: there `make test` has to have installed everything."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def needed(*names: str) -> str:
    """The path of the first of these programs that is installed; see `missing` for when none is."""
    for name in names:
        if path := shutil.which(name):
            return path
    missing(f"{' or '.join(names)} is not installed")
