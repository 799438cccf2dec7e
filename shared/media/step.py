"""What a media step is given besides its sources and options."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


class Progress(Protocol):
    def __call__(self, phase: str, fraction: float) -> None:
        """Report that `phase` (a present participle: `decoding`, `joining`) is `fraction` (0-1) of the step done.

        Cheap to call often: the child forwards at most ten a second.
        """
        ...


def no_progress(phase: str, fraction: float) -> None:
    """For tests and direct calls."""


@dataclass(frozen=True)
class StepContext:
    """The world of one media step: it may write below `scratch` and nowhere else.

    Attributes:
        scratch: an existing, empty directory of this job's own; result files go here.
        max_pixels: refuse pictures with more pixels than this (a pixel bomb).
        max_duration_seconds: refuse media longer than this; None for no limit.
        threads: how many threads decoders and encoders may use.
        accelerator: `cpu`, or `cuda` where the worker proved NVDEC at start.
        nvenc: whether it proved NVENC as well.
    """

    scratch: Path
    progress: Progress = field(default=no_progress)
    max_pixels: int = 8192 * 4320
    max_duration_seconds: float | None = 600.0
    threads: int = 2
    accelerator: str = "cpu"
    nvenc: bool = False
