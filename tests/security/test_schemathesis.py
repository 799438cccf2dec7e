"""Schemathesis against `/openapi.json` through Envoy: requests that the document allows and requests that it forbids.

Every answer must have a status, a content type and a body that the document announces; none may be a 5xx.
"""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import GenerationMode

from tests.security.conftest import Keys
from tests.support.suite import RunningSuite


@pytest.fixture(scope="session")
def document(suite: RunningSuite) -> schemathesis.openapi.OpenApiSchema:
    loaded = schemathesis.openapi.from_url(f"{suite.url}/openapi.json")
    loaded.config.generation.update(modes=[GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
    return loaded


schema = schemathesis.pytest.from_fixture("document")


@schema.parametrize()
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_one_that_the_document_announces(case, suite: RunningSuite, keys: Keys) -> None:
    case.call_and_validate(headers={"Authorization": f"Bearer {keys.bob}"}, timeout=20)
