"""Serves finished results over plain HTTP for the embedded suite; Envoy puts it under `/media/`."""

from __future__ import annotations

import re
from pathlib import Path

from aiohttp import web

CONTENT_TYPES = {
    "jpg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "mp4": "video/mp4",
    "mp3": "audio/mpeg",
    "m4a": "audio/mp4",
    "wav": "audio/wav",
    "flac": "audio/flac",
    "opus": "audio/ogg",
    # uploads only; nothing that a browser would run, since the console is served from the same origin
    "m4v": "video/mp4",
    "mov": "video/quicktime",
    "webm": "video/webm",
    "mkv": "video/x-matroska",
    "avi": "video/x-msvideo",
    "ts": "video/mp2t",
    "ogg": "audio/ogg",
    "oga": "audio/ogg",
    "aac": "audio/aac",
    "bin": "application/octet-stream",
}
NOT_FOUND = '{"detail": "Not Found", "error": "not_found"}'
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,120}\.([a-z0-9]{1,5})")


class MediaServer:
    """GET and HEAD with Range on one directory of objects; no listing, no other names than objects have."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self) -> int:
        """Listens on a free loopback port and returns it."""
        application = web.Application()
        application.router.add_get("/media/{name}", self._serve)
        application.router.add_route("*", "/{other:.*}", _not_found)
        self._runner = web.AppRunner(application, access_log=None, handle_signals=False)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self.port

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        match = NAME.fullmatch(request.match_info["name"])
        path = self._directory / request.match_info["name"]
        if match is None or match[1] not in CONTENT_TYPES or not path.is_file():
            return await _not_found(request)
        return web.FileResponse(
            path,
            headers={
                "Content-Type": CONTENT_TYPES[match[1]],
                "X-Content-Type-Options": "nosniff",
                "Cache-Control": "public, max-age=31536000, immutable",
            },
        )


async def _not_found(request: web.Request) -> web.StreamResponse:
    return web.json_response(text=NOT_FOUND, status=404)
