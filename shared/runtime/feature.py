"""What a feature brings to a process: its servicers, its jobs, and the modules that decoder children preload."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc

from shared.jobs.ledger import Ledger
from shared.jobs.planner import PlanJob
from shared.jobs.runner import Job
from shared.rpc.submit import Submitter
from shared.tasks import TaskKind


@dataclass(frozen=True)
class Feature:
    """One folder of `services/`.

    Attributes:
        name: the folder's name; also the queue's.
        service_names: full gRPC names that its api serves.
        register: adds its servicers to a server.
        jobs: what its workers run.
        plans: what its workers foretell, for the same kinds.
        preload: modules of its media steps.
        beside: what its api role does all the time, until it is cancelled.
    """

    name: str
    service_names: tuple[str, ...]
    register: Callable[[Submitter, Ledger, grpc.aio.Server], None]
    jobs: Mapping[TaskKind, Job] = field(default_factory=dict)
    plans: Mapping[TaskKind, PlanJob] = field(default_factory=dict)
    preload: tuple[str, ...] = ()
    beside: Callable[[], Coroutine[Any, Any, None]] | None = None
