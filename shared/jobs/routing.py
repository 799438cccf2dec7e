"""Which workers a task is offered to."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from shared.tasks import Pool, Task, TaskKind


def pool_for(task: Task, gpu_features: Collection[str]) -> Pool:
    """`gpu` where the request itself asks for a re-encode and GPU workers are there, else `cpu`.

    A GPU costs more to begin with (CUDA starts in a second, pictures travel over the bus) than a copied film costs in
    all, and whether clips are equal is known only when they have been read. So only what the request says counts: the
    strategy `reencode`, or a frame size or rate of its own. A CPU worker that finds out that much differs encodes it
    itself: the sources are there by then, and handing over would fetch them twice. Without GPU workers
    (`gpu_features` empty) no task ever waits for one.

    Args:
        gpu_features: features that have GPU workers.
    """
    if task.kind.feature not in gpu_features:
        return "cpu"
    match task.kind:
        case TaskKind.VIDEO_STITCH:
            options = task.options
        case TaskKind.MOVIE_ASSEMBLY:
            options = task.options.get("settings", {})
        case _:
            return "cpu"
    return "gpu" if _asks_for_encoding(options) else "cpu"


def _asks_for_encoding(options: Any) -> bool:
    if options.get("strategy") in ("copy", "reencode"):
        return bool(options["strategy"] == "reencode")
    return options.get("resolution") not in (None, "", "source") or bool(options.get("frame_rate"))
