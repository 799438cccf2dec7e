"""How limits are taken."""

from __future__ import annotations

DURATION_GRACE_SECONDS = 0.5
"""A film may be this much longer than the limit: priming, the last frame's own duration and a muxer's rounding are not
its maker's doing."""
