"""Messages as JSON Schema (2020-12), the way the edge's transcoder prints and reads them.

Printed: an implicit-presence scalar and a list always appear, so they are required; `optional` and message fields may
be absent. Read: only what a protovalidate rule demands is required.
"""

from __future__ import annotations

from typing import Any

from buf.validate import validate_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto

from services.gateway.rpcs import Contract
from shared.rpc.submit import PLANNED
from shared.tasks import TaskKind, TaskStatus

Json = dict[str, Any]
Field = FieldDescriptorProto

_INT32_MAX = 2**31 - 1

_SCALARS: dict[int, Json] = {
    Field.TYPE_STRING: {"type": "string"},
    Field.TYPE_BOOL: {"type": "boolean"},
    Field.TYPE_DOUBLE: {"type": "number", "format": "double"},
    Field.TYPE_INT32: {"type": "integer", "format": "int32", "minimum": -_INT32_MAX - 1, "maximum": _INT32_MAX},
    Field.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
}

_WELL_KNOWN: dict[str, Json] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.ListValue": {"type": "array"},
    "google.protobuf.Value": {},
}

_TASK = "lastframe.tasks.v1.Task"
METADATA: dict[TaskKind, str] = {
    TaskKind.LAST_FRAME: "lastframe.tasks.v1.LastFrameMetadata",
    TaskKind.MEDIA_LENGTH: "lastframe.tasks.v1.MediaLengthMetadata",
    TaskKind.VIDEO_STITCH: "lastframe.tasks.v1.VideoStitchMetadata",
    TaskKind.AUDIO_STITCH: "lastframe.tasks.v1.AudioStitchMetadata",
    TaskKind.MUSIC_TRACK: "lastframe.tasks.v1.MusicTrackMetadata",
    TaskKind.MOVIE_ASSEMBLY: "lastframe.tasks.v1.MovieAssemblyMetadata",
}
"""The message that says what `Task.metadata` holds, by kind."""
_STATUSES = {"enum": [str(status) for status in TaskStatus]}
_ACCEPTED_STATUSES = {"enum": [*_STATUSES["enum"], PLANNED]}
_PLAN: Json = {
    "properties": {
        "estimated_seconds": {"type": "number", "minimum": 0},
        "estimated_bytes": {"type": "integer", "minimum": 0},
        "bytes_to_fetch": {"type": "integer", "minimum": 0},
        "bytes_fetched": {"type": "integer", "minimum": 0},
    },
    "required": ["estimated_seconds", "estimated_bytes", "bytes_to_fetch", "bytes_fetched"],
}
_URLS = {"items": {"type": "string"}}
_URL_ITEM = {"type": "string", "format": "uri", "maxLength": 4096}
_SILENCE_ITEM = {"type": "string", "pattern": "^empty:[0-9]+([.][0-9]+)?$"}

# What the proto's type cannot say.
_REFINED: dict[str, Json] = {
    f"{_TASK}.status": _STATUSES,
    f"{_TASK}.kind": {"enum": [str(kind) for kind in TaskKind]},
    f"{_TASK}.video_urls": _URLS,
    f"{_TASK}.audio_urls": _URLS,
    f"{_TASK}.error_message": {"type": ["string", "null"]},
    f"{_TASK}.progress": {"minimum": 0, "maximum": 1},
    f"{_TASK}.metadata": {
        "anyOf": [{"$ref": f"#/components/schemas/{name.rsplit('.', 1)[1]}"} for name in METADATA.values()]
    },
    "lastframe.stitch.v1.StitchVideosRequest.video_urls": {"items": _URL_ITEM},
    "lastframe.audio.v1.StitchAudioRequest.audio_urls": {"items": {"anyOf": [_URL_ITEM, _SILENCE_ITEM]}},
    "lastframe.tasks.v1.TaskAccepted.status": _ACCEPTED_STATUSES,
    "lastframe.assembly.v1.AssemblyAccepted.status": _ACCEPTED_STATUSES,
    "lastframe.tasks.v1.TaskAccepted.plan": _PLAN,
    "lastframe.assembly.v1.AssemblyAccepted.plan": _PLAN,
}


