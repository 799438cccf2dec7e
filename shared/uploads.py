"""Names of uploaded files: unguessable, and they tell when the file is due to be deleted.

So no record of an upload is needed, and a restart or another process forgets none. Sorted by name is sorted by expiry.
"""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime, timedelta

PREFIX = "upload-"
KEPT = timedelta(hours=24)

_NAME = re.compile(r"upload-(\d{10})-[0-9a-f]{32}\.[a-z0-9]{1,5}")


def new_upload_name(extension: str, now: datetime) -> tuple[str, datetime]:
    """A name nobody can guess (128 random bits) with this extension (`mp4`), and its expiry, a whole second."""
    expires_at = (now + KEPT).replace(microsecond=0)
    return f"{PREFIX}{int(expires_at.timestamp()):010d}-{secrets.token_hex(16)}.{extension}", expires_at


def expiry_of(name: str) -> datetime | None:
    """When this upload is due; None when it is no upload's name."""
    found = _NAME.fullmatch(name)
    return datetime.fromtimestamp(int(found[1]), UTC) if found else None
