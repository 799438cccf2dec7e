"""Schemathesis against `/openapi.json` through Envoy: requests that the document allows and requests that it forbids.

Every answer must have a status, a content type, headers and a body that the document announces; none may be a 5xx, and
without a key every guarded operation answers 401. Two of Schemathesis' checks are left out: they want JSON Schema
to be the whole law: what a request may hold beyond it (unknown fields) is ignored by design, and some rules (one of
the items must be a URL; a host must be reachable in principle) only the service can state.
"""

from __future__ import annotations

import os

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from services.gateway.openapi import openapi_document
from services.gateway.rpcs import load_contract
from tests.security.conftest import Keys
from tests.support.suite import RunningSuite

EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "12"))  # of each operation and mode
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    ignored_auth,
]
OPERATIONS = [(method, path) for path, item in openapi_document(load_contract())["paths"].items() for method in item]


@pytest.fixture(scope="module")
def document(suite: RunningSuite) -> schemathesis.openapi.OpenApiSchema:
    return schemathesis.openapi.from_url(f"{suite.url}/openapi.json")


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda mode: mode.value)
@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=lambda part: part)
def test_every_answer_is_one_that_the_document_announces(
    method: str, path: str, mode: GenerationMode, document, suite: RunningSuite, keys: Keys
) -> None:
    operation = document[path][method]
    if mode is GenerationMode.NEGATIVE and not (operation.body or operation.query or operation.path_parameters):
        pytest.skip("nothing in this request can be wrong")

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case) -> None:
        case.call_and_validate(headers={"Authorization": f"Bearer {keys.bob}"}, checks=CHECKS, timeout=20)

    check()