def component_name(message: str) -> str:
    """`lastframe.frames.v1.ExtractLastFrameRequest` → `ExtractLastFrameRequest`; own names are unique in the suite."""
    return message.rsplit(".", 1)[1]


def reachable(contract: Contract, roots: set[str]) -> list[str]:
    """The suite's own messages among `roots` and what they contain, sorted."""
    found: set[str] = set()
    open_ends = [root for root in roots if root in contract.messages]
    while open_ends:
        name = open_ends.pop()
        if name in found:
            continue
        found.add(name)
        types = (field.type_name.lstrip(".") for field in contract.messages[name].field)
        open_ends.extend(kind for kind in types if kind in contract.messages)
    return sorted(found)


def message_schema(contract: Contract, name: str, *, printed: bool) -> Json:
    """One message; `printed` for replies, otherwise a request."""
    message = contract.messages[name]
    schema: Json = {"type": "object"}
    if comment := contract.comments.get(name):
        schema["description"] = comment
    required = [field.name for field in message.field if (_always_printed(field) if printed else demanded(field))]
    schema["properties"] = {field.name: field_schema(contract, name, field) for field in message.field}
    if required:
        schema["required"] = required
    return schema


def field_schema(contract: Contract, message: str, field: Field) -> Json:
    """One field with its rules and its comment."""
    name = f"{message}.{field.name}"
    rules = _rules(field)
    schema = _single(field, rules)
    if field.label == Field.LABEL_REPEATED:
        items = _single(field, rules.repeated.items)
        schema = {"type": "array", "items": items} | _present(
            rules.repeated, {"min_items": "minItems", "max_items": "maxItems", "unique": "uniqueItems"}
        )
    schema |= _REFINED.get(name, {})
    if comment := contract.comments.get(name):
        schema["description"] = comment
    return schema


def demanded(field: Field) -> bool:
    """Whether a request without this field is refused."""
    rules = _rules(field)
    if field.label == Field.LABEL_REPEATED:
        return bool(rules.repeated.min_items)
    if rules.required:
        return True
    # An absent implicit-presence string is empty, which a pattern or a least length refuses.
    text = rules.string
    return not _has_presence(field) and (text.HasField("pattern") or bool(text.min_len))


def fields(contract: Contract, message: str) -> dict[str, Field]:
    return {field.name: field for field in contract.messages[message].field}


def _always_printed(field: Field) -> bool:
    return field.label == Field.LABEL_REPEATED or not _has_presence(field)


def _has_presence(field: Field) -> bool:
    return field.proto3_optional or field.type == Field.TYPE_MESSAGE


def _rules(field: Field) -> validate_pb2.FieldRules:
    rules: validate_pb2.FieldRules = field.options.Extensions[validate_pb2.field]  # type: ignore[index]
    return rules


def _single(field: Field, rules: validate_pb2.FieldRules) -> Json:
    if field.type == Field.TYPE_MESSAGE:
        kind = field.type_name.lstrip(".")
        return (
            dict(_WELL_KNOWN[kind]) if kind in _WELL_KNOWN else {"$ref": f"#/components/schemas/{component_name(kind)}"}
        )
    schema = dict(_SCALARS[field.type])
    match field.type:
        case Field.TYPE_STRING:
            text = rules.string
            names = {
                "min_len": "minLength",
                "max_len": "maxLength",
                "pattern": "pattern",
                "in": "enum",
                "const": "const",
            }
            schema |= _present(text, names)
            if rules.required and "pattern" not in schema:
                schema.setdefault("minLength", 1)
            if field.name.endswith("_url"):
                schema |= {"format": "uri"}
        case Field.TYPE_INT32:
            schema |= _bounds(rules.int32)
        case Field.TYPE_DOUBLE:
            schema |= _bounds(rules.double)
    return schema


def _bounds(rules: Any) -> Json:
    names = {"gte": "minimum", "lte": "maximum", "gt": "exclusiveMinimum", "lt": "exclusiveMaximum", "in": "enum"}
    return _present(rules, names)


def _present(rules: Any, names: dict[str, str]) -> Json:
    """The rules that are set, under JSON Schema's names."""
    found: Json = {}
    for descriptor, value in rules.ListFields():
        if descriptor.name in names:
            found[names[descriptor.name]] = list(value) if names[descriptor.name] == "enum" else value
    return found
