"""API keys: several at once, each with a name; only sha256 digests are kept in memory."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from shared.errors import Unauthenticated


@dataclass(frozen=True)
class Caller:
    """Who calls: the key's name, and whether it may see and cancel every key's tasks."""

    name: str
    is_admin: bool = False

    @property
    def visible_owner(self) -> str | None:
        """The owner that this caller's reads are limited to; None for all."""
        return None if self.is_admin else self.name


class KeyRing:
    """The keys that are valid now.

    Args:
        digests: name → sha256 of the key, as 64 hexadecimal characters.
        admins: names that may see every key's tasks.
    """

    def __init__(self, digests: Mapping[str, str], admins: frozenset[str] = frozenset()) -> None:
        self._digests = {name: bytes.fromhex(digest) for name, digest in digests.items()}
        self._admins = admins

    @classmethod
    def from_plain(cls, keys: Mapping[str, str], admins: frozenset[str] = frozenset()) -> KeyRing:
        return cls({name: digest(key) for name, key in keys.items()}, admins)

    def authenticate(self, authorization: str | None) -> Caller:
        """The caller of an `Authorization: Bearer KEY` header.

        Every key is compared, in constant time, whatever matches.

        Raises:
            Unauthenticated: missing, malformed or unknown.
        """
        scheme, _, key = (authorization or "").partition(" ")
        presented = hashlib.sha256(key.strip().encode()).digest()
        found: str | None = None
        for name, known in self._digests.items():
            if hmac.compare_digest(presented, known):
                found = name
        if scheme.lower() != "bearer" or not key.strip() or found is None:
            raise Unauthenticated("Invalid or missing API key")
        return Caller(found, found in self._admins)


def digest(key: str) -> str:
    """The sha256 of a key, in hexadecimal: what a key file holds."""
    return hashlib.sha256(key.encode()).hexdigest()


def parse_keys(text: str) -> dict[str, str]:
    """`name=key,name2=key2` → {name: key}.

    Raises:
        ValueError: an entry without a name or a key, or a name twice.
    """
    keys: dict[str, str] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        name, separator, key = entry.partition("=")
        if not separator or not name.strip() or not key.strip():
            raise ValueError("each entry must be name=key")
        if name.strip() in keys:
            raise ValueError(f"the name {name.strip()!r} stands twice")
        keys[name.strip()] = key.strip()
    return keys
