"""Signatures of webhooks by the Standard Webhooks scheme
(https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md). Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

_PREFIX = "whsec_"


def decode_secret(secret: str) -> bytes:
    """The key bytes of `whsec_<base64>` (the prefix may be missing).

    Raises:
        ValueError: not base64, or not of 24 to 64 bytes as the scheme asks.
    """
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("a webhook secret is 'whsec_' and base64") from error
    if not 24 <= len(key) <= 64:
        raise ValueError("a webhook secret holds 24 to 64 bytes")
    return key


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` value: `v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`.

    Args:
        secret: `whsec_<base64>`; see `decode_secret`.
        message_id: stable over the retries of one message.
        timestamp: of this attempt, seconds since the epoch.
        body: the very bytes that are sent.
    """
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(decode_secret(secret), signed, hashlib.sha256)).decode("ascii")


def webhook_headers(secret: str | None, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """All headers of one attempt; without a secret the message goes unsigned.

    Receivers drop a message whose `webhook-id` they have seen, and one whose timestamp is minutes off.
    """
    headers = {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
    }
    if secret is not None:
        headers["webhook-signature"] = sign(secret, message_id, timestamp, body)
    return headers
