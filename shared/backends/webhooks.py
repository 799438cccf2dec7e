"""Posting webhooks under the same outbound rules as sources. Signing is `shared.webhook_signature`'s."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime

import aiohttp
from yarl import URL

from shared.backends.http_answer import retry_after_seconds
from shared.backends.outbound import Outbound, explain
from shared.ports import WebhookReply
from shared.urls import UrlRefused, parse

TOTAL_TIMEOUT_SECONDS = 15.0  # connect, send, answer
MAX_ANSWER_BYTES = 1024  # of the receiver's answer; more is never read


class HttpWebhookSender:
    """The `WebhookSender` for http(s) receivers.

    Each post resolves and judges the name anew and uses its own connection. Redirects are not followed: a 3xx is
    an answer like any other, and no success.
    """

    def __init__(self, outbound: Outbound, *, timeout_seconds: float = TOTAL_TIMEOUT_SECONDS) -> None:
        self._outbound = outbound
        self._timeout_seconds = timeout_seconds

    async def send(self, url: str, body: bytes, headers: Mapping[str, str]) -> WebhookReply:
        try:
            judged = parse(url, self._outbound.policy)
        except UrlRefused as error:
            return WebhookReply(None, f"the URL {error}")
        deadline = asyncio.get_running_loop().time() + self._timeout_seconds
        try:
            async with self._outbound.session() as session:
                async with asyncio.timeout_at(deadline):
                    target = URL(judged.text, encoded=True)
                    answer = await session.post(target, data=body, headers=headers, allow_redirects=False)
                async with answer:
                    await _hear_out(answer, deadline)
                    return WebhookReply(answer.status, None, retry_after_seconds(answer.headers, datetime.now(UTC)))
        except (aiohttp.ClientError, OSError, ValueError) as error:  # TimeoutError is an OSError
            return WebhookReply(None, explain(error)[0])

    async def close(self) -> None:
        await self._outbound.close()


async def _hear_out(answer: aiohttp.ClientResponse, deadline: float) -> None:
    """Reads the start of the answer's body, so that no receiver is cut off in the middle of a short one. A body that
    breaks off costs nothing: the status has come, and counts."""
    with contextlib.suppress(aiohttp.ClientError, OSError):
        async with asyncio.timeout_at(deadline):
            await answer.content.read(MAX_ANSWER_BYTES)
