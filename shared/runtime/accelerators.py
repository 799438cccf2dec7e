"""What a worker has of NVIDIA's video engines: tried once, at its start."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Literal, get_args

import structlog

from shared import metrics
from shared.errors import ConfigurationError, LastFrameError
from shared.jobs.child import ChildPool
from shared.media.accelerator import probe
from shared.media.step import Accelerators, FallbackReason
from shared.ports import GpuMeter

log = structlog.get_logger(__name__)

PROBE_SECONDS = 60.0
"""A GPU that sleeps takes several seconds to wake."""


async def find_accelerators(children: ChildPool, wanted: Literal["auto", "cpu", "cuda"]) -> Accelerators:
    """Try the engines in a child that is confined like those that will use them; `cpu` tries nothing.

    Raises:
        ConfigurationError: `cuda` is wanted, and NVDEC does not work; says why.
    """
    found = Accelerators()
    if wanted != "cpu":
        with tempfile.TemporaryDirectory(prefix="lastframe-probe-") as scratch:
            try:
                found = await children.run(
                    probe, arguments={}, scratch=Path(scratch), deadline_seconds=PROBE_SECONDS, accelerator="cuda"
                )
            except LastFrameError as error:  # a driver may crash or hang
                found = Accelerators(findings=(f"trying the GPU ended badly: {error.detail}",))
        log.info("accelerators_tried", nvdec=found.nvdec, nvenc=found.nvenc, findings=list(found.findings))
    if wanted == "cuda" and not found.nvdec:
        raise ConfigurationError("LASTFRAME_ACCELERATOR=cuda, but " + "; ".join(found.findings))
    metrics.accelerator_available.labels("nvdec").set(found.nvdec)
    metrics.accelerator_available.labels("nvenc").set(found.nvenc)
    for reason in get_args(FallbackReason):
        metrics.accelerator_fallbacks.labels(reason)  # from 0 on: a series that begins at 1 has not increased
    return found


def export_utilization(gpu: GpuMeter) -> None:
    """Lets Prometheus read the meter, where there is a GPU to read."""
    if gpu.utilization_percent() is not None:
        gauge = metrics.gpu_utilization_percent.labels("nvml")
        gauge.set_function(lambda: gpu.utilization_percent() or 0.0)
