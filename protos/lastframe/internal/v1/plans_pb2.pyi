from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MakePlanRequest(_message.Message):
    __slots__ = ("kind", "inputs_json", "options_json")
    KIND_FIELD_NUMBER: _ClassVar[int]
    INPUTS_JSON_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_JSON_FIELD_NUMBER: _ClassVar[int]
    kind: str
    inputs_json: str
    options_json: str
    def __init__(self, kind: _Optional[str] = ..., inputs_json: _Optional[str] = ..., options_json: _Optional[str] = ...) -> None: ...

class MakePlanResponse(_message.Message):
    __slots__ = ("plan",)
    PLAN_FIELD_NUMBER: _ClassVar[int]
    plan: _struct_pb2.Struct
    def __init__(self, plan: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...
