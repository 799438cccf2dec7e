"""SiteService: the console, the interactive API reference and the OpenAPI document; all work offline."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.api.httpbody_pb2 import HttpBody
from lastframe.server.v1 import server_pb2, server_pb2_grpc

from services.gateway.openapi import openapi_json
from shared.errors import NotFound

if TYPE_CHECKING:
    import grpc

_PAGES = Path(__file__).with_name("pages")
_TEXT_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}

# Nothing is loaded from elsewhere, and no other page may frame this one. Swagger UI sets style attributes.
_DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# `{media}`: where results are, which may be a bucket. `blob:` shows what was fetched with the key.
_CONSOLE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:{media}; "
    "media-src 'self' blob:{media}; connect-src 'self'{media}; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


@dataclass(frozen=True)
class Asset:
    """A file of the site; `max_age_seconds` is how long a browser may keep it without asking. Pages have a `policy`."""

    content: bytes
    content_type: str
    max_age_seconds: int
    policy: str = ""

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        found = (("cache-control", f"public, max-age={self.max_age_seconds}"),)
        if self.policy:
            return (*found, ("content-security-policy", self.policy), ("referrer-policy", "no-referrer"))
        return found


@cache
def console_assets() -> dict[str, Asset]:
    """Name below `/console/` → file."""
    # A minute, so that a page never runs long with another version's modules.
    return {path.name: _asset(path, 60) for path in (_PAGES / "console").iterdir() if path.suffix in (".js", ".css")}


@cache
def assets() -> dict[str, Asset]:
    """Name below `/docs/` → file: our own page's, and Swagger UI's from the package that brings it (3.1 needs ≥ 5)."""
    own = (_PAGES / "docs.css", _PAGES / "docs.js")
    found = {path.name: _asset(path, 300) for path in own}
    found |= {path.name: _asset(path, 86400) for path in _swagger_ui_files()}
    return found


def _swagger_ui_files() -> list[Path]:
    # find_spec does not run the package's __init__, which would import flask.
    spec = importlib.util.find_spec("flask_openapi3_swagger")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("Swagger UI is missing: install requirements/assets.txt")
    folder = Path(spec.submodule_search_locations[0], "templates", "swagger")
    return [folder / "js" / "swagger-ui-bundle.js", folder / "css" / "swagger-ui.css"]


def _asset(path: Path, max_age_seconds: int, policy: str = "") -> Asset:
    return Asset(path.read_bytes(), f"{_TEXT_TYPES[path.suffix]}; charset=utf-8", max_age_seconds, policy)


class SiteService(server_pb2_grpc.SiteServiceServicer):
    """Serves bytes that are made once, when the service is; needs no key.

    Args:
        media_origins: other origins that results are served from (`https://media.example.com`).
    """

    def __init__(self, media_origins: Sequence[str] = ()) -> None:
        self._page = _asset(_PAGES / "docs.html", 300, _DOCS_POLICY)
        media = "".join(f" {origin}" for origin in media_origins)
        self._console = _asset(_PAGES / "console" / "console.html", 60, _CONSOLE_POLICY.format(media=media))
        self._console_assets = console_assets()
        self._openapi = Asset(openapi_json(), "application/json", 60)
        self._assets = assets()

    async def GetDocs(
        self,
        request: server_pb2.GetDocsRequest,
        context: grpc.aio.ServicerContext[server_pb2.GetDocsRequest, HttpBody],
    ) -> HttpBody:
        return await _answer(self._page, context)

    async def GetDocsAsset(
        self,
        request: server_pb2.GetDocsAssetRequest,
        context: grpc.aio.ServicerContext[server_pb2.GetDocsAssetRequest, HttpBody],
    ) -> HttpBody:
        """Raises NotFound for any name but the page's own files: this is not a file server."""
        found = self._assets.get(request.name)
        if found is None:
            raise NotFound("No such file of the API reference")
        return await _answer(found, context)

    async def GetConsole(
        self,
        request: server_pb2.GetConsoleRequest,
        context: grpc.aio.ServicerContext[server_pb2.GetConsoleRequest, HttpBody],
    ) -> HttpBody:
        return await _answer(self._console, context)

    async def GetConsoleAsset(
        self,
        request: server_pb2.GetConsoleAssetRequest,
        context: grpc.aio.ServicerContext[server_pb2.GetConsoleAssetRequest, HttpBody],
    ) -> HttpBody:
        """Raises NotFound for any name but the console's own files."""
        found = self._console_assets.get(request.name)
        if found is None:
            raise NotFound("No such file of the console")
        return await _answer(found, context)

    async def GetOpenapi(
        self,
        request: server_pb2.GetOpenapiRequest,
        context: grpc.aio.ServicerContext[server_pb2.GetOpenapiRequest, HttpBody],
    ) -> HttpBody:
        return await _answer(self._openapi, context)


async def _answer(asset: Asset, context: grpc.aio.ServicerContext[Any, HttpBody]) -> HttpBody:
    await context.send_initial_metadata(asset.headers)
    return HttpBody(content_type=asset.content_type, data=asset.content)
