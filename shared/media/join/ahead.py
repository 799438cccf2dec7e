"""Run a generator in a thread of its own, a bounded number of items ahead of its reader."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import TypeVar

T = TypeVar("T")

_POLL_SECONDS = 0.05  # how soon a producer notices that nobody reads any more


@contextmanager
def ahead(items: Iterator[T], depth: int) -> Iterator[Iterator[T]]:
    """Read `items` through a queue of at most `depth`, filled by a thread.

    What the generator raises is raised to the reader. On exit, also by an error of the reader, the thread is stopped
    and joined, and the generator closed inside its own thread.
    """
    queue: Queue[tuple[list[T], BaseException | None]] = Queue(depth)  # an item, an error, or neither at the end
    stop = Event()

    def put(item: list[T], error: BaseException | None = None) -> bool:
        while not stop.is_set():
            try:
                queue.put((item, error), timeout=_POLL_SECONDS)
            except Full:
                continue
            return True
        return False

    def produce() -> None:
        try:
            for item in items:
                if not put([item]):
                    break
            else:
                put([])
        except BaseException as error:
            put([], error)
        finally:
            close = getattr(items, "close", None)
            if close:
                close()

    def read() -> Iterator[T]:
        while True:
            item, error = queue.get()
            if error is not None:
                raise error
            if not item:
                return
            yield item[0]

    thread = Thread(target=produce, name="ahead", daemon=True)
    thread.start()
    try:
        yield read()
    finally:
        stop.set()
        try:
            while True:
                queue.get_nowait()
        except Empty:
            thread.join()
