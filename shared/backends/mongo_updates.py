"""The legal steps of a task's life as MongoDB update pipelines, on the server's clock (`$$NOW`).

All expressions of one `$set` see the document as it was before. What comes from outside goes in as `$literal`: a
string that begins with `$` would be read as a field otherwise.
"""

from __future__ import annotations

from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel

from shared.backends.codec import encode_failure, plain
from shared.backends.policy import PUBLISH_REPAIR_SECONDS
from shared.tasks import Failure, Outcome, Success, TaskStatus, WebhookState

Document = dict[str, Any]
Pipeline = list[Document]

NOW = "$$NOW"
PENDING = {"status": TaskStatus.PENDING.value}
PROCESSING = {"status": TaskStatus.PROCESSING.value}
UNFINISHED = {"status": {"$in": [TaskStatus.PENDING.value, TaskStatus.PROCESSING.value]}}
FINISHED = {"status": {"$in": [TaskStatus.COMPLETED.value, TaskStatus.FAILED.value]}}
WEBHOOK_PENDING = {"webhook.state": WebhookState.PENDING.value}
RELEASED = {"worker": None, "lease_until": None, "phase": None}
CREATED_ORDER = [("created_at", ASCENDING), ("tie", ASCENDING)]
NEWEST_FIRST = [("created_at", DESCENDING), ("tie", DESCENDING)]

INDEXES = [
    IndexModel([("kind", ASCENDING), *CREATED_ORDER], name="pending_by_kind", partialFilterExpression=PENDING),
    IndexModel([("created_at", ASCENDING)], name="pending_by_age", partialFilterExpression=PENDING),
    IndexModel([("dispatch_at", ASCENDING)], name="pending_by_dispatch", partialFilterExpression=PENDING),
    IndexModel([("lease_until", ASCENDING)], name="processing_by_lease", partialFilterExpression=PROCESSING),
    IndexModel([("webhook.next_attempt_at", ASCENDING)], name="webhooks_due", partialFilterExpression=WEBHOOK_PENDING),
    IndexModel(
        [("idempotency.owner", ASCENDING), ("idempotency.key", ASCENDING)],
        name="idempotency",
        unique=True,
        partialFilterExpression={"idempotency.key": {"$exists": True}},
    ),
    IndexModel(NEWEST_FIRST, name="newest"),
    IndexModel([("owner", ASCENDING), *NEWEST_FIRST], name="newest_by_owner"),
    IndexModel([("status", ASCENDING), ("owner", ASCENDING)], name="by_status"),
    IndexModel(
        [("completed_at", ASCENDING)], name="by_end", partialFilterExpression={"completed_at": {"$type": "date"}}
    ),
    IndexModel([("owner", ASCENDING), ("updated_at", DESCENDING)], name="activity_by_owner"),
    IndexModel([("updated_at", DESCENDING)], name="activity"),
]


def in_seconds(seconds: float) -> Document:
    return {"$add": [NOW, round(seconds * 1000)]}


def passed(field: str) -> Document:
    """The filter for a time that is over on the server's clock."""
    return {"$expr": {"$lte": [f"${field}", NOW]}}


def submitted(document: Document, idempotency: Document | None, idempotency_seconds: float) -> Pipeline:
    """For an upsert by id: the new task, or what is there already when a retry finds its own first try."""
    times = {"created_at": NOW, "updated_at": NOW, "not_before": NOW, "dispatch_at": in_seconds(PUBLISH_REPAIR_SECONDS)}
    parts: list[Document] = [{"$literal": document}, times]
    if idempotency is not None:
        until = {"until": in_seconds(idempotency_seconds)}
        parts.append({"idempotency": {"$mergeObjects": [{"$literal": idempotency}, until]}})
    is_new = {"$eq": [{"$type": "$status"}, "missing"]}
    return [{"$replaceWith": {"$cond": [is_new, {"$mergeObjects": parts}, "$$ROOT"]}}]


