"""What `metadata` holds, by kind of task: from the dataclasses that the media steps return and their docstrings."""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Iterator
from typing import Any

from scripts.reference.markdown import code, generated, table
from services.assembly.assemble import Assembly, FileSizes
from services.audio.mix_music import MixedMusic
from services.audio.stitch_audio import StitchedAudio, StitchedPart
from services.frames.last_frame import LastFrame
from services.probe.length import MediaLength, StreamLength
from services.stitch.stitch import Stitched
from shared.media.join.report import Copied, Reencoded
from shared.media.step import AcceleratorUse
from shared.tasks import TaskKind

_INTRODUCTION = """\
A completed task's `metadata`: facts about its inputs and its result. What is unknown or does not apply is absent (and
`null` in the parts). Lengths are in seconds, levels in LUFS, dB and dBTP as their names say."""

_RESULTS: dict[TaskKind, type] = {
    TaskKind.LAST_FRAME: LastFrame,
    TaskKind.MEDIA_LENGTH: MediaLength,
    TaskKind.VIDEO_STITCH: Stitched,
    TaskKind.AUDIO_STITCH: StitchedAudio,
    TaskKind.MUSIC_TRACK: MixedMusic,
    TaskKind.MOVIE_ASSEMBLY: Assembly,
}
_PARTS = (StreamLength, StitchedPart, Copied, Reencoded, FileSizes, AcceleratorUse)
_NOT_SHOWN = {"file_name", "content_type", "full_video", "video_only", "audio_only"}
"""What a step tells its job only: names of files in scratch."""

_OF_EVERY_JOB = (
    ("bytes_fetched", "integer", "bytes fetched from the sources; 0 for uploads and results of this suite"),
    ("phase_seconds", "object", "seconds by phase of the job"),
    ("processing_time", "number", "seconds from claim to end"),
)


def page() -> str:
    lines = [_INTRODUCTION, "", "## Every job", ""]
    lines += table(("field", "type", "meaning"), [(code(name), kind, text) for name, kind, text in _OF_EVERY_JOB])
    for kind, result in _RESULTS.items():
        lines += [f"## {kind.value.replace('_', ' ').capitalize()}", "", *_section(result)]
    lines += ["## Parts of these", ""]
    for part in _PARTS:
        lines += [f"### {part.__name__}", "", _summary(part), "", *_section(part)]
    return generated("Metadata", *lines)


def _section(result: type) -> list[str]:
    described = dict(_descriptions(result))
    rows = []
    for name, kind in typing.get_type_hints(result).items():
        if name in _NOT_SHOWN and result not in _PARTS:
            continue
        if name not in described and dataclasses.is_dataclass(result):
            raise LookupError(f"{result.__name__}.{name} is not described in its docstring")
        rows.append((code(name), _type(kind), described.get(name, "")))
    if not any(text for *_, text in rows):
        return table(("field", "type"), [row[:2] for row in rows])
    return table(("field", "type", "meaning"), rows)


def _summary(part: type) -> str:
    return (inspect.getdoc(part) or "").split("\n\n")[0].replace("\n", " ").replace("None", "null")


def _descriptions(result: type) -> Iterator[tuple[str, str]]:
    """The entries of `Attributes:` in the docstrings of a class and its ancestors: `name, other: text`, over lines."""
    for ancestor in reversed(result.__mro__):
        section = inspect.cleandoc(ancestor.__doc__ or "").partition("Attributes:\n")[2].split("\n\n")[0]
        entry = re.compile(r"^    (\w+(?:, \w+)*): (.*(?:\n {5,}.*)*)", re.MULTILINE)
        for names, text in entry.findall(section):
            for name in names.split(", "):
                yield name, re.sub(r"\bNone\b", "null" if result in _PARTS else "absent", re.sub(r"\s+", " ", text))


def _type(kind: Any) -> str:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type(one) for one in arguments if one is not type(None))
    if origin is typing.Literal:
        return ", ".join(code(str(value)) for value in arguments)
    if origin in (list, tuple):
        return f"list of {_type(arguments[0])}"
    if origin is typing.NotRequired:
        return _type(arguments[0])
    if kind in _PARTS:
        return f"[{kind.__name__}](#{kind.__name__.lower()})"
    return {int: "integer", float: "number", bool: "true or false", str: "text"}.get(kind, "object")
