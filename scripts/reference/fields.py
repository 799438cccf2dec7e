"""One field of a message as a row: its type with the unit, its rules, its default, its comment."""

from __future__ import annotations

import re
from typing import Any

from scripts.reference.markdown import code
from services.gateway.openapi_schema import Field, Json, demanded, field_schema, fields
from services.gateway.rpcs import Contract

HEAD_OF_REQUEST = ("field", "type", "rule", "default", "meaning")
HEAD_OF_ANSWER = ("field", "type", "meaning")

_UNITS = {  # by the end of a number's name
    "_seconds": "s", "duration": "s", "_time": "s", "uptime": "s", "_db": "dB", "_lufs": "LUFS", "_bytes": "bytes",
    "sample_rate": "Hz", "bitrate": "bit/s", "frame_rate": "frames/s", "_usage": "%", "_utilization": "%",
    "file_size": "bytes", "_pts": "s", "_ms": "ms", "_dbtp": "dBTP", "_db_measured": "dB", "rotation": "degrees",
    "width": "pixels", "height": "pixels", "bytes_fetched": "bytes", "start": "s",
    "full_video": "bytes", "video_only": "bytes", "audio_only": "bytes",
}  # fmt: skip
_WITHOUT_UNIT = re.compile(
    r"quality|(output_)?channels|sequence_number|limit|count|attempt|progress|http_status|max_concurrent(_tasks)?|"
    r"queue_size|active_tasks|processed_videos_today|total(_scenes|_videos|_audio_sources)?|pending|processing|"
    r"completed|failed|(frame_)?index|frames|samples|output_samples|start_sample|source|loops|declicked_joins|"
    r"audio_stretch_ratio"
)
_NAMED = {
    "google.protobuf.Timestamp": "time, RFC 3339",
    "google.protobuf.Struct": "object",
    "google.protobuf.ListValue": "list",
    "google.protobuf.Value": "text or null",
    "google.api.HttpBody": "bytes",
}
_DEFAULTS = (
    re.compile(r"(`[^`]+`) \(default"),
    re.compile(r"when absent, (.+?)(?:$|[.;])"),
    re.compile(r"(?:^|[;.] )((?:(?![;.] ).)+?),? when absent"),
)


def request_rows(contract: Contract, message: str) -> list[tuple[str, ...]]:
    """Rows under `HEAD_OF_REQUEST`."""
    rows = []
    for name, field in fields(contract, message).items():
        comment = comment_of(contract, f"{message}.{name}")
        given = "required" if demanded(field) else default_of(comment) or "–"
        rules = _rules(field_schema(contract, message, field))
        rows.append((code(name), _type(contract, field), rules, given, comment))
    return rows


def answer_rows(contract: Contract, message: str) -> list[tuple[str, ...]]:
    """Rows under `HEAD_OF_ANSWER`."""
    return [
        (code(name), _type(contract, field), comment_of(contract, f"{message}.{name}"))
        for name, field in fields(contract, message).items()
    ]


def comment_of(contract: Contract, name: str) -> str:
    if name not in contract.comments:
        raise LookupError(f"{name} has no comment in its proto")
    return contract.comments[name]


def default_of(comment: str) -> str | None:
    """What a comment says about a field that is absent: `` `jpg` (default) ``, `95 when absent`, `when absent, …`."""
    return next((found[1] for pattern in _DEFAULTS if (found := pattern.search(comment))), None)


def _type(contract: Contract, field: Field) -> str:
    kind = field.type_name.lstrip(".")
    if kind in _NAMED:
        name = _NAMED[kind]
    elif kind in contract.messages:
        short = kind.rpartition(".")[2]
        name = f"[{short}](#{short.lower()})"
    else:
        name = _scalar(field)
    return f"list of {name}" if field.label == Field.LABEL_REPEATED else name


def _scalar(field: Field) -> str:
    numbers = {Field.TYPE_DOUBLE: "number", Field.TYPE_INT32: "integer"}
    if field.type not in numbers:
        return {Field.TYPE_BOOL: "true or false", Field.TYPE_BYTES: "bytes"}.get(field.type, "text")
    unit = next((unit for end, unit in _UNITS.items() if field.name.endswith(end)), None)
    if unit is None and not _WITHOUT_UNIT.fullmatch(field.name):
        raise LookupError(f"what is the unit of {field.name}? see _UNITS and _WITHOUT_UNIT")
    return numbers[field.type] + (f", {unit}" if unit else "")


def _rules(schema: Json) -> str:
    """The rules of a JSON schema in words."""
    words = []
    if "enum" in schema:
        words.append(", ".join(code(str(value)) for value in schema["enum"]))
    if schema.get("type") == "array":
        words.append(_range(schema, "minItems", "maxItems", "items"))
        words.append(_text_rules(schema["items"]))
    elif schema.get("format") != "int32" or not _is_whole_int32(schema):
        words.append(_range(schema, "minimum", "maximum", ""))
    words.append(_text_rules(schema))
    return "; ".join(word for word in words if word) or "–"


def _text_rules(schema: Json) -> str:
    words = []
    if "anyOf" in schema:
        return ", or ".join(filter(None, (_text_rules(one) for one in schema["anyOf"])))
    if "maxLength" in schema:
        words.append(f"at most {schema['maxLength']} characters")
    if "pattern" in schema:
        words.append(code(schema["pattern"]))
    return ", ".join(words)


def _is_whole_int32(schema: Json) -> bool:
    return bool(schema.get("minimum") == -(2**31) and schema.get("maximum") == 2**31 - 1)


def _range(schema: Json, lowest: str, highest: str, what: str) -> str:
    low: Any = schema.get(lowest)
    high: Any = schema.get(highest)
    if high == 2**31 - 1:
        high = None
    if low is None and high is None:
        return ""
    if high is None:
        text = f"at least {low:g}"
    elif low is None:
        text = f"at most {high:g}"
    else:
        text = f"{low:g} to {high:g}"
    return f"{text} {what}".strip()
