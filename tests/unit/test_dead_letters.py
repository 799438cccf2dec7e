"""What operators do with dead letters: look at them, and queue their tasks again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from services.dead_letters import run
from shared.jobs import sweeper
from shared.jobs.ledger import Ledger
from shared.runtime.settings import Settings
from shared.runtime.wiring import open_backends
from shared.tasks import Failure, Submission, Task, TaskKind, TaskStatus


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


async def buried(ledger: Ledger) -> Task:
    """A failed task and its letter."""
    task = await ledger.submit(Submission(TaskKind.MEDIA_LENGTH, "ann", {"media_url": "https://example.com/a.mp4"}))
    claimed = await ledger.claim(task.task_id, (TaskKind.MEDIA_LENGTH,), "worker", 10)
    assert claimed is not None
    await ledger.settle(claimed, Failure("storage_unavailable", "The result could not be stored"))
    await ledger.queue.bury(task.kind, task.task_id, "storage_unavailable")
    return task


async def test_listing_leaves_them_where_they_are(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    async with open_backends(settings) as backends:
        task = await buried(backends.ledger)
        for _ in range(2):
            await run(settings, requeue=False)
            assert capsys.readouterr().out.splitlines() == [
                f"{task.task_id}  media_length  storage_unavailable  failed",
                "1 dead letters",
            ]


async def test_a_task_that_killed_every_worker_is_shown(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeper, "MAX_CRASHES", 1)
    async with open_backends(settings) as backends:
        ledger = backends.ledger
        task = await ledger.submit(Submission(TaskKind.MEDIA_LENGTH, "ann", {"media_url": "https://example.com/a.mp4"}))
        assert await ledger.claim(task.task_id, (TaskKind.MEDIA_LENGTH,), "worker", 0.01) is not None
        await asyncio.sleep(0.05)
        await sweeper.sweep_once(ledger)
        assert (await ledger.get(task.task_id, None)).status is TaskStatus.FAILED
        [letter] = await ledger.queue.dead_letters()
        assert (letter.task_id, letter.reason) == (task.task_id, "media_crashed")


async def test_requeue_submits_each_once(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    async with open_backends(settings) as backends:
        ledger = backends.ledger
        task = await buried(ledger)
        await ledger.queue.bury(task.kind, task.task_id, "twice")
        await ledger.queue.bury(task.kind, "0" * 24, "unknown to the store")
        await run(settings, requeue=True)
        again = [one for one in await ledger.recent(10, None) if one.retry_of == task.task_id]
        assert [(one.status, one.inputs, one.owner) for one in again] == [(TaskStatus.PENDING, task.inputs, "ann")]
        first, second, dropped, total = capsys.readouterr().out.splitlines()
        assert first == second == f"{task.task_id}  queued again as {again[0].task_id}"
        assert dropped.startswith("0" * 24 + "  dropped: ")
        assert total == "3 dead letters taken"
        assert await ledger.queue.dead_letters() == []
