"""The embedded store alone: what only a file can lose."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import apsw
import pytest

from shared.backends.embedded.sqlite_store import SqliteStore
from shared.errors import ConfigurationError, Unavailable
from shared.tasks import TaskKind, TaskStatus
from tests.contract.test_task_store import new

SUBMITTER = """
import asyncio, sys
from pathlib import Path
from shared.backends.embedded.sqlite_store import SqliteStore
from tests.contract.test_task_store import new

async def main():
    store = SqliteStore(Path(sys.argv[1]))
    await store.open()
    async def submit():
        while True:
            task = await store.insert(new())
            print(task.task_id, flush=True)
    await asyncio.gather(*(submit() for _ in range(16)))

asyncio.run(main())
"""


async def _submit_until_killed(path: Path, acknowledged_wanted: int) -> set[str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        SUBMITTER,
        str(path),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])},
    )
    assert process.stdout is not None
    acknowledged = set()
    while len(acknowledged) < acknowledged_wanted:
        line = await process.stdout.readline()
        assert line, "the submitter ended by itself"
        acknowledged.add(line.decode().strip())
    process.send_signal(signal.SIGKILL)
    rest = await process.stdout.read()
    acknowledged |= set(rest.decode().split("\n")[:-1])
    await process.wait()
    return acknowledged


async def test_every_acknowledged_task_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "tasks.db"
    acknowledged: set[str] = set()
    for round_ in range(3):
        acknowledged |= await _submit_until_killed(path, 50 + 100 * round_)
    store = SqliteStore(path)
    await store.open()
    missing = [task_id for task_id in acknowledged if await store.get(task_id) is None]
    counts = await store.counts()
    await store.close()
    assert missing == []
    assert counts[TaskStatus.PENDING] >= len(acknowledged) >= 450
    assert apsw.Connection(str(path)).execute("pragma integrity_check").get == "ok"


async def test_every_commit_is_synced(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "tasks.db")
    await store.open()
    pragmas = [
        await store._threads.write(lambda db, name=name: db.execute(f"pragma {name}").get)
        for name in ("journal_mode", "synchronous")
    ]
    await store.close()
    assert pragmas == ["wal", 2]


async def test_a_newer_versions_file_is_refused_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "tasks.db"
    apsw.Connection(str(path)).execute("pragma user_version = 99")
    with pytest.raises(ConfigurationError, match=r"LASTFRAME_STORE_URL: .* newer version"):
        await SqliteStore(path).open()


async def test_a_broken_file_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "tasks.db"
    path.write_bytes(b"this is not a database" * 400)
    with pytest.raises(Unavailable):
        await SqliteStore(path).open()


async def test_a_closed_store_is_unavailable(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "tasks.db")
    await store.open()
    await store.insert(new(TaskKind.LAST_FRAME))
    await store.close()
    await store.close()
    with pytest.raises(Unavailable):
        await store.insert(new(TaskKind.LAST_FRAME))
    with pytest.raises(Unavailable):
        await store.recent(1)


async def test_one_failing_write_leaves_its_group_alone(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "tasks.db")
    await store.open()
    twice = new(TaskKind.LAST_FRAME)
    answers = await asyncio.gather(
        *(store.insert(task) for task in [new(), twice, twice, new(), new()]), return_exceptions=True
    )
    counts = await store.counts()
    await store.close()
    assert [isinstance(answer, Exception) for answer in answers] == [False, False, True, False, False]
    assert counts[TaskStatus.PENDING] == 4
