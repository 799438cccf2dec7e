"""Waits until every accepted task has ended, and judges."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.faults.client import HEADERS, Heard
from tests.faults.material import Request
from tests.faults.product import Ending, Leftovers

TERMINAL = ("completed", "failed")
OUR_WORDS = frozenset({"media_crashed", "storage_unavailable", "unavailable"})
"""How a task may end after faults that hit each of its attempts: said, not lost."""

AT_ONCE = 16


@dataclass
class Verdict:
    """Counts and complaints; `wrong` empty means that all promises were kept."""

    counts: dict[str, int] = field(default_factory=dict)
    failed_by_faults: Counter[str] = field(default_factory=Counter)
    settle_seconds: float = 0.0
    wrong: dict[str, list[str]] = field(default_factory=dict)

    def complain(self, about: str, of: str) -> None:
        self.wrong.setdefault(about, []).append(of)


async def settle(url: str, heard: Heard, patience_seconds: float) -> tuple[dict[str, dict[str, Any]], float]:
    """Every accepted task's last status; gives up when none has ended for so long."""
    began = last_change = time.monotonic()
    known: dict[str, dict[str, Any]] = {}
    async with _session() as session:
        while True:
            missing = [task_id for task_id in dict.fromkeys(heard.accepted.values()) if not _ended(known.get(task_id))]
            found = await _map(missing, lambda task_id: _json(session, f"{url}/api/v1/status/{task_id}"))
            if any(_ended(task) for task in found.values()):
                last_change = time.monotonic()
            known |= {task_id: task for task_id, task in found.items() if task is not None}
            if all(_ended(known.get(task_id)) for task_id in missing):
                return known, last_change - began
            if time.monotonic() - last_change > patience_seconds:
                return known, last_change - began
            await asyncio.sleep(0.5)


async def await_webhooks(heard: Heard, tasks: Mapping[str, dict[str, Any]], patience_seconds: float) -> None:
    """Returns when each ended task was announced, or nothing has come for so long."""
    ended = [task_id for task_id, task in tasks.items() if _ended(task)]
    left, since = len(ended), time.monotonic()
    while left and time.monotonic() - since < patience_seconds:
        await asyncio.sleep(0.5)
        now_left = sum(1 for task_id in ended if not heard.announcements.get(task_id))
        if now_left < left:
            left, since = now_left, time.monotonic()


async def judge(
    requests: Sequence[Request],
    heard: Heard,
    tasks: Mapping[str, dict[str, Any]],
    endings: Mapping[str, Ending],
    leftovers: Leftovers,
) -> Verdict:
    verdict = Verdict()
    lost = [task_id for task_id in heard.accepted.values() if task_id not in endings]
    stuck = [task_id for task_id in heard.accepted.values() if not _ended(tasks.get(task_id)) and task_id not in lost]
    doubled = [task_id for task_id, ending in endings.items() if ending.times > 1]
    verdict.counts = {
        "requests": len(requests),
        "submits tried": heard.tries,
        "accepted": len(heard.accepted),
        "completed": sum(1 for task in tasks.values() if task["status"] == "completed"),
        "failed": sum(1 for task in tasks.values() if task["status"] == "failed"),
        "lost": len(lost),
        "doubled": len(doubled),
        "stuck": len(stuck),
        "run more than once": sum(1 for ending in endings.values() if ending.fence > 1),
        "webhooks": sum(len(posts) for posts in heard.announcements.values()),
        "dead letters": leftovers.dead_letters,
    }
    for name, ids in (("lost", lost), ("stuck", stuck), ("ended more than once", doubled)):
        for task_id in ids:
            verdict.complain(name, f"{task_id} {endings.get(task_id)}")
    if len(heard.accepted) != len(requests):
        verdict.complain("never accepted", str(len(requests) - len(heard.accepted)))
    if len(set(heard.accepted.values())) != len(heard.accepted):
        verdict.complain("one task for two requests", "")
    unasked = set(endings) - set(heard.accepted.values())
    for task_id in (*heard.contradictions, *unasked):
        verdict.complain("a second task for one key", task_id)
    _judge_ends(verdict, requests, heard, tasks, endings)
    shown = await _judge_results(verdict, requests, heard, tasks, endings)
    for name in leftovers.objects - shown:
        verdict.complain("a result that no task shows", name)
    for left in leftovers.scratch:
        verdict.complain("scratch", left)
    for queue, count in leftovers.queued.items():
        verdict.complain("queued", f"{queue}: {count}")
    if leftovers.active:
        verdict.complain("active_tasks", str(leftovers.active))
    return verdict


