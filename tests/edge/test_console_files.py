"""The console without a browser: its files, its content policy, and that it asks only for what the API has."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from services.gateway.openapi import openapi_json
from services.gateway.site import console_assets
from shared.runtime.settings import Settings
from tests.edge.conftest import Edge

DOCUMENT = json.loads(openapi_json())
SCRIPTS = {name: asset.content.decode() for name, asset in console_assets().items() if name.endswith(".js")}
JOBS = SCRIPTS["jobs.js"]
PREFIXES = {"output_settings": "OutputSettings", "master_audio": "MasterAudio"}

in_module = pytest.mark.asyncio(loop_scope="module")


def api_paths(text: str) -> set[str]:
    """The paths that a script names, with `{}` for what it fills in."""
    found = re.findall(r"""["'`](/(?:api/v1|health)[^"'`?]*)""", text)
    return {re.sub(r"\$\{[^}]*\}", "{}", path) for path in found}


def test_every_path_that_the_scripts_name_is_in_the_api():
    known = {re.sub(r"\{[^}]*\}", "{}", path) for path in DOCUMENT["paths"]}
    named = set().union(*(api_paths(text) for text in SCRIPTS.values()))
    assert {"/api/v1/process", "/api/v1/uploads", "/api/v1/tasks/{}/events", "/health"} <= named
    assert named <= known


def request_schema(path: str) -> dict:
    reference = DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    return DOCUMENT["components"]["schemas"][reference.rsplit("/", 1)[1]]


def field_schema(path: str, name: str) -> dict:
    """The schema of `output_settings.quality` in the request of `path`."""
    schema: dict = {"properties": request_schema(path)["properties"]}
    for part in name.split("."):
        schema = schema["properties"][part]
        if "$ref" in schema:
            schema = DOCUMENT["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


def jobs() -> list[tuple[str, str]]:
    """(path, source) of each job's block in jobs.js."""
    blocks = re.split(r"\n  \{\n", JOBS)[1:]
    return [(re.search(r'path: "([^"]+)"', block)[1], block) for block in blocks]


@pytest.mark.parametrize(("path", "block"), jobs(), ids=[path for path, _ in jobs()])
def test_numbers_have_the_apis_limits(path: str, block: str):
    for name, low, high in re.findall(r'number\("([\w.]+)", "[^"]*", (-?[\d.]+), (-?[\d.]+)', block):
        schema = field_schema(path, name)
        assert (schema["minimum"], schema["maximum"]) == (float(low), float(high)), name


@pytest.mark.parametrize(("path", "block"), jobs(), ids=[path for path, _ in jobs()])
def test_choices_are_the_apis(path: str, block: str):
    shared = dict(re.findall(r"const (\w+) = (choice\(.*?\]\));", JOBS))
    text = re.sub(r"\b(RESOLUTION|QUALITY)\b", lambda match: shared[match[1]], block)
    for name, options in re.findall(r'choice\("([\w.]+)", "[^"]*", (\[[^\]]*\])', text):
        schema = field_schema(path, name)
        for option in json.loads(options):
            if option == "":
                continue
            if "pattern" in schema:
                assert re.fullmatch(schema["pattern"], option), (name, option)
            elif "enum" in schema:
                assert option in schema["enum"], (name, option)
            else:
                assert schema["minimum"] <= option <= schema["maximum"], (name, option)


def test_every_field_of_the_api_can_be_set():
    for path, block in jobs():
        for name in request_schema(path)["properties"]:
            written = {"webhook_url": "WEBHOOK", "output_settings": "QUALITY"}.get(name, f'"{name}')
            # A dry run is the form's second button, for every job.
            assert written in block or name == "dry_run", f"{path}: {name}"
    assert "dry_run: true" in SCRIPTS["form.js"]


@in_module
async def test_the_page_loads_only_its_own_files(edge: Edge):
    page = await edge.call("GET", "/console")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    html = page.body.decode()
    assert not re.search(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=", html)
    wanted = set(re.findall(r'(?:src|rel="stylesheet" href)="([^"]+)"', html))
    for name, text in SCRIPTS.items():
        imported = set(re.findall(r'from "\./([\w.]+)"', text))
        assert imported <= SCRIPTS.keys(), name
        wanted |= {f"/console/{one}" for one in imported}
    assert wanted == {f"/console/{name}" for name in console_assets()}
    for path in wanted:
        asset = await edge.call("GET", path)
        assert asset.status == 200
        assert asset.headers["content-type"].split(";")[0] in ("text/javascript", "text/css")
        assert b"http://" not in asset.body.replace(b"http://www.w3.org/2000/svg", b"").replace(b"with http://", b"")


@in_module
@pytest.mark.parametrize("name", ["console.html", "site.py", "..%2fdocs.js", "absent.js"])
async def test_no_other_files_are_served(edge: Edge, name: str):
    assert (await edge.call("GET", f"/console/{name}")).status == 404


def test_the_policy_names_where_results_are(tmp_path: Path):
    plain = Settings(port=1234)
    assert plain.media_origins == ("http://127.0.0.1:1234",)
    bucket = Settings(
        public_media_url="https://media.example.com/x", objects_url="s3://b?endpoint=https://s3.example.com&presign=60"
    )
    assert bucket.media_origins == ("https://media.example.com", "https://s3.example.com")
