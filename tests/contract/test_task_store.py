"""What every task store promises, asked of each one."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.errors import Conflict, InvalidRequest
from shared.ports import TaskFilter, TaskStore
from shared.tasks import (
    Failure,
    Idempotency,
    Retry,
    Success,
    Task,
    TaskKind,
    TaskStatus,
    Webhook,
    WebhookAttempt,
    WebhookState,
    new_task_id,
)
from tests.contract.conftest import OpenStore

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
KIND = TaskKind.LAST_FRAME
BROKEN = Failure("invalid_video_url", "The video could not be read.", "video_url")
CANCELLED = Failure("cancelled", "The task was cancelled.")
DONE = Success(outputs={"output_url": "http://media/x.jpg"}, metadata={"width": 320, "frames": [1, 2]})


def new(kind: TaskKind = KIND, owner: str = "ann", **fields: Any) -> Task:
    return Task(new_task_id(kind), kind, owner, TaskStatus.PENDING, LONG_AGO, LONG_AGO, **fields)


async def claimed(store: TaskStore, lease_seconds: float = 30.0, **fields: Any) -> Task:
    task = await store.insert(new(**fields))
    held = await store.claim(task.task_id, "host-1/worker", lease_seconds)
    assert held is not None
    return held


async def must_get(store: TaskStore, task_id: str) -> Task:
    task = await store.get(task_id)
    assert task is not None
    return task


# Submitting


async def test_a_task_comes_back_as_it_was_given_with_the_stores_times(store: TaskStore) -> None:
    given = new(
        inputs={"video_url": "https://a/ü.mp4", "nested": {"list": [1, 2.5, None, True]}},
        options={"quality": 3},
        webhook=Webhook("https://hook/x"),
        trace={"traceparent": "00-1-2-01"},
    )
    before = await store.now()
    inserted = await store.insert(given)
    after = await store.now()

    assert inserted == await store.get(given.task_id)
    assert before <= inserted.created_at == inserted.updated_at <= after
    assert inserted.dispatch_at is not None and inserted.dispatch_at > inserted.created_at
    unchanged = replace(inserted, created_at=LONG_AGO, updated_at=LONG_AGO, dispatch_at=None)
    assert unchanged == given


async def test_an_unknown_task_is_none(store: TaskStore) -> None:
    assert await store.get("nobody") is None
    assert await store.claim("nobody", "w", 5) is None
    assert await store.cancel("nobody", CANCELLED) is None
    assert await store.set_webhook("nobody", "https://hook") is None
    assert await store.settle("nobody", 1, DONE) is None
    assert await store.give_back("nobody", 1) is None
    assert not await store.renew("nobody", 1, 5, None, None)
    assert not await store.delete("nobody")


async def test_one_idempotency_key_is_one_task(store: TaskStore) -> None:
    key = Idempotency("ann", "k1", "digest")
    first = await store.insert(new(), key)
    assert (await store.insert(new(), key)).task_id == first.task_id
    assert (await store.counts())[TaskStatus.PENDING] == 1


async def test_an_idempotency_key_with_another_request_conflicts(store: TaskStore) -> None:
    await store.insert(new(), Idempotency("ann", "k1", "digest"))
    with pytest.raises(Conflict) as caught:
        await store.insert(new(), Idempotency("ann", "k1", "other"))
    assert caught.value.word == "idempotency_conflict"


async def test_an_idempotency_key_belongs_to_its_owner(store: TaskStore) -> None:
    ann = await store.insert(new(), Idempotency("ann", "k1", "digest"))
    bob = await store.insert(new(owner="bob"), Idempotency("bob", "k1", "digest"))
    assert ann.task_id != bob.task_id


async def test_concurrent_submits_with_one_key_are_one_task(open_store: OpenStore) -> None:
    stores = [await open_store(), await open_store()]
    key = Idempotency("ann", "k1", "digest")
    tasks = await asyncio.gather(*(stores[turn % 2].insert(new(), key) for turn in range(24)))
    assert len({task.task_id for task in tasks}) == 1
    assert (await stores[0].counts())[TaskStatus.PENDING] == 1


async def test_an_idempotency_key_is_free_again_when_its_time_is_over(open_store: OpenStore) -> None:
    store = await open_store(idempotency_seconds=0.05)
    first = await store.insert(new(), Idempotency("ann", "k1", "digest"))
    await asyncio.sleep(0.1)
    second = await store.insert(new(), Idempotency("ann", "k1", "another"))
    assert first.task_id != second.task_id
    assert await store.get(first.task_id) is not None


async def test_an_idempotency_key_outlives_the_tasks_end(store: TaskStore) -> None:
    key = Idempotency("ann", "k1", "digest")
    task = await store.insert(new(), key)
    held = await store.claim(task.task_id, "w", 5)
    assert held is not None
    await store.settle(task.task_id, held.fence, DONE)
    assert (await store.insert(new(), key)).status is TaskStatus.COMPLETED


# Claiming


async def test_a_claim_starts_an_attempt(store: TaskStore) -> None:
    held = await claimed(store, lease_seconds=30)
    assert held == await store.get(held.task_id)
    assert held.status is TaskStatus.PROCESSING
    assert (held.attempt, held.fence, held.worker) == (1, 1, "host-1/worker")
    assert held.started_at == held.updated_at >= held.created_at
    assert held.lease_until == held.started_at + timedelta(seconds=30)
    assert held.dispatch_at is None
    assert await store.claim(held.task_id, "other", 5) is None


async def test_of_many_claimers_one_wins(open_store: OpenStore) -> None:
    stores = [await open_store(), await open_store()]
    for _ in range(5):
        task = await stores[0].insert(new())
        answers = await asyncio.gather(*(stores[n % 2].claim(task.task_id, f"w{n}", 30) for n in range(8)))
        winners = [answer for answer in answers if answer is not None]
        assert len(winners) == 1
        assert winners[0] == await stores[0].get(task.task_id)


async def test_claim_next_takes_the_oldest_first_and_each_once(open_store: OpenStore) -> None:
    stores = [await open_store(), await open_store()]
    submitted = [(await stores[0].insert(new())).task_id for _ in range(12)]
    one_by_one = [await stores[0].claim_next([KIND], "w", 30) for _ in range(4)]
    assert [task.task_id for task in one_by_one if task] == submitted[:4]
    together = await asyncio.gather(*(stores[n % 2].claim_next([KIND], f"w{n}", 30) for n in range(12)))
    assert sorted(task.task_id for task in together if task) == sorted(submitted[4:])


async def test_claim_next_takes_only_its_kinds(store: TaskStore) -> None:
    stitch = await store.insert(new(TaskKind.VIDEO_STITCH))
    audio = await store.insert(new(TaskKind.AUDIO_STITCH))
    assert await store.claim_next([KIND], "w", 5) is None
    first = await store.claim_next([TaskKind.AUDIO_STITCH, TaskKind.VIDEO_STITCH], "w", 5)
    second = await store.claim_next([TaskKind.AUDIO_STITCH, TaskKind.VIDEO_STITCH], "w", 5)
    assert first and second
    assert [first.task_id, second.task_id] == [stitch.task_id, audio.task_id]


async def test_a_delayed_task_is_not_claimed_before_its_time(store: TaskStore) -> None:
    held = await claimed(store)
    await store.give_back(held.task_id, held.fence, delay_seconds=1.5, failure=BROKEN)
    assert await store.claim(held.task_id, "w", 5) is None
    assert await store.claim_next([KIND], "w", 5) is None
    await asyncio.sleep(1.6)
    again = await store.claim_next([KIND], "w", 5)
    assert again is not None
    assert again.attempt == 2


# Holding


async def test_renew_extends_the_lease_and_stores_progress(store: TaskStore) -> None:
    held = await claimed(store, lease_seconds=1)
    assert await store.renew(held.task_id, held.fence, 60, "encoding", 0.5)
    task = await must_get(store, held.task_id)
    assert (task.phase, task.progress, task.fence) == ("encoding", 0.5, held.fence)
    assert task.lease_until is not None and held.lease_until is not None
    assert task.lease_until > held.lease_until + timedelta(seconds=30)


async def test_held_names_the_claims_that_still_stand(store: TaskStore) -> None:
    keeps, loses, ends = [await claimed(store) for _ in range(3)]
    await store.cancel(loses.task_id, CANCELLED)
    await store.settle(ends.task_id, ends.fence, DONE)
    claims = [(task.task_id, task.fence) for task in (keeps, loses, ends)]
    assert await store.held([*claims, (keeps.task_id, keeps.fence + 1), ("nobody", 1)]) == {keeps.task_id}
    assert await store.held([]) == set()


async def test_active_names_what_is_processing(store: TaskStore) -> None:
    await store.insert(new())
    one, two = await claimed(store), await claimed(store)
    assert sorted(await store.active()) == sorted([one.task_id, two.task_id])
    await store.settle(one.task_id, one.fence, DONE)
    assert await store.active() == [two.task_id]


# Ending


async def test_success_completes_the_task(store: TaskStore) -> None:
    held = await claimed(store)
    await store.renew(held.task_id, held.fence, 5, "uploading", 0.9)
    done = await store.settle(held.task_id, held.fence, DONE)
    assert done is not None
    assert done == await store.get(held.task_id)
    assert done.status is TaskStatus.COMPLETED
    assert (done.outputs, done.metadata, done.failure) == (DONE.outputs, DONE.metadata, None)
    assert done.completed_at is not None and done.completed_at >= held.updated_at
    assert (done.phase, done.progress, done.worker, done.lease_until, done.dispatch_at) == (None, 1.0, None, None, None)


async def test_failure_fails_the_task(store: TaskStore) -> None:
    held = await claimed(store)
    done = await store.settle(held.task_id, held.fence, BROKEN)
    assert done is not None
    assert (done.status, done.failure) == (TaskStatus.FAILED, BROKEN)
    assert done == await store.get(held.task_id)


async def test_a_task_ends_once(store: TaskStore) -> None:
    held = await claimed(store)
    done = await store.settle(held.task_id, held.fence, DONE)
    assert done is not None
    assert await store.cancel(held.task_id, CANCELLED) is None
    assert await store.give_back(held.task_id, held.fence) is None
    assert not await store.renew(held.task_id, held.fence, 5, None, None)
    assert await store.expire_leases(1) == []
    assert await store.get(held.task_id) == done


async def test_a_holder_that_asks_again_gets_the_end_it_made(store: TaskStore) -> None:
    held = await claimed(store)
    answers = await asyncio.gather(*(store.settle(held.task_id, held.fence, DONE) for _ in range(5)))
    assert {answer.completed_at if answer else None for answer in answers} == {
        (await must_get(store, held.task_id)).completed_at
    }
    assert await store.settle(held.task_id, held.fence, BROKEN) == answers[0]
    assert await store.settle(held.task_id, held.fence + 1, DONE) is None


async def test_a_replaced_worker_can_change_nothing(store: TaskStore) -> None:
    old = await claimed(store, lease_seconds=0.01)
    await asyncio.sleep(0.05)
    await store.expire_leases(3)
    fresh = await store.claim(old.task_id, "host-2/worker", 30)
    assert fresh is not None
    assert fresh.fence > old.fence
    assert await store.settle(old.task_id, old.fence, DONE) is None
    assert await store.give_back(old.task_id, old.fence, failure=BROKEN) is None
    assert not await store.renew(old.task_id, old.fence, 600, "late", 1.0)
    assert await store.get(old.task_id) == fresh
    assert await store.settle(fresh.task_id, fresh.fence, DONE) is not None


async def test_cancel_ends_a_pending_task(store: TaskStore) -> None:
    task = await store.insert(new(webhook=Webhook("https://hook")))
    done = await store.cancel(task.task_id, CANCELLED)
    assert done is not None
    assert (done.status, done.failure) == (TaskStatus.FAILED, CANCELLED)
    assert done.webhook is not None
    assert done.webhook.state is WebhookState.PENDING
    assert await store.claim(task.task_id, "w", 5) is None
    assert await store.claim_next([KIND], "w", 5) is None


async def test_cancel_makes_the_running_worker_a_stranger(store: TaskStore) -> None:
    held = await claimed(store)
    done = await store.cancel(held.task_id, CANCELLED)
    assert done is not None
    assert done.fence > held.fence
    assert await store.settle(held.task_id, held.fence, DONE) is None
    assert await store.get(held.task_id) == done


async def test_of_cancel_and_settle_exactly_one_wins(open_store: OpenStore) -> None:
    stores = [await open_store(), await open_store()]
    for _ in range(10):
        held = await claimed(stores[0])
        settled, cancelled = await asyncio.gather(
            stores[0].settle(held.task_id, held.fence, DONE), stores[1].cancel(held.task_id, CANCELLED)
        )
        assert (settled is None) != (cancelled is None)
        assert await stores[0].get(held.task_id) == (settled or cancelled)


# Giving back


async def test_a_failed_attempt_is_recorded_and_charged(store: TaskStore) -> None:
    held = await claimed(store)
    back = await store.give_back(held.task_id, held.fence, delay_seconds=5, failure=BROKEN)
    assert back is not None
    assert back == await store.get(held.task_id)
    assert (back.status, back.attempt, back.worker) == (TaskStatus.PENDING, 1, None)
    assert back.retries == (Retry(1, back.updated_at, BROKEN),)
    assert back.fence > held.fence
    assert back.dispatch_at is not None and back.dispatch_at >= back.updated_at + timedelta(seconds=5)
    assert (back.started_at, back.lease_until, back.phase, back.progress) == (None, None, None, None)


async def test_a_drained_attempt_is_not_charged(store: TaskStore) -> None:
    held = await claimed(store)
    back = await store.give_back(held.task_id, held.fence)
    assert back is not None
    assert (back.attempt, back.retries) == (0, ())
    again = await store.claim_next([KIND], "w", 5)
    assert again is not None
    assert again.attempt == 1
    assert again.fence > held.fence


async def test_a_dead_workers_tasks_are_released_uncharged(store: TaskStore) -> None:
    tasks = [await store.insert(new()) for _ in range(3)]
    for task, worker in zip(tasks, ["host-1:77/0", "host-1:77/1", "host-1:770/0"], strict=True):
        assert await store.claim(task.task_id, worker, 30)
    released = await store.release_worker("host-1:77/")
    assert {task.task_id for task in released} == {tasks[0].task_id, tasks[1].task_id}
    assert all(task.status is TaskStatus.PENDING and task.attempt == 0 for task in released)
    assert [await store.get(task.task_id) for task in released] == released
    assert await store.active() == [tasks[2].task_id]
    assert await store.release_worker("host-1:77/") == []


async def test_a_worker_prefix_is_text_and_not_a_pattern(store: TaskStore) -> None:
    task = await store.insert(new())
    await store.claim(task.task_id, "host-1/a", 30)
    for pattern in ("host.1/", "host_1/", "host%", "%", ".*"):
        assert await store.release_worker(pattern) == []


async def test_an_expired_lease_gives_the_task_back_charged(store: TaskStore) -> None:
    held = await claimed(store, lease_seconds=0.01)
    stays = await claimed(store, lease_seconds=30)
    await asyncio.sleep(0.05)
    [back] = await store.expire_leases(3)
    assert back == await store.get(held.task_id)
    assert (back.status, back.attempt, back.worker) == (TaskStatus.PENDING, 1, None)
    assert [retry.attempt for retry in back.retries] == [1]
    assert back.fence > held.fence
    assert await store.get(stays.task_id) == stays
    assert await store.expire_leases(3) == []


async def test_the_last_attempts_expired_lease_fails_the_task(store: TaskStore) -> None:
    held = await claimed(store, lease_seconds=0.01, webhook=Webhook("https://hook"))
    await asyncio.sleep(0.05)
    [done] = await store.expire_leases(1)
    assert done == await store.get(held.task_id)
    assert done.status is TaskStatus.FAILED
    assert done.failure is not None
    assert done.failure.word == "media_crashed"
    assert done.completed_at is not None
    assert done.webhook is not None
    assert done.webhook.state is WebhookState.PENDING


async def test_concurrent_sweepers_expire_a_lease_once(open_store: OpenStore) -> None:
    stores = [await open_store(), await open_store()]
    for _ in range(6):
        await claimed(stores[0], lease_seconds=0.01)
    await asyncio.sleep(0.05)
    answers = await asyncio.gather(*(stores[n % 2].expire_leases(3) for n in range(6)))
    ids = [task.task_id for answer in answers for task in answer]
    assert len(ids) == len(set(ids)) == 6


# Dispatch


async def test_a_pending_task_is_offered_again_when_its_time_comes(store: TaskStore) -> None:
    task = await store.insert(new())
    assert await store.due_for_dispatch(10, 5) == []  # its own publish still has time
    held = await store.claim(task.task_id, "w", 5)
    assert held is not None
    back = await store.give_back(task.task_id, held.fence)
    assert back is not None
    assert back.dispatch_at is not None
    wait = (back.dispatch_at - await store.now()).total_seconds()
    await asyncio.sleep(max(0.0, wait) + 0.05)
    [due] = await store.due_for_dispatch(10, 60)
    assert due.task_id == task.task_id
    assert due == await store.get(task.task_id)
    assert await store.due_for_dispatch(10, 60) == []


async def test_concurrent_sweepers_offer_a_task_once(open_store: OpenStore) -> None:
    stores = [await open_store(), await open_store()]
    tasks = [await stores[n % 2].insert(new()) for n in range(40)]
    assert tasks[-1].dispatch_at is not None
    await asyncio.sleep(max(0.0, (tasks[-1].dispatch_at - await stores[0].now()).total_seconds()) + 0.05)
    answers = await asyncio.gather(*(stores[n % 2].due_for_dispatch(25, 60) for n in range(6)))
    assert max(len(answer) for answer in answers) <= 25
    ids = [task.task_id for answer in answers for task in answer]
    ids += [task.task_id for task in await stores[0].due_for_dispatch(100, 60)]
    assert sorted(ids) == sorted(task.task_id for task in tasks)


async def test_a_task_that_waits_long_is_offered_ever_less_often(store: TaskStore) -> None:
    task = await store.insert(new())
    assert task.dispatch_at is not None
    await asyncio.sleep(max(0.0, (task.dispatch_at - await store.now()).total_seconds()) + 0.05)
    [due] = await store.due_for_dispatch(10, 0.1)
    assert due.dispatch_at is not None
    waited = task.dispatch_at - task.updated_at
    assert due.dispatch_at - task.dispatch_at >= waited


# Webhooks


async def test_a_webhook_waits_for_the_end_and_is_due_with_it(store: TaskStore) -> None:
    held = await claimed(store, webhook=Webhook("https://hook"))
    assert await store.claim_webhook(30) is None
    await store.settle(held.task_id, held.fence, DONE)
    due = await store.claim_webhook(30)
    assert due is not None
    assert due.task_id == held.task_id
    assert due.status is TaskStatus.COMPLETED
    assert await store.claim_webhook(30) is None  # leased


async def test_owners_are_passed_over_and_their_webhooks_stay_due(store: TaskStore) -> None:
    for owner in ("ann", "bob", "eve"):
        held = await claimed(store, webhook=Webhook("https://hook"), owner=owner)
        await store.settle(held.task_id, held.fence, DONE)
    due = await store.claim_webhook(30, ["ann", "eve"])
    assert due is not None
    assert due.owner == "bob"
    assert await store.claim_webhook(30, ["ann", "eve"]) is None
    assert {task.owner for task in [await store.claim_webhook(30), await store.claim_webhook(30)] if task} == {
        "ann",
        "eve",
    }


async def test_concurrent_senders_claim_a_webhook_once(open_store: OpenStore) -> None:
    stores = [await open_store(), await open_store()]
    for _ in range(4):
        held = await claimed(stores[0], webhook=Webhook("https://hook"))
        await stores[0].settle(held.task_id, held.fence, DONE)
    answers = await asyncio.gather(*(stores[n % 2].claim_webhook(30) for n in range(10)))
    ids = [task.task_id for task in answers if task]
    assert len(ids) == len(set(ids)) == 4


async def test_an_unanswered_webhook_is_tried_again_after_its_lease(store: TaskStore) -> None:
    held = await claimed(store, webhook=Webhook("https://hook"))
    await store.settle(held.task_id, held.fence, DONE)
    assert await store.claim_webhook(0.05)
    await asyncio.sleep(0.1)
    assert await store.claim_webhook(30)


async def test_webhook_attempts_are_recorded_until_it_is_delivered(store: TaskStore) -> None:
    held = await claimed(store, webhook=Webhook("https://hook"))
    before = await store.settle(held.task_id, held.fence, DONE)
    now = await store.now()
    refused = WebhookAttempt(now, 0.25, 500, "HTTP 500")
    accepted = WebhookAttempt(now, 0.5, 204)
    assert await store.claim_webhook(30)
    await store.record_webhook(held.task_id, "https://hook", refused, delivered=False, next_in_seconds=1.5)
    assert await store.claim_webhook(30) is None
    await asyncio.sleep(1.6)
    assert await store.claim_webhook(30)
    await store.record_webhook(held.task_id, "https://hook", accepted, delivered=True, next_in_seconds=None)
    assert await store.claim_webhook(30) is None
    task = await must_get(store, held.task_id)
    assert task.webhook == Webhook("https://hook", WebhookState.DELIVERED, (refused, accepted), None)
    assert before is not None
    assert replace(task, webhook=None) == replace(before, webhook=None)


async def test_a_webhook_can_be_given_up(store: TaskStore) -> None:
    held = await claimed(store, webhook=Webhook("https://hook"))
    await store.settle(held.task_id, held.fence, BROKEN)
    assert await store.claim_webhook(0.01)
    attempt = WebhookAttempt(await store.now(), 0.1, None, "connection refused")
    await store.record_webhook(held.task_id, "https://hook", attempt, delivered=False, next_in_seconds=None)
    await asyncio.sleep(0.05)
    assert await store.claim_webhook(30) is None
    webhook = (await must_get(store, held.task_id)).webhook
    assert webhook is not None
    assert webhook.state is WebhookState.FAILED


async def test_a_new_webhook_replaces_the_old_and_its_late_answers(store: TaskStore) -> None:
    held = await claimed(store, webhook=Webhook("https://old"))
    await store.settle(held.task_id, held.fence, DONE)
    assert await store.claim_webhook(30)
    replaced = await store.set_webhook(held.task_id, "https://new")
    assert replaced is not None
    attempt = WebhookAttempt(await store.now(), 0.1, 200)
    await store.record_webhook(held.task_id, "https://old", attempt, delivered=True, next_in_seconds=None)
    due = await store.claim_webhook(30)  # due at once on a finished task
    assert due is not None
    assert due.webhook is not None
    assert (due.webhook.url, due.webhook.attempts) == ("https://new", ())


async def test_a_webhook_set_on_a_running_task_waits(store: TaskStore) -> None:
    held = await claimed(store)
    task = await store.set_webhook(held.task_id, "https://hook")
    assert task is not None
    assert task.webhook == Webhook("https://hook", WebhookState.WAITING)
    assert await store.claim_webhook(30) is None
    await store.settle(held.task_id, held.fence, DONE)
    assert await store.claim_webhook(30)


# Counting and listing


async def test_counts_by_status_and_owner(store: TaskStore) -> None:
    assert await store.counts() == dict.fromkeys(TaskStatus, 0)
    assert await store.last_activity() is None
    assert await store.oldest_pending_seconds() is None
    start = await store.now()
    await store.insert(new())
    await store.insert(new(owner="bob"))
    done, failed = await claimed(store), await claimed(store)
    await claimed(store, owner="bob")
    await store.settle(done.task_id, done.fence, DONE)
    await store.settle(failed.task_id, failed.fence, BROKEN)

    assert await store.counts() == {
        TaskStatus.PENDING: 2,
        TaskStatus.PROCESSING: 1,
        TaskStatus.COMPLETED: 1,
        TaskStatus.FAILED: 1,
    }
    assert (await store.counts("bob"))[TaskStatus.PROCESSING] == 1
    assert [await store.unfinished(owner) for owner in (None, "ann", "bob", "eve")] == [3, 1, 2, 0]
    assert await store.finished_since(start) == 1
    assert await store.finished_since(start, "bob") == 0
    assert await store.finished_since(await store.now() + timedelta(seconds=1)) == 0
    assert await store.last_activity("eve") is None
    ended = await must_get(store, failed.task_id)
    assert await store.last_activity("ann") == ended.updated_at
    age = await store.oldest_pending_seconds()
    assert age is not None
    assert 0 <= age < 30


async def test_recent_shows_the_newest_first(store: TaskStore) -> None:
    ids = [(await store.insert(new(owner="ann" if n % 2 else "bob"))).task_id for n in range(6)]
    assert [task.task_id for task in await store.recent(4)] == ids[:-5:-1]
    assert [task.task_id for task in await store.recent(10, "bob")] == ids[4::-2]


async def test_pages_cover_every_task_once_while_others_arrive(store: TaskStore) -> None:
    ids = [(await store.insert(new())).task_id for _ in range(7)]
    seen: list[str] = []
    cursor = None
    while True:
        tasks, cursor = await store.page(TaskFilter(), 3, cursor)
        seen += [task.task_id for task in tasks]
        await store.insert(new())
        if cursor is None:
            break
    assert seen == ids[::-1]


async def test_pages_of_large_tasks_are_short_and_cover_every_task_once(store: TaskStore) -> None:
    """A hundred URLs of 4096 characters each are 400 kB a task; ten such tasks fill a page."""
    large = {"audio_urls": ["http://a/" + "x" * 4087] * 100}
    ids = [(await store.insert(replace(new(), inputs=large))).task_id for _ in range(25)]
    seen: list[str] = []
    sizes: list[int] = []
    cursor = None
    while True:
        tasks, cursor = await store.page(TaskFilter(), 1000, cursor)
        seen += [task.task_id for task in tasks]
        sizes.append(len(tasks))
        if cursor is None:
            break
    assert seen == ids[::-1]
    assert max(sizes) <= 11
    assert sizes[0] >= 5
    assert len(await store.recent(1000)) == sizes[0]


async def test_a_page_is_filtered(store: TaskStore) -> None:
    old = await store.insert(new())
    await asyncio.sleep(0.01)
    stitch = await store.insert(new(TaskKind.VIDEO_STITCH))
    running = await claimed(store, owner="bob")

    async def ids(**which: Any) -> list[str]:
        tasks, cursor = await store.page(TaskFilter(**which), 10)
        assert cursor is None
        return [task.task_id for task in tasks]

    assert await ids(owner="bob") == [running.task_id]
    assert await ids(statuses=[TaskStatus.PENDING]) == [stitch.task_id, old.task_id]
    assert await ids(kinds=[TaskKind.VIDEO_STITCH]) == [stitch.task_id]
    assert await ids(created_after=old.created_at) == [running.task_id, stitch.task_id]
    assert await ids(owner="ann", kinds=[KIND], statuses=[TaskStatus.PROCESSING]) == []


@pytest.mark.parametrize("cursor", ["", "zz", "1-2-3-4", "-1", "ffffffffffffffffffffff", "1'--"])
async def test_a_made_up_cursor_is_refused(store: TaskStore, cursor: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await store.page(TaskFilter(), 3, cursor)
    assert caught.value.word == "invalid_cursor"


# Retention


async def test_only_finished_tasks_expire_and_are_deleted(store: TaskStore) -> None:
    waiting, running, done = await store.insert(new()), await claimed(store), await claimed(store)
    await store.settle(done.task_id, done.fence, DONE)
    assert await store.expired(LONG_AGO, 10) == []
    soon = await store.now() + timedelta(seconds=1)
    assert [task.task_id for task in await store.expired(soon, 10)] == [done.task_id]
    assert not await store.delete(waiting.task_id)
    assert not await store.delete(running.task_id)
    assert await store.delete(done.task_id)
    assert await store.get(done.task_id) is None
    assert not await store.delete(done.task_id)
