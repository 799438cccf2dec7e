"""How busy the machine's NVIDIA GPUs are, by NVML."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pynvml


class NvmlMeter:
    """`GpuMeter` for the driver that is loaded, if one is. NVML starts on the first question and stays open."""

    def __init__(self) -> None:
        self._devices: list[Any] | None = None

    def utilization_percent(self) -> float | None:
        if self._devices is None:
            self._devices = _find_devices()
        readings = [value for device in self._devices for value in _readings(device)]
        return float(max(readings)) if readings else None


def _find_devices() -> list[Any]:
    try:
        pynvml.nvmlInit()
        return [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:
        return []


def _readings(device: Any) -> Iterator[int]:
    # A GPU in MIG mode refuses the SM reading ("not supported") and may still answer for its video engines.
    questions: tuple[Callable[[], int], ...] = (
        lambda: pynvml.nvmlDeviceGetUtilizationRates(device).gpu,
        lambda: pynvml.nvmlDeviceGetEncoderUtilization(device)[0],
        lambda: pynvml.nvmlDeviceGetDecoderUtilization(device)[0],
    )
    for question in questions:
        with contextlib.suppress(pynvml.NVMLError):
            yield question()
