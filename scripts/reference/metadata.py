"""What `metadata` holds, by kind of task: the messages of metadata.proto."""

from __future__ import annotations

from scripts.reference.fields import HEAD_OF_ANSWER, answer_rows
from scripts.reference.markdown import generated, table
from services.gateway.openapi_schema import METADATA, component_name, reachable
from services.gateway.rpcs import load_contract

_INTRODUCTION = """\
A completed task's `metadata`: facts about its inputs and its result. What is unknown or does not apply is absent. The
same as messages, for programs that want types: `lastframe/tasks/v1/metadata.proto`."""


def page() -> str:
    contract = load_contract()
    lines = [_INTRODUCTION, ""]
    for kind, message in METADATA.items():
        title = kind.value.replace("_", " ").capitalize()
        lines += [f"## {title}", "", *table(HEAD_OF_ANSWER, answer_rows(contract, message))]
    lines += ["## Parts of these", ""]
    for part in sorted(set(reachable(contract, set(METADATA.values()))) - set(METADATA.values())):
        lines += [f"### {component_name(part)}", "", contract.comments[part], ""]
        lines += table(HEAD_OF_ANSWER, answer_rows(contract, part))
    return generated("Metadata", *lines)
