"""Make MP3 encoding three times as fast where the system has LAME."""

from __future__ import annotations

import ctypes
import sys


def prefer_system_lame() -> bool:
    """Let PyAV's libavcodec use the system's libmp3lame instead of the one in its wheel.

    The wheel's LAME is built without the optimisations that Linux distributions turn on (measured: 1.95 against
    0.71 CPU seconds for 50 s of stereo, the same samples). Both are LAME 3.100 behind the same SONAME, so a copy that
    is loaded first, with its symbols global, is the one that the dynamic linker finds. Must run before `av` is first
    imported; does nothing after that, or where the system has no LAME.

    Returns:
        Whether the system's LAME is in use.
    """
    if "av" in sys.modules:
        return False
    try:
        ctypes.CDLL("libmp3lame.so.0", mode=ctypes.RTLD_GLOBAL)
    except OSError:
        return False
    return True
