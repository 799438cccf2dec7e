"""A worker's scratch directory: emptied at its start, measured while it works."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

BLOCK_BYTES = 512  # the unit of st_blocks, whatever the file system's own (stat(2))


def sweep_scratch(root: Path) -> None:
    """Deletes what a crash left; called before the first claim, when nothing of this worker's runs."""
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    for leftover in root.iterdir():
        shutil.rmtree(leftover, ignore_errors=True)


def scratch_bytes(root: Path) -> int:
    """What this process and its children hold on the disk below `root`, in bytes: files with a name, and this
    process's nameless ones, in which sources are spooled. A sparse file counts what it holds. Files may come and go
    meanwhile."""
    blocks = 0
    for folder, _, names in os.walk(root):  # which passes over folders that have gone, as rglob does not
        for name in names:
            with contextlib.suppress(OSError):
                blocks += Path(folder, name).lstat().st_blocks
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if descriptor.readlink().is_relative_to(root) and (found := descriptor.stat()).st_nlink == 0:
                blocks += found.st_blocks
    return blocks * BLOCK_BYTES
