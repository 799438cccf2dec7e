"""Reading the headers of an HTTP answer: which bytes these are, of which version of the file. Pure but for the type."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

_CONTENT_RANGE = re.compile(r"bytes\s+(\d{1,18})-(\d{1,18})/(\d{1,18}|\*)\Z", re.IGNORECASE)
# Object stores hand out these words for bodies that are not compressed at all (`aws-chunked` on S3).
_HARMLESS_ENCODINGS = {"", "identity", "none", "binary", "utf-8", "aws-chunked"}


@dataclass(frozen=True)
class ContentRange:
    """Of a 206 answer: the bytes `[start, stop)`; `total` None when the server wrote `*`."""

    start: int
    stop: int
    total: int | None

    @classmethod
    def read(cls, headers: Mapping[str, str]) -> ContentRange | None:
        """None when the header is missing or makes no sense (RFC 9110, 14.4)."""
        found = _CONTENT_RANGE.match(headers.get("Content-Range", "").strip())
        if found is None:
            return None
        start, stop = int(found[1]), int(found[2]) + 1
        total = None if found[3] == "*" else int(found[3])
        if stop <= start or (total is not None and stop > total):
            return None
        return cls(start, stop, total)


@dataclass(frozen=True)
class Version:
    """What names one version of a file (RFC 9110, 8.8)."""

    etag: str | None = None
    last_modified: str | None = None

    @classmethod
    def read(cls, headers: Mapping[str, str]) -> Version:
        return cls(headers.get("ETag"), headers.get("Last-Modified"))

    @property
    def if_range(self) -> str | None:
        """For the If-Range header, which takes no weak ETags."""
        if self.etag is not None and not self.etag.startswith("W/"):
            return self.etag
        return None if self.etag else self.last_modified

    def differs_from(self, other: Version) -> bool:
        """True when both name their version and the names are not the same."""
        if self.etag and other.etag:
            return self.etag.removeprefix("W/") != other.etag.removeprefix("W/")
        return bool(self.last_modified and other.last_modified and self.last_modified != other.last_modified)


def compression(headers: Mapping[str, str]) -> str | None:
    """The content coding of a body that nobody asked to have compressed; None when it is plain."""
    coding = headers.get("Content-Encoding", "").strip().lower()
    return None if coding in _HARMLESS_ENCODINGS else coding


def status_phrase(status: int) -> str:
    """`404 Not Found`; the words are the standard's, the server's own are not repeated."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def is_retryable_status(status: int) -> bool:
    """408, 425, 429 and 5xx but for 501 and 505, which say "never"."""
    return status in (408, 425, 429) or (status >= 500 and status not in (501, 505))


def retry_after_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """The Retry-After header, in seconds or as an HTTP date (RFC 9110, 10.2.3); None when absent or senseless."""
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit() and len(value) <= 9:
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
