"""The bytes of one source that have already come: a sparse, nameless file, and which runs of it are filled.

A range that was fetched once is never fetched again, memory stays flat, and a kill leaves nothing behind.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path


class Spool:
    """The caller closes it.

    Args:
        directory: existing; on the file system of the files that `hand_over` will make, if possible.

    Raises:
        OSError: from any method, when the disk is full or broken.
    """

    def __init__(self, directory: Path) -> None:
        try:
            self._descriptor = os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError:  # a file system without O_TMPFILE (NFS, some FUSE)
            self._descriptor, name = tempfile.mkstemp(dir=directory)
            Path(name).unlink()
        self._runs: list[tuple[int, int]] = []  # filled [start, stop), sorted, apart from each other

    @property
    def filled_bytes(self) -> int:
        return sum(stop - start for start, stop in self._runs)

    def write(self, offset: int, data: bytes) -> None:
        view = memoryview(data)
        done = 0
        while done < len(view):
            done += os.pwrite(self._descriptor, view[done:], offset + done)
        start, stop = offset, offset + len(data)
        apart = []
        for run in self._runs:
            if run[1] < start or run[0] > stop:
                apart.append(run)
            else:
                start, stop = min(start, run[0]), max(stop, run[1])
        self._runs = sorted([*apart, (start, stop)])

    def missing(self, start: int, stop: int) -> list[tuple[int, int]]:
        """The runs of `[start, stop)` that have not come yet."""
        gaps = []
        for filled_start, filled_stop in self._runs:
            if start >= stop or filled_start >= stop:
                break
            if filled_start > start:
                gaps.append((start, filled_start))
            start = max(start, filled_stop)
        if start < stop:
            gaps.append((start, stop))
        return gaps

    def read(self, offset: int, length: int) -> bytes:
        return os.pread(self._descriptor, length, offset)

    def clear(self) -> None:
        os.ftruncate(self._descriptor, 0)
        self._runs = []

    def hand_over(self, path: Path) -> None:
        """Gives the filled file the name `path` without copying where the file system can, else copies it."""
        here = os.open("/", os.O_PATH | os.O_CLOEXEC)
        try:
            # A directory descriptor makes Python call linkat(AT_SYMLINK_FOLLOW), which is what names an O_TMPFILE.
            os.link(f"/proc/self/fd/{self._descriptor}", path, src_dir_fd=here, follow_symlinks=True)
        except OSError:
            with os.fdopen(os.dup(self._descriptor), "rb") as source, path.open("wb") as target:
                source.seek(0)
                shutil.copyfileobj(source, target, 1 << 20)
        finally:
            os.close(here)

    def close(self) -> None:
        os.close(self._descriptor)
