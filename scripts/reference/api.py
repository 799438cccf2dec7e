"""Every RPC with its REST path, every message with its fields: from the descriptors, as OpenAPI is."""

from __future__ import annotations

from collections.abc import Iterator

from scripts.reference.fields import HEAD_OF_ANSWER, HEAD_OF_REQUEST, answer_rows, comment_of, request_rows
from scripts.reference.markdown import code, generated, table
from services.gateway.openapi import openapi_document
from services.gateway.openapi_schema import METADATA, Json, fields, reachable
from services.gateway.rpcs import Contract, HttpBinding, Rpc, load_contract

_INTRODUCTION = """\
Every method of the suite: its REST path, its gRPC name, its request field by field, its answer. All are served on one
port. `make run` serves the same facts as an interactive page at `/docs` and as OpenAPI 3.1 at `/openapi.json`.

**Keys.** Every call but the pages, `/` and `/health` needs `Authorization: Bearer KEY`, over gRPC the metadata
`authorization`. **Units** stand in the type. **Absent** fields take the default; a dash is a field that does nothing
when it is absent. **Errors** are `{"detail", "error"}`; the statuses of each method lead to their words.
**`Idempotency-Key`** (1 to 255 printable ASCII characters) may come with every submit."""


def page() -> str:
    contract = load_contract()
    document = openapi_document(contract)
    order = [tag["name"] for tag in document["tags"]]
    lines = [_INTRODUCTION, ""]
    for feature in order:
        lines += [f"## {feature.capitalize()}", "", comment_of(contract, f"lastframe.{feature}.v1"), ""]
        for rpc in contract.rpcs:
            if rpc.feature == feature:
                lines += _method(contract, document, rpc)
    lines += ["## Messages", ""]
    requests = {rpc.input_type for rpc in contract.rpcs}
    inputs = set(reachable(contract, requests))
    elsewhere = set(reachable(contract, set(METADATA.values())))  # metadata.md
    for name in sorted(set(contract.messages) - requests - elsewhere, key=lambda name: name.rpartition(".")[2]):
        lines += _message(contract, name, is_input=name in inputs)
    return generated("REST and gRPC", *lines)


def _method(contract: Contract, document: Json, rpc: Rpc) -> Iterator[str]:
    operations = [document["paths"][one.path][one.verb.lower()] for one in rpc.bindings]
    yield from (f"### {rpc.name}", "", comment_of(contract, rpc.full_name), "")
    yield " · ".join(code(f"{one.verb} {one.path}") for one in rpc.bindings) + "  "
    yield from (f"gRPC {code(rpc.grpc_path.lstrip('/'))}", "")
    if fields(contract, rpc.input_type):
        yield from table(HEAD_OF_REQUEST, request_rows(contract, rpc.input_type))
    where = _where_fields_go(rpc.bindings[0]) if fields(contract, rpc.input_type) else ""
    yield from (f"{where}Answer: {_answer(contract, rpc)}.", "")
    statuses = sorted(status for status in operations[0]["responses"] if status.isdigit() and status != "200")
    yield from ("Errors: " + ", ".join(f"[{status}](errors.md#http-{status})" for status in statuses) + ".", "")


def _where_fields_go(binding: HttpBinding) -> str:
    in_path = "{" in binding.path
    if binding.body == "*":
        return "Fields are the JSON body" + (", but for those in the path. " if in_path else ". ")
    if binding.body:
        return f"The body is {code(binding.body)}; other fields are the query. "
    return "" if in_path else "Fields are the query. "


def _answer(contract: Contract, rpc: Rpc) -> str:
    if rpc.output_type not in contract.messages:
        return "the file"
    short = rpc.output_type.rpartition(".")[2]
    link = f"[{short}](#{short.lower()})"
    return f"a stream of {link}" if rpc.server_streaming else link


def _message(contract: Contract, name: str, *, is_input: bool) -> Iterator[str]:
    yield from (f"### {name.rpartition('.')[2]}", "")
    if comment := contract.comments.get(name):
        yield from (comment, "")
    yield from (
        table(HEAD_OF_REQUEST, request_rows(contract, name))
        if is_input
        else table(HEAD_OF_ANSWER, answer_rows(contract, name))
    )
