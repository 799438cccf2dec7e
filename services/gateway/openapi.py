"""The OpenAPI 3.1 document, made from the protos: bindings, comments, rules; nothing is written twice."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache

from services.gateway.openapi_examples import REPLIES, REQUESTS, UNHEALTHY
from services.gateway.openapi_schema import (
    METADATA,
    Json,
    component_name,
    demanded,
    field_schema,
    fields,
    message_schema,
    reachable,
)
from services.gateway.rpcs import Contract, HttpBinding, Rpc, load_contract
from shared.errors import ERROR_WORD_NUMBERS
from shared.rpc.interceptor import needs_key

API_VERSION = "1.0.0"

_DESCRIPTION = """\
Send a job, get a `task_id` at once, then poll its status, watch it, or be called by a webhook.

* **Keys**: every call but `/`, `/health` and the pages of this reference needs `Authorization: Bearer KEY`.
* **Errors** are always `{"detail": "a sentence", "error": "a_word"}`.
* **Repeating safely**: submits take an `Idempotency-Key`; for 24 hours the same key and request are the same task.
* **Dry runs**: `dry_run: true` in a submit asks for its `plan`; what the job would fail with is a 400 by the same word.
* **Request ids**: an `x-request-id` that you send is kept, otherwise one is made; every reply carries it.
* The same methods are there as native **gRPC** on the same port, with the key as `authorization` metadata.
"""

_UNHEALTHY = "lastframe.server.v1.Unhealthy"
# Words that only the edge itself says.
_EDGE_WORDS = ("method_not_allowed", "request_too_large")


@dataclass(frozen=True)
class _Error:
    """A response that operations share: its name among the components, when it comes, and an example."""

    name: str
    text: str
    word: str
    detail: str


_ERRORS: dict[int, _Error] = {
    400: _Error(
        "BadRequest",
        "The request is malformed or breaks a rule; `detail` names the field.",
        "invalid_request",
        "video_url: value is required",
    ),
    401: _Error("Unauthorized", "The key is missing or unknown.", "unauthorized", "Invalid or missing API key"),
    404: _Error(
        "NotFound",
        "There is no such thing, or it is another key's.",
        "task_not_found",
        "No task has the id 68933d660fbe479408b185f1",
    ),
    409: _Error(
        "Conflict",
        "The request contradicts what is already there.",
        "idempotency_conflict",
        "This Idempotency-Key was used for a different request.",
    ),
    413: _Error(
        "TooLarge", "The body is over 1 MiB.", "request_too_large", "Request body is larger than 1048576 bytes"
    ),
    429: _Error(
        "TooManyRequests",
        "Too much at once; come back after `retry-after` seconds.",
        "rate_limited",
        "Rate limit exceeded",
    ),
    500: _Error(
        "InternalError",
        "A fault of the service; the cause is in its log under the request id.",
        "internal_error",
        "Internal server error",
    ),
    503: _Error(
        "Unavailable",
        "A part of the service is away; try again.",
        "unavailable",
        "Service temporarily unavailable",
    ),
    504: _Error("Timeout", "The answer took too long.", "timeout", "Upstream request timed out"),
}
_ANY_ERROR = _Error("AnyError", "Any other error.", "method_not_allowed", "Method Not Allowed")

# Jobs first; a feature that is not named here comes last.
_FEATURE_ORDER = ("frames", "stitch", "audio", "assembly", "probe", "tasks", "server")

# What an RPC that returns google.api.HttpBody sends; the proto does not say.
_BODY_TYPES: dict[str, dict[str, Json]] = {
    "GetDocs": {"text/html": {"schema": {"type": "string"}}},
    "GetDocsAsset": {"text/javascript": {"schema": {"type": "string"}}, "text/css": {"schema": {"type": "string"}}},
    "GetConsole": {"text/html": {"schema": {"type": "string"}}},
    "GetConsoleAsset": {"text/javascript": {"schema": {"type": "string"}}, "text/css": {"schema": {"type": "string"}}},
    "GetOpenapi": {"application/json": {"schema": {"type": "object"}}},
}

_IDEMPOTENCY_KEY: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Names this submit. Repeated with the same body it answers with the same task, with another 409.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}


@cache
def openapi_json() -> bytes:
    """The document as UTF-8 JSON; made once."""
    return json.dumps(openapi_document(load_contract()), ensure_ascii=False).encode()


def openapi_document(contract: Contract) -> Json:
    """The document of every RPC that has a REST path."""
    bound = [rpc for rpc in contract.rpcs if rpc.bindings]
    paths: dict[str, Json] = {}
    for rpc in sorted(bound, key=lambda rpc: _place(rpc.feature)):
        for number, binding in enumerate(rpc.bindings):
            paths.setdefault(binding.path, {})[binding.verb.lower()] = _operation(contract, rpc, binding, number)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Last Frame",
            "version": API_VERSION,
            "summary": "Media jobs for people who make films out of generated clips.",
            "description": _DESCRIPTION,
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "tags": [
            {"name": feature, "description": contract.comments.get(f"lastframe.{feature}.v1", "")}
            for feature in sorted({rpc.feature for rpc in bound}, key=_place)
        ],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "The API key, without the word `Bearer`."}
            },
            "schemas": _schemas(contract, bound),
            "responses": {error.name: _error_response(error) for error in (*_ERRORS.values(), _ANY_ERROR)}
            | {"Unhealthy": _unhealthy_response()},
        },
    }


def _place(feature: str) -> int:
    return _FEATURE_ORDER.index(feature) if feature in _FEATURE_ORDER else len(_FEATURE_ORDER)


def _schemas(contract: Contract, rpcs: list[Rpc]) -> Json:
    requests = reachable(contract, {rpc.input_type for rpc in rpcs if any(one.body == "*" for one in rpc.bindings)})
    replies = reachable(contract, {rpc.output_type for rpc in rpcs} | {*METADATA.values(), _UNHEALTHY})
    shared = set(requests) & set(replies)
    if shared:
        raise ValueError(f"messages in requests and replies differ in what is required: {sorted(shared)}")
    found = {component_name(name): message_schema(contract, name, printed=False) for name in requests}
    found |= {component_name(name): message_schema(contract, name, printed=True) for name in replies}
    found["Error"] = {
        "type": "object",
        "description": "Every error of this API.",
        "properties": {
            "detail": {"type": "string", "description": "A sentence a person can act on."},
            "error": {
                "type": "string",
                "enum": [*ERROR_WORD_NUMBERS, *_EDGE_WORDS],
                "description": "A word for programs.",
            },
        },
        "required": ["detail", "error"],
    }
    return dict(sorted(found.items()))


def _operation(contract: Contract, rpc: Rpc, binding: HttpBinding, number: int) -> Json:
    comment = contract.comments.get(rpc.full_name, rpc.name)
    summary = comment.split(". ")[0].removesuffix(".").replace("`", "")  # readers show it as it is, unlike descriptions
    operation: Json = {
        # An additional binding gets the last word of its path: `WatchTask_watch`.
        "operationId": rpc.name if number == 0 else f"{rpc.name}_{binding.path.rsplit('/', 1)[1]}",
        "summary": summary,
        "tags": [rpc.feature],
    }
    if comment.removesuffix(".") != summary:
        operation["description"] = comment
    if not needs_key(rpc.grpc_path):
        operation["security"] = []
    if parameters := _parameters(contract, rpc, binding):
        operation["parameters"] = parameters
    if binding.body:
        operation["requestBody"] = {"required": True, "content": _request_content(rpc, binding)}
    operation["responses"] = {"200": _reply(rpc, binding)} | _errors(contract, rpc, binding)
    return operation


def _parameters(contract: Contract, rpc: Rpc, binding: HttpBinding) -> list[Json]:
    found: list[Json] = []
    for name, field in fields(contract, rpc.input_type).items():
        in_path = f"{{{name}}}" in binding.path
        if binding.body in ("*", name) and not in_path:
            continue
        schema = field_schema(contract, rpc.input_type, field)
        parameter: Json = {"name": name, "in": "path" if in_path else "query"}
        if description := schema.pop("description", None):
            parameter["description"] = description
        if in_path or demanded(field):
            parameter["required"] = True
        found.append(parameter | {"schema": schema})
    return [*found, _IDEMPOTENCY_KEY] if rpc.is_submit else found


def _request_content(rpc: Rpc, binding: HttpBinding) -> Json:
    if binding.body == "*":
        return {"application/json": _request(rpc)}
    # The only other bodies are files: one field of type google.api.HttpBody.
    return {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}


def _request(rpc: Rpc) -> Json:
    content: Json = {"schema": {"$ref": f"#/components/schemas/{component_name(rpc.input_type)}"}}
    if rpc.name in REQUESTS:
        content["example"] = REQUESTS[rpc.name]
    return content


def _reply(rpc: Rpc, binding: HttpBinding) -> Json:
    if rpc.output_type == "google.api.HttpBody":
        return {"description": "The file.", "content": _BODY_TYPES[rpc.name]}
    schema: Json = {"$ref": f"#/components/schemas/{component_name(rpc.output_type)}"}
    if rpc.server_streaming:
        return _stream_reply(rpc, binding)
    content: Json = {"schema": schema}
    if rpc.name in REPLIES:
        content["examples"] = {
            name.replace(" ", ""): {"summary": name, "value": value} for name, value in REPLIES[rpc.name].items()
        }
    return {"description": "OK", "content": {"application/json": content}}


def _stream_reply(rpc: Rpc, binding: HttpBinding) -> Json:
    message = component_name(rpc.output_type)
    events = binding.path.endswith("/events")
    schema: Json = {"type": "string"}
    if events:
        return {
            "description": f"Server-Sent Events; the `data` of each is one `{message}`.",
            "content": {"text/event-stream": {"schema": schema}},
        }
    return {"description": f"One `{message}` a line.", "content": {"application/json": {"schema": schema}}}


def _errors(contract: Contract, rpc: Rpc, binding: HttpBinding) -> Json:
    statuses = {500, 503, 504}
    has_input = bool(contract.messages[rpc.input_type].field)
    if has_input:
        statuses.add(400)
    if needs_key(rpc.grpc_path):
        statuses.add(401)
    if "task_id" in fields(contract, rpc.input_type) or "{" in binding.path:
        statuses.add(404)
    if binding.body == "*":
        statuses.add(413)
    if rpc.is_submit:
        statuses |= {409, 429}
    if rpc.is_stream:
        statuses.add(429)
    if binding.verb == "DELETE":
        statuses.add(409)
    found: Json = {
        str(status): {"$ref": f"#/components/responses/{_ERRORS[status].name}"} for status in sorted(statuses)
    }
    if rpc.name == "GetHealth":
        found["503"] = {"$ref": "#/components/responses/Unhealthy"}
    return found | {"default": {"$ref": f"#/components/responses/{_ANY_ERROR.name}"}}


def _unhealthy_response() -> Json:
    """A 503 that says which parts are up: an error with the message of health beside it."""
    names = ("Error", component_name(_UNHEALTHY))
    content: Json = {
        "schema": {"allOf": [{"$ref": f"#/components/schemas/{name}"} for name in names]},
        "example": UNHEALTHY,
    }
    return {"description": "The task store is away: nothing is accepted.", "content": {"application/json": content}}


def _error_response(error: _Error) -> Json:
    content: Json = {
        "schema": {"$ref": "#/components/schemas/Error"},
        "example": {"detail": error.detail, "error": error.word},
    }
    return {"description": error.text, "content": {"application/json": content}}
