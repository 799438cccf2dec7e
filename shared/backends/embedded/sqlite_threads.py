"""SQLite off the event loop: one thread that writes, one that reads.

Writes that wait at the same time share one transaction and so one sync of the disk (group commit): an answered write
is on the disk, and 64 submits in flight cost little more than one.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import apsw

from shared.backends.embedded.sqlite_schema import connect
from shared.errors import Unavailable

T = TypeVar("T")
Work = Callable[[apsw.Connection], T]

MAX_GROUP = 256  # writes that share a commit

AWAY = (
    apsw.BusyError,
    apsw.LockedError,
    apsw.IOError,
    apsw.FullError,
    apsw.CantOpenError,
    apsw.ReadOnlyError,
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.ConnectionClosedError,
)


def unavailable(error: Exception) -> Unavailable:
    failure = Unavailable("The task store cannot be used at the moment.")
    failure.__cause__ = error
    return failure


class SqliteThreads:
    """Runs functions on the database file; each write function is one atomic step.

    Both raise what the function raises, and `Unavailable` when the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._jobs: queue.SimpleQueue[tuple[Work[Any], Future[Any]] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._readers: ThreadPoolExecutor | None = None
        self._reading: apsw.Connection | None = None

    async def open(self) -> None:
        try:
            writing = await asyncio.to_thread(connect, self._path)
            self._reading = await asyncio.to_thread(connect, self._path)
        except AWAY as error:
            raise unavailable(error) from error
        self._readers = ThreadPoolExecutor(1, thread_name_prefix="sqlite-read")
        self._thread = threading.Thread(target=self._write_loop, args=(writing,), name="sqlite-write", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Finishes the writes that wait, then closes the file."""
        if self._thread is None or self._readers is None or self._reading is None:
            return
        thread, readers, reading = self._thread, self._readers, self._reading
        self._thread = self._readers = self._reading = None
        self._jobs.put(None)
        await asyncio.to_thread(thread.join)
        await asyncio.to_thread(readers.shutdown)
        reading.close()

    async def write(self, work: Work[T]) -> T:
        if self._thread is None:
            raise Unavailable("The task store is closed.")
        future: Future[T] = Future()
        self._jobs.put((work, future))
        return await asyncio.wrap_future(future)

    async def read(self, work: Work[T]) -> T:
        if self._readers is None or self._reading is None:
            raise Unavailable("The task store is closed.")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, work, self._reading)
        except AWAY as error:
            raise unavailable(error) from error

    def _write_loop(self, connection: apsw.Connection) -> None:
        closing = False
        while not closing:
            group = [self._jobs.get()]
            while len(group) < MAX_GROUP and not self._jobs.empty():
                group.append(self._jobs.get())
            closing = None in group
            wanted = [job for job in group if job is not None and job[1].set_running_or_notify_cancel()]
            if wanted:
                self._commit(connection, wanted)
        connection.close()

    @staticmethod
    def _commit(connection: apsw.Connection, group: list[tuple[Work[Any], Future[Any]]]) -> None:
        answers: list[tuple[Future[Any], Any, Exception | None]] = []
        try:
            connection.execute("begin immediate")
            for work, future in group:
                try:
                    with connection:  # a savepoint: one that fails takes only its own changes back
                        answers.append((future, work(connection), None))
                except AWAY:
                    raise
                except Exception as error:
                    answers.append((future, None, error))
            connection.execute("commit")
        except Exception as error:
            if connection.in_transaction:
                connection.execute("rollback")
            answers = [(future, None, unavailable(error)) for _, future in group]
        for future, value, failure in answers:
            if failure is None:
                future.set_result(value)
            else:
                future.set_exception(failure)
