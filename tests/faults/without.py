"""Negative controls: a program of the product with one of its guards taken out, to show that the proof can fail.

python -m tests.faults.without fence|reconciler MODULE [ARGUMENT…]
"""

from __future__ import annotations

import importlib
import runpy
import sys
from dataclasses import replace
from typing import Any

from services import production
from shared.backends import mongo, mongo_updates
from shared.backends.embedded.sqlite_store import SqliteStore
from shared.jobs import sweeper


def without_fence() -> None:
    """Whoever finishes a task ends it, also a worker that was replaced; nobody is told that he was."""

    async def settle(self: Any, task_id: str, fence: int, outcome: Any) -> Any:
        return await self._change({"_id": task_id}, mongo_updates.finished(outcome))

    async def held(self: Any, claims: Any) -> set[str]:
        return {task_id for task_id, _ in claims}

    async def renew(self: Any, task_id: str, fence: int, lease_seconds: float, phase: Any, progress: Any) -> bool:
        held = mongo._held(task_id, fence)
        await self._change(held, mongo_updates.renewed(lease_seconds, phase, progress))
        return True

    mongo.MongoStore.settle = settle  # type: ignore[method-assign]
    mongo.MongoStore.held = held  # type: ignore[method-assign]
    mongo.MongoStore.renew = renew  # type: ignore[method-assign]


def without_reconciler() -> None:
    """Nobody repeats lost publishes, expires leases, or frees what a dead worker held."""

    async def nothing(*_: Any) -> None:
        return None

    async def none_released(*_: Any) -> list[Any]:
        return []

    sweeper.sweep_once = nothing
    for store in (mongo.MongoStore, SqliteStore):
        store.release_worker = none_released  # type: ignore[attr-defined]


def main() -> int:
    _, guard, module, *arguments = sys.argv
    {"fence": without_fence, "reconciler": without_reconciler}[guard]()
    sys.argv = [module, *arguments]
    if module != "services.production":
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        return 0
    planned = production.roles

    def weakened(settings: Any, workers: int) -> list[production.Role]:
        """The same processes, each without the guard."""
        return [
            replace(role, command=("tests.faults.without", guard, *role.command)) if "edge" not in role.name else role
            for role in planned(settings, workers)
        ]

    production.roles = weakened
    return importlib.import_module(module).main()  # type: ignore[no-any-return]


if __name__ == "__main__":
    sys.exit(main())
