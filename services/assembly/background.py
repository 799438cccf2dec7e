"""An audio file encoded in a thread of its own."""

from __future__ import annotations

from queue import Full, Queue
from threading import Event, Thread
from types import TracebackType
from typing import Final, Self

from shared.errors import ProcessingFailed
from shared.media.audio import Block
from shared.media.audio.writer import AudioWriter

_BLOCKS_AHEAD: Final = 16
_POLL_SECONDS: Final = 0.05  # how soon a waiting writer notices that the encoder failed


class BackgroundWriter:
    """`AudioWriter` behind a bounded queue. Use as a context manager.

    `write` waits while the queue is full, so a failed encoder can block nobody. Leaving the context finishes the file;
    after an exception the file is abandoned.

    Raises:
        ProcessingFailed: the encoder or the disk failed; from `write` or on leaving.
    """

    def __init__(self, writer: AudioWriter) -> None:
        self._writer = writer
        self._queue: Queue[Block | None] = Queue(_BLOCKS_AHEAD)
        self._abandoned = Event()
        self._done = Event()
        self._error: BaseException | None = None
        self._thread = Thread(target=self._encode, name="encode-audio", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._abandoned.set()
        self._put(None)
        self._thread.join()
        if kind is None:
            self._raise_failure()

    def write(self, block: Block) -> None:
        """Hand over one block."""
        self._put(block)
        self._raise_failure()

    def _raise_failure(self) -> None:
        if self._error is not None:
            # Under its own name: a reader around this call may take a bare OSError for its own input's.
            raise ProcessingFailed("the audio file could not be written") from self._error

    def _put(self, block: Block | None) -> None:
        while not self._done.is_set():
            try:
                self._queue.put(block, timeout=_POLL_SECONDS)
            except Full:
                continue
            return

    def _encode(self) -> None:
        try:
            with self._writer as writer:
                while (block := self._queue.get()) is not None and not self._abandoned.is_set():
                    writer.write(block)
        except BaseException as error:
            self._error = error
        finally:
            self._done.set()
