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
    queue: Queue[tuple[str, T | BaseException | None]] = Queue(depth)
    stop = Event()

    def put(kind: str, value: T | BaseException | None) -> bool:
        while not stop.is_set():
            try:
                queue.put((kind, value), timeout=_POLL_SECONDS)
            except Full:
                continue
            return True
        return False

    def produce() -> None:
        try:
            for item in items:
                if not put("item", item):
                    break
            else:
                put("end", None)
        except BaseException as error:
            put("error", error)
        finally:
            close = getattr(items, "close", None)
            if close:
                close()

    def read() -> Iterator[T]:
        while True:
            kind, value = queue.get()
            if kind == "end":
                return
            if kind == "error":
                assert isinstance(value, BaseException)
                raise value
            yield value

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
