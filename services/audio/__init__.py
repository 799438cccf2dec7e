"""Sounds joined to the sample, and music laid under a video."""

import shared.media  # noqa: F401 - before any `import av` below: see shared.media.system_lame
