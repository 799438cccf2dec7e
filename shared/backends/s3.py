"""Finished results in an S3 bucket (AWS, Cloudflare R2, SeaweedFS, …)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import aioboto3
from botocore.config import Config
from botocore.exceptions import ClientError

from shared.backends.names import checked_name
from shared.backends.s3_parts import AWAY, PART_BYTES, grown, send_parts
from shared.errors import ConfigurationError, Conflict, Unavailable

CACHE_CONTROL = "public, max-age=31536000, immutable"  # an object never changes
CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
UPLOAD_MARK = "upload"
IS_UP_SECONDS = 2.0
ABORT_SECONDS = 5.0

CONFIG = Config(
    signature_version="s3v4",
    # R2 and others refuse or miscount the checksums that boto sends by default since 2025.
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
    s3={"addressing_style": "path", "payload_signing_enabled": False},
    retries={"mode": "standard", "total_max_attempts": 4},
    connect_timeout=5,
    read_timeout=60,
    max_pool_connections=32,
)


class S3Objects:
    """`ObjectStore` on `s3://bucket?endpoint=https://…&region=auto`, with the usual two AWS variables as credentials.

    URLs are `public_base_url` and the name; with `&presign=SECONDS` they are signed for so long instead, for a bucket
    that is not public. A name that exists is refused by the write's own precondition (`If-None-Match: *`). With several
    writers of one name at once, one wins where the server holds that to the letter: all do for a single request, AWS
    and R2 also for an upload in parts. SeaweedFS 4.48 looks first and completes then, and let both through in 4 of 100
    tries. No two writers here share a name, so nothing rests on it.
    """

    def __init__(
        self,
        url: str,
        public_base_url: str,
        *,
        part_bytes: int = PART_BYTES,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        parts = urlsplit(url)
        options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        self._bucket = parts.netloc
        self._endpoint = options.pop("endpoint", None)
        self._region = options.pop("region", "auto")
        self._presign_seconds = _whole_number(options.pop("presign", "0"))
        self._base = public_base_url.rstrip("/")
        self._part_bytes = part_bytes
        self._credentials = [environment.get(name, "") for name in CREDENTIALS]
        self._stack = AsyncExitStack()
        self._client: Any = None
        if not self._bucket or options or parts.path.strip("/"):
            raise ConfigurationError(
                "LASTFRAME_OBJECTS_URL: write s3://bucket?endpoint=https://host&region=auto, and &presign=3600 for a"
                " bucket that is not public."
            )
        if not all(self._credentials):
            raise ConfigurationError(f"LASTFRAME_OBJECTS_URL names an S3 bucket: set {' and '.join(CREDENTIALS)} too.")

    async def open(self) -> None:
        key, secret = self._credentials
        session = aioboto3.Session(aws_access_key_id=key, aws_secret_access_key=secret, region_name=self._region)
        try:
            client = session.client("s3", endpoint_url=self._endpoint, config=CONFIG)
            self._client = await self._stack.enter_async_context(client)
        except ValueError as error:
            raise ConfigurationError(f"LASTFRAME_OBJECTS_URL: {error}. The endpoint is a URL, https://host.") from error

    async def close(self) -> None:
        self._client = None
        await self._stack.aclose()

    async def put(self, path: Path, name: str, content_type: str, *, written: asyncio.Event | None = None) -> str:
        mark = secrets.token_hex(8)
        target = {"Bucket": self._bucket, "Key": checked_name(name)}
        described = target | {
            "ContentType": content_type,
            "CacheControl": CACHE_CONTROL,
            "Metadata": {UPLOAD_MARK: mark},
        }
        try:
            await grown(path, 2 * self._part_bytes, written)
            if (await asyncio.to_thread(path.stat)).st_size <= self._part_bytes:
                body = await asyncio.to_thread(path.read_bytes)
                await self._open_client.put_object(**described, Body=body, IfNoneMatch="*")
            else:
                await self._put_parts(path, target, described, written)
        except AWAY as error:
            there = await self._mark_of(target) if _is_refused(error) else None
            if there is None:  # also refused and absent: another write of this name was under way, and has not ended
                raise Unavailable("The result could not be stored.") from error
            if there != mark:  # else our own first try was stored, and its answer lost on the way
                raise Conflict("A result with this name exists already.") from error
        return await self.url(name)

    async def url(self, name: str) -> str:
        if not self._presign_seconds:
            return f"{self._base}/{quote(checked_name(name))}"
        target = {"Bucket": self._bucket, "Key": checked_name(name)}
        signed: str = await self._open_client.generate_presigned_url("get_object", target, self._presign_seconds)
        return signed

    async def delete(self, name: str) -> None:
        try:
            await self._open_client.delete_object(Bucket=self._bucket, Key=checked_name(name))
        except AWAY as error:
            raise Unavailable("The result could not be deleted.") from error

    async def names(self, prefix: str, limit: int) -> list[str]:
        try:
            listed = await self._open_client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, MaxKeys=limit)
        except AWAY as error:
            raise Unavailable("The results could not be listed.") from error
        return [entry["Key"] for entry in listed.get("Contents", ())]

    async def is_up(self) -> bool:
        try:
            async with asyncio.timeout(IS_UP_SECONDS):
                await self._open_client.head_bucket(Bucket=self._bucket)
        except (*AWAY, Unavailable):
            return False
        return True

    @property
    def _open_client(self) -> Any:
        if self._client is None:
            raise Unavailable("The object store is closed.")
        return self._client

    async def _put_parts(
        self, path: Path, target: dict[str, Any], described: dict[str, Any], written: asyncio.Event | None
    ) -> None:
        client = self._open_client
        if await self._mark_of(target) is not None:  # before the bytes are sent, and for servers that check only puts
            raise Conflict("A result with this name exists already.")
        upload = target | {"UploadId": (await client.create_multipart_upload(**described))["UploadId"]}
        try:
            parts = await send_parts(client, upload, path, self._part_bytes, written)
            await client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, IfNoneMatch="*")
        except BaseException:
            with contextlib.suppress(*AWAY):
                async with asyncio.timeout(ABORT_SECONDS):  # a cancelled job is to stop; a lifecycle rule clears up
                    await client.abort_multipart_upload(**upload)
            raise

    async def _mark_of(self, target: dict[str, Any]) -> str | None:
        """The upload mark of the object with this name; None when there is none, empty when it has no mark."""
        try:
            head = await self._open_client.head_object(**target)
        except ClientError as error:
            if _status(error) == 404:
                return None
            raise Unavailable("The result could not be stored.") from error
        except AWAY as error:
            raise Unavailable("The result could not be stored.") from error
        return str(head.get("Metadata", {}).get(UPLOAD_MARK, ""))


def _status(error: BaseException) -> int | None:
    if not isinstance(error, ClientError):
        return None
    status: int | None = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status


def _is_refused(error: BaseException) -> bool:
    # 412: the name exists. 409: another write of the same name is under way (AWS: try again).
    return _status(error) in (409, 412)


def _whole_number(text: str) -> int:
    if not text.isdecimal():
        raise ConfigurationError(f"LASTFRAME_OBJECTS_URL: presign={text!r} is not a number of seconds.")
    return int(text)
