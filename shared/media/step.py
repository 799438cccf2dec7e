"""What a media step is given besides its sources and options."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NotRequired, Protocol

from typing_extensions import TypedDict  # pydantic refuses typing.TypedDict before Python 3.12

FallbackReason = Literal["nvdec_failed", "nvenc_failed", "crashed"]


@dataclass(frozen=True)
class Accelerators:
    """What a worker found of NVIDIA's video engines, by trying.

    Attributes:
        nvdec, nvenc: whether H.264 was decoded, and encoded, on a GPU.
        findings: sentences for the operator: what works, and why the other does not.
    """

    nvdec: bool = False
    nvenc: bool = False
    findings: tuple[str, ...] = ()


class AcceleratorUse(TypedDict):
    """What a job's re-encodes ran on; `fallback` is there when it left the GPU on the way, and says why."""

    decode: Literal["nvdec", "software"]
    encode: Literal["nvenc", "libx264"]
    fallback: NotRequired[FallbackReason]


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