def _judge_ends(
    verdict: Verdict,
    requests: Sequence[Request],
    heard: Heard,
    tasks: Mapping[str, dict[str, Any]],
    endings: Mapping[str, Ending],
) -> None:
    for number, task_id in heard.accepted.items():
        request, task = requests[number], tasks.get(task_id)
        if task is None or not _ended(task):
            continue
        posts = heard.announcements.get(task_id, [])
        if {post.webhook_id for post in posts} != {f"{task_id}.{task['status']}"}:
            verdict.complain("webhook", f"{task_id} {task['status']}: {posts}")
        if endings[task_id].times == 0 or endings[task_id].status != task["status"]:
            verdict.complain("store and status differ", f"{task_id} {endings[task_id]}")
        word = task.get("error_code") or task.get("error") or ""
        if task["status"] == "completed" and request.must_fail:
            verdict.complain("a bad source succeeded", task_id)
        elif task["status"] == "failed" and word in OUR_WORDS:
            verdict.failed_by_faults[word] += 1
        elif task["status"] == "failed" and word not in request.may_fail_as:
            verdict.complain("failed without a reason", f"{task_id} {request.path} {task}")


async def _judge_results(
    verdict: Verdict,
    requests: Sequence[Request],
    heard: Heard,
    tasks: Mapping[str, dict[str, Any]],
    endings: Mapping[str, Ending],
) -> set[str]:
    """Fetches every result that a completed task shows; returns their names."""
    wanted: dict[str, str] = {}
    for number, task_id in heard.accepted.items():
        task = tasks.get(task_id)
        if task is None or task["status"] != "completed":
            continue
        urls = list(_result_urls(task))
        if len(urls) != requests[number].results:
            verdict.complain("result missing", f"{task_id} shows {urls}")
        wanted |= dict.fromkeys(urls, task_id)
    async with aiohttp.ClientSession() as session:  # results are public
        replies = await _map(list(wanted), lambda url: _bytes(session, url))
    for url, (kind, body) in replies.items():
        name = url.rpartition("/")[2]
        if not _is_right(name, kind, body):
            verdict.complain("result wrong", f"{url}: {kind}, {len(body)} bytes")
        owner = re.search(r"-(\d+)\.\w+$", name)
        if (int(owner[1]) if owner else 1) != endings[wanted[url]].fence:
            verdict.complain("a replaced worker's result", f"{url} {endings[wanted[url]]}")
    return {url.rpartition("/")[2] for url in wanted}


def _result_urls(task: Mapping[str, Any]) -> Iterator[str]:
    """The public URLs of results, wherever a kind shows them."""
    sources = {"media_url", "video_url", "music_url", "audio_url", "webhook_url"}
    for name, value in task.items():
        if name.endswith("_url") and name not in sources and isinstance(value, str):
            yield value


def _is_right(name: str, kind: str, body: bytes) -> bool:
    match name.rpartition(".")[2]:
        case "jpg":
            return kind == "image/jpeg" and body.startswith(b"\xff\xd8") and body.endswith(b"\xff\xd9")
        case "mp4":
            return kind == "video/mp4" and body[4:8] == b"ftyp" and b"moov" in body
        case "mp3":
            return kind == "audio/mpeg" and len(body) > 400
    return False


def _ended(task: Mapping[str, Any] | None) -> bool:
    return task is not None and task["status"] in TERMINAL


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(headers=HEADERS, timeout=aiohttp.ClientTimeout(total=20))


async def _json(session: aiohttp.ClientSession, url: str) -> dict[str, Any] | None:
    try:
        async with session.get(url) as reply:
            return dict(await reply.json()) if reply.status == 200 else None
    except (aiohttp.ClientError, TimeoutError):
        return None


async def _bytes(session: aiohttp.ClientSession, url: str) -> tuple[str, bytes]:
    async with session.get(url) as reply:
        return (reply.headers["content-type"], await reply.read()) if reply.status == 200 else (str(reply.status), b"")


async def _map(names: list[str], ask: Callable[[str], Any]) -> dict[str, Any]:
    places = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> Any:
        async with places:
            return await ask(name)

    return dict(zip(names, await asyncio.gather(*(one(name) for name in names)), strict=True))
