"""A job on its way to a child: step, context and arguments, with sources at any depth replaced by their numbers."""

from __future__ import annotations

import dataclasses
import io
import pickle
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shared.jobs.child.sources import LocalSource, RangedSource, Source
from shared.media.step import StepContext


@dataclasses.dataclass(frozen=True)
class Job:
    step: Callable[..., Any]
    context: StepContext
    arguments: dict[str, Any]


class _Packer(pickle.Pickler):
    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=5)
        self.sources: list[Source] = []
        self._numbers: dict[int, int] = {}

    def persistent_id(self, obj: Any) -> int | None:
        if not isinstance(obj, LocalSource) and not (hasattr(obj, "read_at") and isinstance(obj, RangedSource)):
            return None
        if id(obj) not in self._numbers:
            self._numbers[id(obj)] = len(self.sources)
            self.sources.append(obj)
        return self._numbers[id(obj)]


class _Unpacker(pickle.Unpickler):
    """Only ever given bytes that the parent packed."""

    def __init__(self, file: io.BytesIO, sources: Sequence[object]) -> None:
        super().__init__(file)
        self._sources = sources

    def persistent_load(self, pid: Any) -> object:
        return self._sources[pid]


def pack(step: Callable[..., Any], context: StepContext, arguments: Mapping[str, Any]) -> tuple[bytes, list[Source]]:
    """The packed job and its sources by number.

    Raises:
        TypeError: an argument cannot be sent to another process, or the step is not a module's own function.
    """
    buffer = io.BytesIO()
    packer = _Packer(buffer)
    job = Job(step, context, dict(arguments))
    try:
        packer.dump(job)
    except (pickle.PicklingError, AttributeError) as error:
        raise TypeError(f"a step and its arguments must be importable and picklable: {error}") from error
    return buffer.getvalue(), packer.sources


def unpack(packed: bytes, sources: Sequence[object]) -> Job:
    job = _Unpacker(io.BytesIO(packed), sources).load()
    assert isinstance(job, Job)
    return job
