"""The API keys' file: digests only, read again when it changes, so that keys come and go without a restart."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog

from shared.rpc.keys import KeyRing, parse_digests

log = structlog.get_logger(__name__)

LOOK_AGAIN_SECONDS = 0.5

_Mark = tuple[tuple[str, int, int, int, int], ...]


class KeyFile:
    """Gives the ring that is valid now: `keys()` is what the interceptor asks on every call.

    A look at the file's mark (inode, size, times) costs microseconds and happens at most every half second, inside a
    call; only a changed mark is read. A file that is broken or gone keeps the last good keys and says so in the log,
    so a rotation that goes wrong locks nobody out. To revoke the last key, leave a file with a comment in it.

    Args:
        path: a file of `name=sha256:<hex>` lines, or a folder whose files hold such lines (a mounted Kubernetes secret:
            names that begin with a dot are skipped, links are followed, so its `..data` swap is seen).
        fixed: further (name, digest) pairs that are always valid: those of LASTFRAME_API_KEYS.

    Raises:
        OSError, ValueError: the first read fails; there is no last good state to go on with.
    """

    def __init__(
        self,
        path: Path,
        *,
        fixed: Iterable[tuple[str, str]] = (),
        admins: frozenset[str] = frozenset(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._fixed = tuple(fixed)
        self._admins = admins
        self._clock = clock
        self._looked = clock()
        self._complaint = ""
        self._mark = _mark(path)
        self._ring = self._read()

    def __call__(self) -> KeyRing:
        now = self._clock()
        if now - self._looked >= LOOK_AGAIN_SECONDS:
            self._looked = now
            self._look()
        return self._ring

    def _look(self) -> None:
        try:
            mark = _mark(self._path)
            if mark == self._mark:
                return
            self._ring = self._read()
            self._mark = mark
        except (OSError, ValueError) as error:
            # Not marked as seen: the next look tries again, as it may have met a writer half-way.
            if self._complaint != _reason(error):
                self._complaint = _reason(error)
                log.warning("api_keys_unchanged", file=self._path.name, reason=self._complaint)
            return
        self._complaint = ""
        log.info("api_keys_read", file=self._path.name)

    def _read(self) -> KeyRing:
        pairs = list(self._fixed)
        for file in _files(self._path):
            try:
                pairs += parse_digests(file.read_text("utf-8"))
            except UnicodeDecodeError:
                raise ValueError("it is not text") from None
        return KeyRing(pairs, self._admins)


def _files(path: Path) -> list[Path]:
    """The file itself, or the folder's files in the order of their names. Raises `OSError` when there is none."""
    if not path.is_dir():
        return [path]
    files = sorted(entry for entry in path.iterdir() if not entry.name.startswith(".") and entry.is_file())
    if not files:
        raise FileNotFoundError("the folder holds no file")
    return files


def _mark(path: Path) -> _Mark:
    marks = []
    for file in _files(path):
        status = os.stat(file)  # noqa: PTH116 - through links
        marks.append((file.name, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
    return tuple(marks)


def _reason(error: Exception) -> str:
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else str(error)
