"""Plans: their bounds, what is left of them, and the door between api roles and workers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import structlog

from shared.errors import (
    InvalidRequest,
    LastFrameError,
    LimitExceeded,
    MediaCrashed,
    Overloaded,
    ProcessingFailed,
    ProcessingTimeout,
    SourceUnavailable,
    Unavailable,
)
from shared.jobs.child import ChildPool
from shared.jobs.context import JobContext, JobLimits
from shared.jobs.planner import Planner, PlannerSettings
from shared.ports import ObjectStore, PlanMaker, SourceOpener
from shared.rpc.call import Call, set_current_call
from shared.rpc.interceptor import Door
from shared.rpc.keys import KeyRing
from shared.rpc.plans import PLANS_SERVICE, PlansService, RemotePlanner
from shared.rpc.server import RpcServer
from shared.tasks import Plan, TaskKind
from tests.support.certificates import Issuer

KIND = TaskKind.VIDEO_STITCH
INPUTS, OPTIONS = {"video_urls": ["http://a/b"]}, {"quality": 95, "frame_rate": 29.97}


def planner(
    job: Callable[[JobContext], Awaitable[Mapping[str, Any]]], scratch: Path, *, most: int = 2, seconds: float = 5.0
) -> Planner:
    limits = JobLimits(max_input_bytes=1000, max_duration_seconds=10.0, deadline_seconds=seconds, threads=1)
    return Planner(
        {KIND: job},
        PlannerSettings(scratch, limits, most),
        opener=cast("SourceOpener", None),
        children=cast("ChildPool", None),
        objects=cast("ObjectStore", None),
    )


async def test_a_plan_gets_the_request_and_leaves_no_scratch(tmp_path: Path) -> None:
    async def job(context: JobContext) -> dict[str, Any]:
        (context.scratch / "spooled").write_bytes(b"x")
        assert (context.task.inputs, context.task.options) == (INPUTS, OPTIONS)
        return {"frames": 30}

    plan = await planner(job, tmp_path)(KIND, INPUTS, OPTIONS)
    assert plan.facts == {"frames": 30, "bytes_fetched": 0}
    assert list(tmp_path.iterdir()) == []


async def test_a_process_that_makes_no_plans_says_so(tmp_path: Path) -> None:
    async def job(context: JobContext) -> dict[str, Any]:
        raise AssertionError("no plan is to be made")

    with pytest.raises(Unavailable, match="LASTFRAME_MAX_PLANS"):
        await planner(job, tmp_path, most=0)(KIND, INPUTS, OPTIONS)


async def test_what_breaks_while_it_is_cleaned_up_costs_no_plan_and_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def job(context: JobContext) -> dict[str, Any]:
        (context.scratch / "spooled").write_bytes(b"x")
        return {"frames": 30}

    async def close(context: JobContext) -> None:
        raise OSError("a source does not close")

    monkeypatch.setattr(JobContext, "close", close)
    with structlog.testing.capture_logs() as lines:
        assert (await planner(job, tmp_path)(KIND, INPUTS, OPTIONS)).facts["frames"] == 30
    assert [(line["event"], str(line["exc_info"])) for line in lines] == [("close_failed", "a source does not close")]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "error",
    [
        SourceUnavailable("answered 404", word="invalid_video_url", input_name="video_urls[1]"),
        LimitExceeded("is too long", word="duration_too_long", input_name="video_urls[1]"),
        MediaCrashed("the decoder ran out of memory", input_name="video_urls[1]"),
        ProcessingFailed("differ", word="clips_differ", input_name="video_urls[1]"),
        InvalidRequest("is no rate", input_name="video_urls[1]"),
    ],
)
async def test_what_a_job_would_fail_with_is_the_callers_to_mend(tmp_path: Path, error: LastFrameError) -> None:
    async def job(context: JobContext) -> dict[str, Any]:
        (context.scratch / "spooled").write_bytes(b"x")
        raise error

    with pytest.raises(InvalidRequest) as refused:
        await planner(job, tmp_path)(KIND, INPUTS, OPTIONS)
    assert refused.value.http_status == 400
    assert (refused.value.word, refused.value.input_name) == (error.word, "video_urls[1]")
    assert refused.value.detail == f"video_urls[1]: {error.detail}"
    assert list(tmp_path.iterdir()) == []


async def test_too_many_at_once_are_refused_and_a_stopped_one_makes_room(tmp_path: Path) -> None:
    begun = asyncio.Event()

    async def job(context: JobContext) -> dict[str, Any]:
        begun.set()
        await asyncio.sleep(60)
        return {}

    plan = planner(job, tmp_path, most=1)
    running = asyncio.create_task(plan(KIND, INPUTS, OPTIONS))
    await begun.wait()
    with pytest.raises(Overloaded) as refused:
        await plan(KIND, INPUTS, OPTIONS)
    assert refused.value.retry_after_seconds
    running.cancel()
    await asyncio.wait((running,))
    assert list(tmp_path.iterdir()) == []
    begun.clear()
    again = asyncio.create_task(plan(KIND, INPUTS, OPTIONS))
    await asyncio.wait_for(begun.wait(), 20)
    again.cancel()


async def test_a_plan_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    async def job(context: JobContext) -> dict[str, Any]:
        await asyncio.sleep(60)
        return {}

    with pytest.raises(ProcessingTimeout):
        await planner(job, tmp_path, seconds=0.05)(KIND, INPUTS, OPTIONS)
    assert list(tmp_path.iterdir()) == []


async def test_what_the_product_does_not_name_is_not_hidden(tmp_path: Path) -> None:
    async def job(context: JobContext) -> dict[str, Any]:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError):
        await planner(job, tmp_path)(KIND, INPUTS, OPTIONS)
    assert list(tmp_path.iterdir()) == []


# Between roles


@asynccontextmanager
async def worker(plan: PlanMaker, *, tls_directory: Path | None = None) -> AsyncIterator[str]:
    """The address of a worker that makes plans so."""
    server = RpcServer(
        "127.0.0.1:0",
        Door(lambda: KeyRing(())),
        [PlansService(plan).register],
        [PLANS_SERVICE],
        tls_directory=tls_directory,
    )
    await server.start()
    set_current_call(Call(None))
    try:
        yield f"localhost:{server.port}"
    finally:
        await server.stop(0)


def giving(outcome: Any) -> PlanMaker:
    async def plan(kind: TaskKind, inputs: Mapping[str, Any], options: Mapping[str, Any]) -> Plan:
        if isinstance(outcome, Exception):
            raise outcome
        assert (kind, inputs, options) == (KIND, INPUTS, OPTIONS)
        assert isinstance(options["quality"], int)
        return Plan(outcome)

    return plan


async def test_an_api_gets_its_workers_plan() -> None:
    facts = {"frames": 30, "copied": [{"index": 0}], "resolution": "2x2", "warnings": []}
    async with worker(giving(facts)) as address:
        plan = await RemotePlanner(address, deadline_seconds=5)(KIND, INPUTS, OPTIONS)
    assert plan.facts == facts


@pytest.mark.parametrize(
    "error",
    [
        InvalidRequest("video_urls[1]: answered 404", word="invalid_video_url", input_name="video_urls[1]"),
        Overloaded("too many", retry_after_seconds=2.0),
        ProcessingTimeout("too slow"),
        Unavailable("no process could be had"),
    ],
)
async def test_an_api_gets_its_workers_refusal(error: LastFrameError) -> None:
    async with worker(giving(error)) as address:
        with pytest.raises(type(error)) as refused:
            await RemotePlanner(address, deadline_seconds=5)(KIND, INPUTS, OPTIONS)
    told = refused.value
    assert (told.word, told.detail, told.input_name) == (error.word, error.detail, error.input_name)
    assert told.retry_after_seconds == error.retry_after_seconds


async def test_a_worker_that_is_not_there_is_passed_over() -> None:
    async with worker(giving({"frames": 1})) as address:
        port = address.rpartition(":")[2]
        ask = RemotePlanner(f"127.0.0.1:1,127.0.0.1:{port}", deadline_seconds=5)
        for _ in range(4):  # they are tried in an order of chance
            assert (await ask(KIND, INPUTS, OPTIONS)).facts == {"frames": 1}
    with pytest.raises(Unavailable):
        await RemotePlanner("127.0.0.1:1", deadline_seconds=1)(KIND, INPUTS, OPTIONS)


async def test_over_mutual_tls_only_a_certified_caller_is_heard(tmp_path: Path) -> None:
    issuer, stranger = Issuer(tmp_path / "issuer"), Issuer(tmp_path / "stranger")
    own = issuer.issue(tmp_path / "worker", "serverAuth", "DNS:localhost")
    caller = issuer.issue(tmp_path / "api", "serverAuth,clientAuth", "DNS:frames-api")
    other = stranger.issue(tmp_path / "other", "clientAuth", "DNS:frames-api")
    (other / "ca.crt").write_bytes((own / "ca.crt").read_bytes())
    async with worker(giving({"frames": 1}), tls_directory=own) as address:
        plan = await RemotePlanner(address, deadline_seconds=5, tls_directory=caller)(KIND, INPUTS, OPTIONS)
        assert plan.facts == {"frames": 1}
        for certificates in (None, other):
            with pytest.raises(Unavailable):
                await RemotePlanner(address, deadline_seconds=1, tls_directory=certificates)(KIND, INPUTS, OPTIONS)
