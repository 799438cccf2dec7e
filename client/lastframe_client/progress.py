"""One line on a terminal that tells how far a thing is; silent where stderr is no terminal."""

from __future__ import annotations

import shutil
import sys
from types import TracebackType
from typing import TextIO

from lastframe_client.task import Task

_WIDTH = 24


class Progress:
    """A context manager; the line is wiped at the end."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._shown = self._stream.isatty()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def task(self, task: Task) -> None:
        if task.status == "pending":
            self.show("waiting for a worker", None)
        elif task.status == "processing":
            self.show(task.phase or "starting", task.progress)

    def uploading(self, done: int, total: int | None) -> None:
        self.show("uploading", done / total if total else None)

    def downloading(self, done: int, total: int | None) -> None:
        self.show("downloading", done / total if total else None)

    def show(self, text: str, part: float | None) -> None:
        if not self._shown:
            return
        filled = round(_WIDTH * (part or 0.0))
        percent = "    " if part is None else f"{part:4.0%}"
        line = f"{'█' * filled}{'·' * (_WIDTH - filled)} {percent} {text}"
        self._stream.write("\r\x1b[K" + line[: shutil.get_terminal_size().columns - 1])
        self._stream.flush()
