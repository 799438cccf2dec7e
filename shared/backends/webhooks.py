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
MAX_EXCERPT_BYTES = 1024  # of the receiver's answer; more is never read


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
                    excerpt = await _excerpt(answer, deadline)
                    retry_after = retry_after_seconds(answer.headers, datetime.now(UTC))
                    return WebhookReply(answer.status, None, excerpt, retry_after)
        except (aiohttp.ClientError, OSError, ValueError) as error:  # TimeoutError is an OSError
            return WebhookReply(None, explain(error)[0])

    async def close(self) -> None:
        await self._outbound.close()


async def _excerpt(answer: aiohttp.ClientResponse, deadline: float) -> str:
    """The start of the answer's body as printable text. A body that breaks off or drips costs nothing: the status
    has come, and counts."""
    taken = b""
    with contextlib.suppress(aiohttp.ClientError, OSError):
        async with asyncio.timeout_at(deadline):
            while chunk := await answer.content.read(MAX_EXCERPT_BYTES - len(taken)):
                taken += chunk
    text = taken.decode("utf-8", errors="replace").replace("\ufffd", "?")  # one byte for one: it stays within 1 kB
    return "".join(character if character.isprintable() or character == "\n" else "?" for character in text)
