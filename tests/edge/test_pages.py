"""The API reference and the OpenAPI document."""

from __future__ import annotations

import json
import re

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from services.gateway.openapi import openapi_json
from services.gateway.openapi_examples import REPLIES, REQUESTS
from services.gateway.rpcs import load_contract
from shared.errors import ERROR_WORD_NUMBERS
from shared.tasks import TaskKind
from tests.edge.conftest import Edge
from tests.support.fake_services import ASSEMBLY, FINISHED, UNKNOWN

DOCUMENT = json.loads(openapi_json())

in_module = pytest.mark.asyncio(loop_scope="module")


def schema_of(name: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]})


def operation(name: str) -> dict:
    return next(found for path in DOCUMENT["paths"].values() for found in path.values() if found["operationId"] == name)


def test_the_document_is_valid_openapi_3_1():
    assert DOCUMENT["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_every_binding_is_an_operation_with_a_summary_and_errors():
    bindings = {(one.verb.lower(), one.path) for rpc in load_contract().rpcs for one in rpc.bindings}
    described = {(verb, path): found for path, verbs in DOCUMENT["paths"].items() for verb, found in verbs.items()}
    assert described.keys() == bindings
    assert ("post", "/api/v1/process") in bindings
    for found in described.values():
        assert found["summary"]
        assert {"200", "default"} <= found["responses"].keys()


def test_each_tag_says_what_its_services_are_for():
    said = {tag["name"]: tag["description"] for tag in DOCUMENT["tags"]}
    assert said.keys() == {rpc.feature for rpc in load_contract().rpcs if rpc.bindings}
    assert said["tasks"].startswith("What every job has in common"), "not the head of metadata.proto beside it"
    assert said["server"].startswith("The suite itself"), "both files of the package, in order"


def test_only_the_open_paths_need_no_key():
    open_paths = {
        path for path, verbs in DOCUMENT["paths"].items() for found in verbs.values() if found.get("security") == []
    }
    assert open_paths == {"/", "/health", "/console", "/console/{name}", "/docs", "/docs/{name}", "/openapi.json"}
    assert DOCUMENT["security"] == [{"bearer": []}]


def test_rules_of_the_protos_are_constraints():
    request = DOCUMENT["components"]["schemas"]["ExtractLastFrameRequest"]
    assert request["required"] == ["video_url"]
    assert request["properties"]["quality"] | {"description": ""} == {
        "type": "integer",
        "format": "int32",
        "minimum": 1,
        "maximum": 100,
        "description": "",
    }
    assert request["properties"]["image_format"]["enum"] == ["jpg", "jpeg", "png", "webp"]
    stitch = DOCUMENT["components"]["schemas"]["StitchVideosRequest"]
    assert stitch["required"] == ["video_urls"]
    urls = stitch["properties"]["video_urls"]
    assert (urls["minItems"], urls["maxItems"], urls["items"]["maxLength"]) == (2, 10, 4096)
    [limit] = operation("ListRecentTasks")["parameters"]
    assert (limit["in"], limit.get("required", False)) == ("query", False)
    assert (limit["schema"]["minimum"], limit["schema"]["maximum"]) == (1, 1000)


def test_replies_require_what_is_always_printed_and_no_more():
    task = DOCUMENT["components"]["schemas"]["Task"]
    assert task["required"] == ["task_id", "status", "kind"]
    assert task["properties"]["error_message"]["type"] == ["string", "null"]
    assert task["properties"]["kind"]["enum"] == [str(kind) for kind in TaskKind]
    assert DOCUMENT["components"]["schemas"]["ListRecentTasksResponse"]["required"] == ["tasks", "count"]


def test_submits_take_an_idempotency_key_and_nothing_else_does():
    takers = {
        found["operationId"]
        for verbs in DOCUMENT["paths"].values()
        for found in verbs.values()
        if any(parameter["name"] == "Idempotency-Key" for parameter in found.get("parameters", []))
    }
    assert takers == {
        *("ExtractLastFrame", "StitchVideos", "StitchAudio", "MixMusicTrack", "AssembleMovie", "MeasureLength"),
        "RetryTask",
    }


def test_error_words_are_those_of_the_table():
    words = DOCUMENT["components"]["schemas"]["Error"]["properties"]["error"]["enum"]
    assert set(ERROR_WORD_NUMBERS) < set(words)
    for response in DOCUMENT["components"]["responses"].values():
        schema_of("Error").validate(response["content"]["application/json"]["example"])


@pytest.mark.parametrize("name", REQUESTS)
def test_example_requests_obey_their_schema(name: str):
    content = operation(name)["requestBody"]["content"]["application/json"]
    schema_of(content["schema"]["$ref"].rsplit("/", 1)[1]).validate(content["example"])


@pytest.mark.parametrize("name", REPLIES)
def test_example_replies_obey_their_schema(name: str):
    content = operation(name)["responses"]["200"]["content"]["application/json"]
    assert content["examples"]
    for example in content["examples"].values():
        schema_of(content["schema"]["$ref"].rsplit("/", 1)[1]).validate(example["value"])


@in_module
@pytest.mark.parametrize(
    ("path", "schema"),
    [
        ("/", "Root"),
        ("/health", "Health"),
        (f"/api/v1/status/{FINISHED}", "Task"),
        (f"/api/v1/video/assembly/{ASSEMBLY}", "Task"),
        ("/api/v1/tasks/recent?limit=1", "ListRecentTasksResponse"),
        ("/api/v1/tasks/recent", "ListRecentTasksResponse"),
        (f"/api/v1/status/{UNKNOWN}", "Error"),
        ("/nope", "Error"),
        ("/api/v1/process", "Error"),
    ],
)
async def test_what_the_edge_prints_obeys_the_document(edge: Edge, path: str, schema: str):
    schema_of(schema).validate((await edge.call("GET", path)).json)


@in_module
async def test_the_document_is_served(edge: Edge):
    reply = await edge.call("GET", "/openapi.json")
    assert reply.headers["content-type"] == "application/json"
    assert reply.json == DOCUMENT


@in_module
async def test_the_reference_loads_only_files_that_are_here(edge: Edge):
    page = await edge.call("GET", "/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    html = page.body.decode()
    loaded = re.findall(r'(?:src|rel="stylesheet" href)="([^"]+)"', html)
    assert len(loaded) == 4
    for path in loaded:
        asset = await edge.call("GET", path)
        assert (asset.status, bool(asset.body)) == (200, True)
        assert asset.headers["content-type"].split(";")[0] in ("text/javascript", "text/css")
        assert "max-age" in asset.headers["cache-control"]
    bundle = await edge.call("GET", "/docs/swagger-ui-bundle.js")
    assert len(bundle.body) > 1_000_000  # over Envoy's default limit of a transcoded body
    assert not re.search(r'(?:src|href)="https?://', html)


@in_module
@pytest.mark.parametrize("name", ["nothing.js", "docs.html", "..%2f..%2fsite.py", "%2e%2e"])
async def test_no_other_files_are_served(edge: Edge, name: str):
    import yarl

    async with edge.client.get(yarl.URL(f"{edge.url}/docs/{name}", encoded=True)) as answer:
        served = await answer.read()
    assert answer.status == 404 or served == (await edge.call("GET", "/")).body
    assert b"SiteService" not in served