def claimed(worker: str, lease_seconds: float) -> Pipeline:
    return _set(
        PROCESSING,
        worker={"$literal": worker},
        attempt={"$add": ["$attempt", 1]},
        fence={"$add": ["$fence", 1]},
        lease_until=in_seconds(lease_seconds),
        dispatch_at=None,
        started_at=NOW,
        updated_at=NOW,
        phase=None,
        progress=None,
    )


def renewed(lease_seconds: float, phase: str | None, progress: float | None) -> Pipeline:
    return _set({}, lease_until=in_seconds(lease_seconds), phase={"$literal": phase}, progress=progress, updated_at=NOW)


def given_back(delay_seconds: float = 0.0, failure: Failure | None = None) -> Pipeline:
    """Pending again. With a failure the attempt counts and is recorded, without one it is not charged."""
    retry = {"attempt": "$attempt", "at": NOW, "failure": {"$literal": encode_failure(failure)}}
    return _set(
        PENDING | RELEASED,
        attempt="$attempt" if failure is not None else {"$subtract": ["$attempt", 1]},
        fence={"$add": ["$fence", 1]},
        not_before=in_seconds(delay_seconds),
        dispatch_at=in_seconds(delay_seconds + PUBLISH_REPAIR_SECONDS),
        started_at=None,
        updated_at=NOW,
        progress=None,
        retries="$retries" if failure is None else {"$concatArrays": ["$retries", [retry]]},
    )


def offered_again(at_least_seconds: float, mark: str) -> Pipeline:
    """Due again after as long as the task has waited already: a long backlog is not offered over and over."""
    waited = {"$subtract": [NOW, "$updated_at"]}
    again = {"$add": [NOW, {"$max": [round(at_least_seconds * 1000), waited]}]}
    return [{"$set": {"dispatch_at": again, "offered": mark}}]


def finished(outcome: Outcome, *, new_fence: bool = False) -> Pipeline:
    """Completed or failed; the webhook becomes due. A new fence makes a worker that still runs it a stranger."""
    if isinstance(outcome, Success):
        end: Document = {
            "status": TaskStatus.COMPLETED.value,
            "outputs": {"$literal": plain(outcome.outputs)},
            "metadata": {"$literal": plain(outcome.metadata)},
            "progress": 1.0,
        }
    else:
        end = {"status": TaskStatus.FAILED.value, "failure": {"$literal": encode_failure(outcome)}}
    has_webhook = {"$eq": [{"$type": "$webhook"}, "object"]}
    due = {"$mergeObjects": ["$webhook", {"state": WebhookState.PENDING.value, "next_attempt_at": NOW}]}
    return _set(
        end | RELEASED,
        fence={"$add": ["$fence", 1 if new_fence else 0]},
        dispatch_at=None,
        completed_at=NOW,
        updated_at=NOW,
        webhook={"$cond": [has_webhook, due, None]},
    )


def with_webhook(url: str) -> Pipeline:
    ended = {"$in": ["$status", FINISHED["status"]["$in"]]}
    webhook = {
        "url": {"$literal": url},
        "state": {"$cond": [ended, WebhookState.PENDING.value, WebhookState.WAITING.value]},
        "attempts": [],
        "next_attempt_at": {"$cond": [ended, NOW, None]},
    }
    # Removed first, because setting an object merges it into the one that is there.
    return [{"$unset": "webhook"}, {"$set": {"webhook": webhook}}]


def webhook_tried(attempt: Document, *, delivered: bool, next_in_seconds: float | None) -> Pipeline:
    if delivered:
        state, again = WebhookState.DELIVERED, None
    elif next_in_seconds is None:
        state, again = WebhookState.FAILED, None
    else:
        state, again = WebhookState.PENDING, in_seconds(next_in_seconds)
    attempts = {"$concatArrays": ["$webhook.attempts", [{"$literal": attempt}]]}
    return [
        {"$set": {"webhook.attempts": attempts, "webhook.state": state.value, "webhook.next_attempt_at": again}},
    ]


def _set(fields: Document, **more: Any) -> Pipeline:
    return [{"$set": fields | more}]
