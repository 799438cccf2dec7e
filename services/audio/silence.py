"""`empty:SECONDS` items of an audio stitch."""

from __future__ import annotations

import re

from shared.errors import InvalidRequest

PREFIX = "empty:"
MIN_SECONDS = 0.1
MAX_SECONDS = 3600.0
DECIMAL = re.compile(r"[0-9]{1,6}(\.[0-9]{1,9})?")


def is_silence(item: str) -> bool:
    return item.lower().startswith(PREFIX)


def silence_seconds(item: str, field: str) -> float:
    """The length of an `empty:SECONDS` item.

    Raises:
        InvalidRequest: not a decimal number of 0.1 to 3600 seconds; names the item.
    """
    text = item[len(PREFIX) :]
    if not DECIMAL.fullmatch(text) or not MIN_SECONDS <= float(text) <= MAX_SECONDS:
        raise InvalidRequest(
            f"{field}: silence must be empty:SECONDS with 0.1 to 3600 seconds, not {item[:40]!r}",
            word="invalid_silence",
            input_name=field,
        )
    return float(text)
