"""Posting webhooks: what arrives, what comes back, and what is never waited for or kept."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from shared.backends.outbound import Outbound
from shared.backends.webhooks import HttpWebhookSender
from shared.urls import OutboundPolicy
from shared.webhook_signature import decode_secret, sign, webhook_headers
from tests.support.connects import recorded_connects
from tests.support.http_server import NastyServer

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = json.dumps({"task_id": "5f1d7f0e4b2c", "status": "completed", "title": "Grüße"}).encode()


@pytest.fixture
def server() -> Iterator[NastyServer]:
    with NastyServer() as running:
        yield running


@pytest.fixture
async def sender() -> AsyncIterator[HttpWebhookSender]:
    made = HttpWebhookSender(Outbound(OutboundPolicy(allow_private=True)), timeout_seconds=2.0)
    yield made
    await made.close()


async def test_the_receiver_gets_the_signed_bytes(server: NastyServer, sender: HttpWebhookSender) -> None:
    url = server.serve("/hook", b'{"ok": true}')
    now = int(time.time())
    reply = await sender.send(url + "?a=1", BODY, webhook_headers(SECRET, "5f1d.completed", now, BODY))
    assert (reply.status, reply.error) == (200, None)
    (seen,) = server.seen
    assert (seen.method, seen.target, seen.body) == ("POST", "/hook?a=1", BODY)
    assert seen.headers["content-type"] == "application/json"
    assert Webhook(SECRET).verify(seen.body, seen.headers) == json.loads(BODY)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(seen.body.replace(b"completed", b"failed"), seen.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + "B" * 32).verify(seen.body, seen.headers)


def test_signatures_are_those_of_the_reference_library() -> None:
    moment = datetime.now(UTC)
    for body in (b"", b"{}", BODY, bytes(range(128)) * 50):
        expected = Webhook(SECRET).sign("msg_1", moment, body.decode())
        assert sign(SECRET, "msg_1", int(moment.timestamp()), body) == expected
    assert "webhook-signature" not in webhook_headers(None, "msg_1", 1, b"{}")


@pytest.mark.parametrize("secret", ["whsec_", "whsec_AAAA", "not base64 at all!", "whsec_" + "A" * 200])
def test_bad_secrets_are_named_as_such(secret: str) -> None:
    with pytest.raises(ValueError, match="a webhook secret"):
        decode_secret(secret)


@pytest.mark.parametrize("status", [201, 204, 301, 302, 307, 400, 410, 429, 500, 503])
async def test_every_answer_is_just_reported(server: NastyServer, sender: HttpWebhookSender, status: int) -> None:
    elsewhere = server.serve("/elsewhere")
    url = server.serve("/hook", status=status, headers=[("Location", elsewhere)])
    reply = await sender.send(url, BODY, {})
    assert (reply.status, reply.error) == (status, None)
    assert len(server.seen) == 1, "redirects are not followed"


async def test_retry_after_in_both_spellings(server: NastyServer, sender: HttpWebhookSender) -> None:
    async def asked(value: str) -> float | None:
        url = server.serve("/hook", status=503, headers=[("Retry-After", value)])
        return (await sender.send(url, BODY, {})).retry_after_seconds

    assert await asked("120") == 120
    in_a_minute = await asked(format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True))
    assert in_a_minute is not None and 55 < in_a_minute <= 60
    assert await asked("Mon, 02 Feb 2015 10:00:00 GMT") == 0
    for nonsense in ("soon", "-5", "1e9", "9" * 40, "Mon, 99 Feb 2015 10:00:00 GMT", "²"):
        assert await asked(nonsense) is None


async def test_no_more_than_the_start_of_the_answer_is_read(server: NastyServer, sender: HttpWebhookSender) -> None:
    assert (await sender.send(server.serve("/endless", b"x", endless=True), BODY, {})).status == 200
    assert server.bytes_sent < 10_000_000


async def test_a_dripping_or_broken_body_does_not_take_the_status_away(
    server: NastyServer, sender: HttpWebhookSender
) -> None:
    began = time.monotonic()
    dripped = await sender.send(server.serve("/drip", b"y" * 5000, drip_seconds=0.05), BODY, {})
    assert dripped.status == 200
    assert time.monotonic() - began < 15
    assert (await sender.send(server.serve("/cut", b"z" * 500, drop_after=[100]), BODY, {})).status == 200


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        ({"latency_seconds": 30}, "the server did not answer in time"),
        ({"raw": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 99, "raw_drip_seconds": 0.2}, "the server did not answer in time"),
        ({"raw": b""}, "the connection to the server broke"),
        ({"raw": b"\x15\x03\x01 what\r\n\r\n"}, "the server's answer is not valid HTTP"),
        ({"raw": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 99_999 + b"\r\n\r\n"}, "the server's answer is not valid HTTP"),
    ],
)  # fmt: skip
async def test_faults_are_replies(
    server: NastyServer, sender: HttpWebhookSender, behaviour: dict[str, object], error: str
) -> None:
    began = time.monotonic()
    reply = await sender.send(server.serve("/hook", **behaviour), BODY, {})
    assert (reply.status, reply.error) == (None, error)
    assert time.monotonic() - began < 15


async def test_nobody_listens(sender: HttpWebhookSender) -> None:
    with NastyServer() as gone:
        url = gone.url("/hook")
    assert (await sender.send(url, BODY, {})).error == "could not connect to the server"


async def test_a_forbidden_receiver_is_never_dialled(server: NastyServer) -> None:
    strict = HttpWebhookSender(Outbound(OutboundPolicy(allowed_ports=frozenset({80, 443, server.port}))))
    with recorded_connects() as dialled:
        for url in (
            server.serve("/hook"),
            server.url("/hook", "localhost"),
            server.url("/hook", "2130706433"),
            server.url("/hook", "[::ffff:127.0.0.1]"),
            "http://169.254.169.254/latest/api/token",
            "file:///etc/passwd",
            "not a url",
        ):
            reply = await strict.send(url, BODY, {})
            assert reply.status is None and reply.error is not None
            assert "127.0.0.1" not in reply.error
    await strict.close()
    assert dialled == [] and server.connections == 0
