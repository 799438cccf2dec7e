"""SiteService: the interactive API reference under `/docs` and the OpenAPI document; both work offline."""

from __future__ import annotations

import importlib.util
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
_CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True)
class Asset:
    """A file of the site; `max_age_seconds` is how long a browser may keep it without asking."""

    content: bytes
    content_type: str
    max_age_seconds: int

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        found = (("cache-control", f"public, max-age={self.max_age_seconds}"),)
        if self.content_type.startswith("text/html"):
            return (*found, ("content-security-policy", _CONTENT_SECURITY_POLICY), ("referrer-policy", "no-referrer"))
        return found


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


def _asset(path: Path, max_age_seconds: int) -> Asset:
    return Asset(path.read_bytes(), f"{_TEXT_TYPES[path.suffix]}; charset=utf-8", max_age_seconds)


class SiteService(server_pb2_grpc.SiteServiceServicer):
    """Serves bytes that are made once, when the service is; needs no key."""

    def __init__(self) -> None:
        self._page = _asset(_PAGES / "docs.html", 300)
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

    async def GetOpenapi(
        self,
        request: server_pb2.GetOpenapiRequest,
        context: grpc.aio.ServicerContext[server_pb2.GetOpenapiRequest, HttpBody],
    ) -> HttpBody:
        return await _answer(self._openapi, context)


async def _answer(asset: Asset, context: grpc.aio.ServicerContext[Any, HttpBody]) -> HttpBody:
    await context.send_initial_metadata(asset.headers)
    return HttpBody(content_type=asset.content_type, data=asset.content)
