"""Every RPC of the suite as data, read from the committed descriptors: what the edge and OpenAPI are made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
)

DESCRIPTORS = Path(__file__).resolve().parents[2] / "protos" / "lastframe.binpb"
PACKAGE_ROOT = "lastframe."
INTERNAL_ROOT = "lastframe.internal."  # between roles: not for the edge, nor for its callers

# Field numbers of descriptor.proto: the address of a comment in `source_code_info`.
_SYNTAX, _MESSAGES, _SERVICES = 12, 4, 6
_MESSAGE_FIELDS, _SERVICE_METHODS = 2, 2


@dataclass(frozen=True)
class HttpBinding:
    """One `google.api.http` pattern: `verb` in capitals, `path` a template, `body` as in the rule (`*` or a field)."""

    verb: str
    path: str
    body: str = ""


@dataclass(frozen=True)
class Rpc:
    """One method. `feature` is the middle of its package (`frames` in `lastframe.frames.v1`)."""

    service: str
    name: str
    feature: str
    input_type: str
    output_type: str
    client_streaming: bool
    server_streaming: bool
    bindings: tuple[HttpBinding, ...]

    @property
    def full_name(self) -> str:
        return f"{self.service}.{self.name}"

    @property
    def grpc_path(self) -> str:
        return f"/{self.service}/{self.name}"

    @property
    def is_stream(self) -> bool:
        return self.client_streaming or self.server_streaming

    @property
    def is_read(self) -> bool:
        """Changes nothing, so it may be sent again after it has reached a service: every binding is a GET."""
        return bool(self.bindings) and all(binding.verb == "GET" for binding in self.bindings)

    @property
    def is_submit(self) -> bool:
        """Queues a task: the reply is one of the `…Accepted` messages."""
        return self.output_type.endswith("Accepted")


@dataclass(frozen=True)
class Contract:
    """The protos: their descriptors, RPCs in file order, own messages and comments (by full name; packages too)."""

    files: FileDescriptorSet
    rpcs: tuple[Rpc, ...] = ()
    messages: dict[str, DescriptorProto] = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)

    @property
    def services(self) -> list[str]:
        return list(dict.fromkeys(rpc.service for rpc in self.rpcs))

    @property
    def features(self) -> dict[str, list[str]]:
        """Feature → its services' full names; one feature is one cluster of the edge and one tag of the reference."""
        grouped: dict[str, list[str]] = {}
        for rpc in self.rpcs:
            services = grouped.setdefault(rpc.feature, [])
            if rpc.service not in services:
                services.append(rpc.service)
        return grouped


@cache
def load_contract(path: Path = DESCRIPTORS) -> Contract:
    """Reads the descriptor set at `path` (made by `make protos`). Treat the result as constant: it is shared."""
    files = FileDescriptorSet.FromString(path.read_bytes())
    rpcs: list[Rpc] = []
    messages: dict[str, DescriptorProto] = {}
    comments: dict[str, str] = {}
    for file in files.file:
        if not file.package.startswith(PACKAGE_ROOT) or file.package.startswith(INTERNAL_ROOT):
            continue
        rpcs.extend(_rpcs(file))
        messages.update({f"{file.package}.{message.name}": message for message in file.message_type})
        for name, text in _comments(file):
            # A package of several services says all of their files' heads.
            comments[name] = f"{comments[name]} {text}" if name in comments else text
    return Contract(files, tuple(rpcs), messages, comments)


def _rpcs(file: FileDescriptorProto) -> Iterator[Rpc]:
    for service in file.service:
        for method in service.method:
            yield Rpc(
                service=f"{file.package}.{service.name}",
                name=method.name,
                feature=file.package.split(".")[1],
                input_type=method.input_type.lstrip("."),
                output_type=method.output_type.lstrip("."),
                client_streaming=method.client_streaming,
                server_streaming=method.server_streaming,
                bindings=tuple(_bindings(method)),
            )


def _bindings(method: MethodDescriptorProto) -> Iterator[HttpBinding]:
    if not method.options.HasExtension(annotations_pb2.http):
        return
    rule = method.options.Extensions[annotations_pb2.http]
    for one in (rule, *rule.additional_bindings):
        verb = one.WhichOneof("pattern")
        if verb is not None and verb != "custom":
            yield HttpBinding(verb.upper(), getattr(one, verb), one.body)


def _comments(file: FileDescriptorProto) -> Iterator[tuple[str, str]]:
    for location in file.source_code_info.location:
        text = location.leading_comments.strip()
        if not text:
            continue
        name = _name_at(file, list(location.path))
        if name:
            yield name, " ".join(line.strip() for line in text.splitlines())


def _name_at(file: FileDescriptorProto, path: list[int]) -> str | None:
    """The full name of what stands at `path`; the package's for the comment at the head of a file with a service."""
    match path:
        case [int(head)] if head == _SYNTAX:
            return file.package if file.service else None
        case [int(head), index] if head == _MESSAGES:
            return f"{file.package}.{file.message_type[index].name}"
        case [int(head), index, int(part), member] if head == _MESSAGES and part == _MESSAGE_FIELDS:
            message = file.message_type[index]
            return f"{file.package}.{message.name}.{message.field[member].name}"
        case [int(head), index] if head == _SERVICES:
            return f"{file.package}.{file.service[index].name}"
        case [int(head), index, int(part), member] if head == _SERVICES and part == _SERVICE_METHODS:
            service = file.service[index]
            return f"{file.package}.{service.name}.{service.method[member].name}"
        case _:
            return None
