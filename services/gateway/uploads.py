"""UploadsService: a caller's own file, streamed into the object store under a name that expires."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any

from google.protobuf.timestamp_pb2 import Timestamp
from lastframe.server.v1 import uploads_pb2, uploads_pb2_grpc

from shared.errors import InvalidRequest, Unavailable
from shared.ports import ObjectStore
from shared.public import to_the_millisecond
from shared.rpc.call import current_caller
from shared.rpc.limits import Places
from shared.uploads import new_upload_name

AT_ONCE = 16  # uploads; each may hold its whole size on the disk
AT_ONCE_OF_ONE_KEY = 8  # so that one that drips sixteen leaves room for others
BINARY = "bin"

# What may be served from beside the console: nothing that a browser would run.
CONTENT_TYPES = {
    "mp4": "video/mp4",
    "m4v": "video/mp4",
    "mov": "video/quicktime",
    "webm": "video/webm",
    "mkv": "video/x-matroska",
    "avi": "video/x-msvideo",
    "ts": "video/mp2t",
    "mp3": "audio/mpeg",
    "m4a": "audio/mp4",
    "wav": "audio/wav",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "oga": "audio/ogg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    BINARY: "application/octet-stream",
}
_EXTENSIONS = {content_type: extension for extension, content_type in reversed(CONTENT_TYPES.items())}


class UploadsService(uploads_pb2_grpc.UploadsServiceServicer):
    """
    Args:
        max_bytes: the limit of sources; more is refused as soon as it has come.
        scratch: a directory for files on their way, made when needed.
    """

    def __init__(self, objects: ObjectStore, *, max_bytes: int, scratch: Path) -> None:
        self._objects = objects
        self._max_bytes = max_bytes
        self._scratch = scratch
        self._places = Places("uploads", of_one_key=AT_ONCE_OF_ONE_KEY, of_all=AT_ONCE)

    async def UploadFile(
        self, request_iterator: AsyncIterator[uploads_pb2.UploadFileRequest], context: Any
    ) -> uploads_pb2.UploadedFile:
        """Raises `Overloaded`, `InvalidRequest` (`file_too_large`, or nothing was sent) and `Unavailable`."""
        with self._places.held(current_caller().name):
            try:
                self._scratch.mkdir(parents=True, exist_ok=True)
                # Nameless, so that a kill leaves nothing behind.
                with tempfile.TemporaryFile(dir=self._scratch) as file:
                    return await self._stored(request_iterator, file)
            except OSError as error:
                raise Unavailable("The file could not be stored") from error

    async def _stored(
        self, pieces: AsyncIterator[uploads_pb2.UploadFileRequest], file: IO[bytes]
    ) -> uploads_pb2.UploadedFile:
        extension = ""
        size_bytes = 0
        digest = hashlib.sha256()
        async for piece in pieces:
            if piece.file.content_type.startswith("multipart/"):
                raise InvalidRequest("file: send the file itself as the body, not a form", input_name="file")
            extension = extension or extension_of(piece.filename, piece.file.content_type)
            size_bytes += len(piece.file.data)
            if size_bytes > self._max_bytes:
                raise InvalidRequest(
                    f"The file is larger than the {self._max_bytes} bytes allowed",
                    word="file_too_large",
                    input_name="file",
                )
            digest.update(piece.file.data)
            await asyncio.to_thread(file.write, piece.file.data)
        if not size_bytes:
            raise InvalidRequest("file: the body is empty; send the file's bytes", input_name="file")
        await asyncio.to_thread(file.flush)
        name, expires_at = new_upload_name(extension, datetime.now(UTC))
        url = await self._objects.put(Path(f"/proc/self/fd/{file.fileno()}"), name, CONTENT_TYPES[extension])
        due = Timestamp()
        due.FromDatetime(to_the_millisecond(expires_at))
        return uploads_pb2.UploadedFile(url=url, size_bytes=size_bytes, sha256=digest.hexdigest(), expires_at=due)


def extension_of(filename: str, content_type: str) -> str:
    """A key of `CONTENT_TYPES`: the file name's, else the content type's, else `bin`."""
    written = PurePosixPath(filename).suffix.lower().removeprefix(".")
    if written in CONTENT_TYPES:
        return written
    return _EXTENSIONS.get(content_type.partition(";")[0].strip().lower(), BINARY)
