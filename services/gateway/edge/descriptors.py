"""The descriptor set that Envoy's transcoder reads: the suite's own, with one change that nobody else sees.

`google.rpc.Status` is replaced by one whose JSON is the API's error body. The transcoder renders every failed RPC as
the `google.rpc.Status` of its descriptor set (and adds the real one only if there is none); this one is equal on the
wire (1 code, 2 message, 3 details) and reads `{"detail": …, "error": …}`. To one answer there is more to say, that the
suite is unhealthy: the fields of `lastframe.server.v1.Unhealthy` follow, unset in all others.
"""

from __future__ import annotations

from google.protobuf import timestamp_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)
from lastframe.server.v1 import server_pb2

from services.gateway.rpcs import Contract
from shared.errors import ERROR_WORD_NUMBERS


def edge_descriptors(contract: Contract) -> bytes:
    """The serialized set; comments are left out."""
    edge = FileDescriptorSet()
    for source in contract.files.file:
        file = edge.file.add()
        file.CopyFrom(source)
        file.ClearField("source_code_info")
    edge.file.append(status_file())  # last: Envoy reads in order, and it needs the others' messages
    return edge.SerializeToString()


def status_file() -> FileDescriptorProto:
    """`google/rpc/status.proto` with the API's names; `ok` (0) is there because proto3 wants a zero."""
    kind = EnumDescriptorProto(name="Kind")
    kind.value.add(name="ok", number=0)
    for word, number in ERROR_WORD_NUMBERS.items():
        kind.value.add(name=word, number=number)
    status = DescriptorProto(name="Status", enum_type=[kind])
    optional = FieldDescriptorProto.LABEL_OPTIONAL
    status.field.add(name="detail", number=2, type=FieldDescriptorProto.TYPE_STRING, label=optional)
    status.field.add(
        name="error",
        number=1,
        type=FieldDescriptorProto.TYPE_ENUM,
        type_name=".google.rpc.Status.Kind",
        label=optional,
    )
    unhealthy = DescriptorProto()
    server_pb2.Unhealthy.DESCRIPTOR.CopyToProto(unhealthy)
    status.field.extend(unhealthy.field)
    status.oneof_decl.extend(unhealthy.oneof_decl)
    return FileDescriptorProto(
        name="google/rpc/status.proto",
        package="google.rpc",
        syntax="proto3",
        dependency=[server_pb2.DESCRIPTOR.name, timestamp_pb2.DESCRIPTOR.name],
        message_type=[status],
    )
