"""The honest client: repeats a submit with its Idempotency-Key until it is accepted, and listens for webhooks."""

from __future__ import annotations

import asyncio
import json
import random
import threading
import uuid
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from tests.faults.material import Request

KEY = "faults-key"
HEADERS = {"Authorization": f"Bearer {KEY}"}
SUBMIT_SECONDS = 8.0
IN_FLIGHT = 48


@dataclass(frozen=True)
class Announcement:
    """One webhook as it came."""

    webhook_id: str
    status: str


@dataclass
class Heard:
    """All that the client knows.

    Attributes:
        accepted: the task that each request became, by the request's number.
        submit_seconds: from the first try to the acceptance.
        contradictions: two answers to one key that differ.
    """

    accepted: dict[int, str] = field(default_factory=dict)
    keys: dict[int, str] = field(default_factory=dict)
    submit_seconds: list[float] = field(default_factory=list)
    tries: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    contradictions: list[str] = field(default_factory=list)
    announcements: dict[str, list[Announcement]] = field(default_factory=lambda: defaultdict(list))


class Client(threading.Thread):
    """Submits the requests evenly over some seconds, in a thread of its own, and receives webhooks until `close`."""

    def __init__(self, url: str, requests: Sequence[Request], seconds: float, seed: int) -> None:
        super().__init__(daemon=True)
        self.heard = Heard()
        self.all_sent = threading.Event()
        self._url = url
        self._requests = requests
        self._seconds = seconds
        self._random = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._closing = asyncio.Event()
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self._hook = ""
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._loop.run_until_complete(self._work())
        except BaseException as error:
            self.error = error
        finally:
            self.all_sent.set()
            self._loop.close()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._closing.set)
        self.join(10)

    async def _work(self) -> None:
        receiver = web.Application()
        receiver.router.add_post("/hook", self._receive)
        runner = web.AppRunner(receiver, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self._hook = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        timeout = aiohttp.ClientTimeout(total=SUBMIT_SECONDS)
        async with aiohttp.ClientSession(headers=HEADERS, timeout=timeout) as session:
            sending = asyncio.create_task(self._send_all(session))
            await self._closing.wait()
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        await runner.cleanup()

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        if self._random.random() < 0.05:
            return web.Response(status=500)
        told = json.loads(body)
        self.heard.announcements[told["task_id"]].append(Announcement(request.headers["webhook-id"], told["status"]))
        return web.Response()

    async def _send_all(self, session: aiohttp.ClientSession) -> None:
        async with asyncio.TaskGroup() as group:
            for number, request in enumerate(self._requests):
                group.create_task(self._send(session, number, request))
                await asyncio.sleep(self._seconds / len(self._requests))
        self.all_sent.set()

    async def _send(self, session: aiohttp.ClientSession, number: int, request: Request) -> None:
        key = self.heard.keys[number] = uuid.uuid4().hex
        began = self._loop.time()
        async with self._slots:
            while (task_id := await self._try(session, request, key)) is None:
                await asyncio.sleep(self._random.uniform(0.3, 1.0))
            self.heard.accepted[number] = task_id
            self.heard.submit_seconds.append(self._loop.time() - began)
            if self._random.random() < 0.1:  # a client that lost the answer asks again
                again = await self._try(session, request, key)
                if again not in (None, task_id):
                    self.heard.contradictions.append(f"{key}: {task_id} and {again}")

    async def _try(self, session: aiohttp.ClientSession, request: Request, key: str) -> str | None:
        self.heard.tries += 1
        body: dict[str, Any] = {**request.body, "webhook_url": self._hook}
        try:
            async with session.post(self._url + request.path, json=body, headers={"Idempotency-Key": key}) as reply:
                if reply.status == 200:
                    return str((await reply.json())["task_id"])
                self.heard.refusals[str(reply.status)] += 1
                if reply.status < 500 and reply.status != 429:
                    raise AssertionError(f"{request.path}: {reply.status} {await reply.text()}")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self.heard.refusals[type(error).__name__] += 1
        return None
