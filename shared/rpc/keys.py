"""API keys: several at once, each with a name; only sha256 digests are kept in memory."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from shared.errors import Unauthenticated

KEY_NAME = r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}"
_DIGEST_LINE = re.compile(rf"(?P<name>{KEY_NAME})\s*=\s*sha256:(?P<digest>[0-9A-Fa-f]{{64}})")


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
        digests: pairs of a name and the sha256 of a key, as 64 hexadecimal characters. A name may have several keys:
            that is how one is replaced without a moment in which neither is valid.
        admins: names that may see every key's tasks.
    """

    def __init__(self, digests: Iterable[tuple[str, str]], admins: frozenset[str] = frozenset()) -> None:
        self._digests = tuple((name, bytes.fromhex(digest)) for name, digest in digests)
        self._admins = admins

    @classmethod
    def from_plain(cls, keys: Mapping[str, str], admins: frozenset[str] = frozenset()) -> KeyRing:
        return cls(((name, digest(key)) for name, key in keys.items()), admins)

    def authenticate(self, authorization: str | None) -> Caller:
        """The caller of an `Authorization: Bearer KEY` header.

        Every key is compared, in constant time, whatever matches.

        Raises:
            Unauthenticated: missing, malformed or unknown.
        """
        scheme, _, key = (authorization or "").partition(" ")
        presented = hashlib.sha256(key.strip().encode(errors="surrogateescape")).digest()
        found: str | None = None
        for name, known in self._digests:
            if hmac.compare_digest(presented, known):
                found = name
        if scheme.lower() != "bearer" or not key.strip() or found is None:
            raise Unauthenticated("Invalid or missing API key")
        return Caller(found, found in self._admins)


def digest(key: str) -> str:
    """The sha256 of a key, in hexadecimal: what a key file holds."""
    return hashlib.sha256(key.encode()).hexdigest()


def parse_digests(text: str) -> list[tuple[str, str]]:
    """A key file's text, `name=sha256:<64 hexadecimal characters>` a line → (name, digest) pairs.

    Blank lines and lines that begin with `#` are skipped.

    Raises:
        ValueError: a line that is neither, by its number (its text may hold a key), or not a single character: such a
            file is one that somebody has just begun to write.
    """
    if not text.strip():
        raise ValueError("it is empty")
    pairs = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _DIGEST_LINE.fullmatch(line.strip())
        if match is None:
            raise ValueError(f"line {number} is not name=sha256:<64 hexadecimal characters>")
        pairs.append((match["name"], match["digest"].lower()))
    return pairs


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
