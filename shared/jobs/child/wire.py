"""Frames on the socket between the pool and one child: two lengths, a JSON header, raw bytes.

Nothing that a child sends is ever unpickled. The other way, the job itself is a pickle: it is made by this very
program, and lets steps take dataclasses, paths and fractions as they are.

| direction | header | payload |
|---|---|---|
| to the child | `{"run": {…}}` | the pickled job |
| to the child | `{"data": {size_bytes, is_local}}` | the bytes of a read |
| to the child | `{"fault": {…}}` | |
| to the parent | `{"read": [source, offset, length]}` | |
| to the parent | `{"prefetch": [source, [[offset, length], …]]}` | |
| to the parent | `{"progress": [phase, fraction]}` | |
| to the parent | `{"result": true}` | the result as JSON |
| to the parent | `{"error": {…}, "log": traceback}` | |
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
import threading
from typing import Any, NamedTuple

LENGTHS = struct.Struct(">II")
MAX_READ_BYTES = 4 << 20
"""Longest run of bytes in one reply; longer reads are asked for in pieces."""
MAX_HEADER_BYTES = 256 << 10
MAX_RESULT_BYTES = 1 << 20
"""Longest result of a step, as JSON: a thousand scenes with a report each fit."""


class Frame(NamedTuple):
    header: dict[str, Any]
    payload: bytes


class ProtocolViolation(Exception):
    """The peer sent something that no honest peer sends."""


class ConnectionLost(Exception):
    """The peer closed the socket."""


def encode(header: dict[str, Any], payload: bytes = b"") -> bytes:
    """One frame, ready to be written."""
    text = json.dumps(header, separators=(",", ":")).encode()
    return LENGTHS.pack(len(text), len(payload)) + text + payload


def decode_lengths(prefix: bytes) -> tuple[int, int]:
    """(header length, payload length), within what a child may send.

    Raises:
        ProtocolViolation
    """
    header_length, payload_length = LENGTHS.unpack(prefix)
    if header_length > MAX_HEADER_BYTES or payload_length > MAX_RESULT_BYTES:
        raise ProtocolViolation(f"a frame of {header_length} + {payload_length} bytes")
    return header_length, payload_length


def decode_header(text: bytes) -> dict[str, Any]:
    """
    Raises:
        ProtocolViolation: not a JSON object.
    """
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProtocolViolation("a header that is not JSON") from error
    if not isinstance(header, dict):
        raise ProtocolViolation("a header that is not an object")
    return header


async def receive(connection: socket.socket) -> Frame:
    """The next frame of a child, in the parent. The socket is non-blocking.

    Raises:
        ProtocolViolation
        ConnectionLost
    """
    header_length, payload_length = decode_lengths(await _exactly(connection, LENGTHS.size))
    header = decode_header(await _exactly(connection, header_length))
    return Frame(header, await _exactly(connection, payload_length))


async def send(connection: socket.socket, frame: bytes) -> None:
    """Write one encoded frame to a child.

    Raises:
        ConnectionLost
    """
    try:
        await asyncio.get_running_loop().sock_sendall(connection, frame)
    except OSError as error:
        raise ConnectionLost from error


async def _exactly(connection: socket.socket, length: int) -> bytes:
    loop = asyncio.get_running_loop()
    parts: list[bytes] = []
    while length:
        try:
            part = await loop.sock_recv(connection, min(length, 1 << 18))
        except OSError as error:
            raise ConnectionLost from error
        if not part:
            raise ConnectionLost
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


class ChildConnection:
    """The child's end: blocking, by read(2) and write(2), since the sandbox refuses every socket call."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._writing = threading.Lock()

    def send(self, header: dict[str, Any], payload: bytes = b"") -> None:
        view = memoryview(encode(header, payload))
        with self._writing:
            while view:
                view = view[os.write(self._descriptor, view) :]

    def receive(self) -> Frame:
        header_length, payload_length = LENGTHS.unpack(self._exactly(LENGTHS.size))
        header = json.loads(bytes(self._exactly(header_length)))
        return Frame(header, bytes(self._exactly(payload_length)))

    def _exactly(self, length: int) -> bytearray:
        buffer = bytearray(length)
        view = memoryview(buffer)
        while view:
            count = os.readv(self._descriptor, [view])
            if not count:
                raise ConnectionLost
            view = view[count:]
        return buffer
