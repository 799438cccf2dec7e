"""Ceilings per key, and results under names that do not tell their task."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

import pytest

from services.gateway.edge.routes import clusters
from services.gateway.rpcs import load_contract
from shared.backends.embedded.file_objects import FileObjects
from shared.backends.gcra import LocalBuckets
from shared.backends.unguessable_names import UnguessableNames
from shared.errors import Overloaded
from shared.rpc.call import Call
from shared.rpc.keys import Caller
from shared.rpc.limits import RECOUNT_SECONDS, RateLimit, TaskLimit
from shared.runtime.settings import Settings
from shared.tasks import Submission, Task, TaskKind, TaskStatus, new_task_id
from tests.security.conftest import Keys
from tests.support.http_server import NastyServer
from tests.support.suite import RunningSuite

KEY = "k" * 40


class Tasks:
    """A store that takes its time, as far as the limit sees it."""

    def __init__(self) -> None:
        self.unfinished_of: dict[str, int] = {}
        self.counts = 0

    async def unfinished(self, owner: str | None) -> int:
        self.counts += 1
        now = self.unfinished_of.get(owner or "", 0)
        await asyncio.sleep(0.001)
        return now

    async def accept(self, submission: Submission) -> Task:
        await asyncio.sleep(0.002)
        self.unfinished_of[submission.owner] = self.unfinished_of.get(submission.owner, 0) + 1
        now = datetime.now(UTC)
        kind = submission.kind
        return Task(new_task_id(kind), kind, submission.owner, TaskStatus.PENDING, created_at=now, updated_at=now)


async def submitted(limit: TaskLimit, times: int, owner: str = "alice") -> tuple[int, int]:
    """How many of so many submits at once were taken and refused."""
    results = await asyncio.gather(
        *(limit(Submission(TaskKind.MEDIA_LENGTH, owner, {})) for _ in range(times)), return_exceptions=True
    )
    refused = [result for result in results if isinstance(result, Overloaded)]
    assert all(error.word == "too_many_tasks" and error.retry_after_seconds for error in refused)
    return len(results) - len(refused), len(refused)


async def test_submits_at_once_fill_the_limit_and_never_pass_it():
    tasks = Tasks()
    limit = TaskLimit(50, tasks.unfinished, tasks.accept)
    assert await submitted(limit, 200) == (50, 150)
    assert await submitted(limit, 30, owner="bob") == (30, 0)
    tasks.unfinished_of["alice"] = 45
    assert await submitted(limit, 20) == (5, 15)


async def test_the_store_is_not_asked_for_every_submit():
    tasks = Tasks()
    limit = TaskLimit(10_000, tasks.unfinished, tasks.accept)
    assert await submitted(limit, 300) == (300, 0)
    assert tasks.counts == 1
    without = TaskLimit(0, tasks.unfinished, tasks.accept)
    assert await submitted(without, 300) == (300, 0)
    assert tasks.counts == 1


async def test_what_other_processes_took_is_seen_after_a_second():
    tasks = Tasks()
    limit = TaskLimit(10, tasks.unfinished, tasks.accept)
    assert await submitted(limit, 1) == (1, 0)
    tasks.unfinished_of["alice"] = 10
    await asyncio.sleep(RECOUNT_SECONDS + 0.1)
    assert await submitted(limit, 1) == (0, 1)


async def test_calls_are_limited_per_key_and_open_methods_are_not():
    buckets = LocalBuckets(clock=lambda: 0.0)

    async def take(bucket: str, rate: float, burst: int) -> float:
        return buckets.take(bucket, rate, burst)

    admit = RateLimit(take, 10.0, 5)
    for _ in range(5):
        await admit("/x", Call(Caller("alice")))
    with pytest.raises(Overloaded) as caught:
        await admit("/x", Call(Caller("alice")))
    assert caught.value.retry_after_seconds == pytest.approx(0.1)
    await admit("/x", Call(Caller("bob")))
    for _ in range(20):
        await admit("/x", Call(None))
        await RateLimit(take, 0.0, 1)("/x", Call(Caller("alice")))


async def test_a_result_name_does_not_tell_its_task_and_can_be_found_again(tmp_path):
    (tmp_path / "result").write_bytes(b"pixels")
    first, second = (
        UnguessableNames(FileObjects(tmp_path / "media", "http://h/media"), secret) for secret in ("one", "two")
    )
    await first.open()
    url = await first.put(tmp_path / "result", "68933d660fbe479408b185f1.jpg", "image/jpeg")
    name = url.rpartition("/")[2]
    assert "68933d66" not in name
    assert name.endswith(".jpg")
    assert len(name) == 44
    assert url == await first.url("68933d660fbe479408b185f1.jpg") != await second.url("68933d660fbe479408b185f1.jpg")
    assert (tmp_path / "media" / name).read_bytes() == b"pixels"
    await first.delete("68933d660fbe479408b185f1.jpg")
    assert not (tmp_path / "media" / name).exists()


def test_a_client_is_told_429_with_the_word_and_when_to_come_back(tmp_path, sources: NastyServer):
    stalled = sources.serve("/stalled.mp4", bytes(100_000), stall_after=1000, ranges=False)
    with RunningSuite(
        tmp_path / "suite",
        api_keys=f"alice={KEY},bob={KEY[::-1]}b",
        allow_private_sources="1",
        rate_limit_per_second="5",
        rate_limit_burst="20",
        max_tasks_per_key="3",
        drain_seconds="0",
    ) as suite:
        replies = [suite.call("POST", "/api/v1/length", json={"media_url": stalled}, key=KEY) for _ in range(4)]
        assert [reply.status_code for reply in replies] == [200, 200, 200, 429]
        assert replies[-1].json()["error"] == "too_many_tasks"
        assert replies[-1].json()["detail"]
        assert int(replies[-1].headers["retry-after"]) >= 1
        other = suite.call("POST", "/api/v1/length", json={"media_url": stalled}, key=KEY[::-1] + "b")
        assert other.status_code == 200

        polls = [suite.call("GET", "/api/v1/tasks/recent", key=KEY) for _ in range(40)]
        limited = [reply for reply in polls if reply.status_code != 200]
        assert limited
        assert {(reply.status_code, reply.json()["error"]) for reply in limited} == {(429, "rate_limited")}
        assert all(int(reply.headers["retry-after"]) >= 1 for reply in limited)
        assert suite.call("GET", "/health", key=None).status_code == 200


def body_with(faults: str, field: str, rest: str = "") -> str:
    return "{" + rest + f'"{field}": [' + ",".join([faults] * 340_000) + "]}"


MOVIE = '"project_id": "x", "master_audio": {"audio_url": "http://a/"}, '


@pytest.mark.parametrize(
    ("path", "body", "word"),
    [
        ("/api/v1/video/assemble-movie", body_with("{}", "scene_videos", MOVIE), "too_many_videos"),
        ("/api/v1/stitch", body_with('""', "video_urls"), "too_many_videos"),
        ("/api/v1/audio-stitch", body_with('""', "audio_urls"), "invalid_request"),
    ],
    ids=["scenes", "videos", "sounds"],
)
def test_a_megabyte_of_faults_is_refused_by_its_first(
    suite: RunningSuite, keys: Keys, path: str, body: str, word: str
) -> None:
    """Collecting them all held up the loop, and with it every other call, until the edge gave up (504)."""
    reply = suite.call("POST", path, data=body, headers={"Content-Type": "application/json"}, key=keys.alice)
    assert (reply.status_code, reply.json()["error"]) == (400, word)
    assert len(reply.json()["detail"]) < 500


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/api/v1/status/%ff%fe", {}, 400),
        ("/api/v1/status/" + "a" * 30_000, {}, 400),
        ("/api/v1/tasks/recent", {"x-large": "v" * 50_000}, 200),
        ("/api/v1/tasks/recent", {"x-larger": "v" * 70_000}, 431),
    ],
    ids=["not-utf-8", "long-path", "large-header", "too-large-header"],
)
def test_what_grpc_cannot_take_by_itself_is_answered_in_our_words(
    suite: RunningSuite, keys: Keys, path: str, headers: dict[str, str], status: int
) -> None:
    reply = suite.call("GET", path, headers=headers, key=keys.alice)
    assert reply.status_code == status, reply.text[:200]
    detail = reply.json().get("detail", "")
    assert not any(word in detail for word in ("google", "metadata"))


def test_calls_that_break_the_rules_count_as_calls(tmp_path) -> None:
    with RunningSuite(
        tmp_path / "suite", api_keys=f"alice={KEY}", rate_limit_per_second="1", rate_limit_burst="3"
    ) as suite:
        replies = [suite.call("POST", "/api/v1/process", json={}, key=KEY).status_code for _ in range(6)]
        assert replies[:3] == [400] * 3
        assert 429 in replies


def test_a_key_that_watches_too_much_is_refused_and_others_are_served(tmp_path, sources: NastyServer):
    stalled = sources.serve("/watched.mp4", bytes(100_000), stall_after=1000, ranges=False)
    bob = KEY[::-1] + "b"
    with RunningSuite(
        tmp_path / "suite",
        api_keys=f"alice={KEY},bob={bob}",
        allow_private_sources="1",
        max_watches_per_key="20",
        drain_seconds="0",
    ) as suite:
        path = f"/api/v1/tasks/{suite.submit('/api/v1/length', {'media_url': stalled}, key=KEY)}/events"
        watches = [suite.call("GET", path, key=KEY, stream=True) for _ in range(20)]
        assert {reply.status_code for reply in watches} == {200}
        refused = suite.call("GET", path, key=KEY)
        assert (refused.status_code, refused.json()["error"]) == (429, "rate_limited")
        assert int(refused.headers["retry-after"]) >= 1
        assert suite.call("GET", "/api/v1/tasks/recent", key=bob).status_code == 200
        watches.pop().close()
        deadline = time.monotonic() + 10
        while (again := suite.call("GET", path, key=KEY, stream=True)).status_code == 429:
            assert time.monotonic() < deadline, "a watch that ended still holds its place"
            time.sleep(0.1)
        for watch in (*watches, again):
            watch.close()


def test_one_key_s_watches_are_a_small_part_of_what_the_edge_carries():
    """Every call that is under way counts, whosever it is: when the last one is taken, all keys are answered 503."""
    contract = load_contract()
    for cluster in clusters(contract, {feature: [] for feature in contract.features}, None):
        (thresholds,) = cluster["circuit_breakers"]["thresholds"]
        assert thresholds["max_requests"] >= 10 * Settings.model_fields["max_watches_per_key"].default
