"""The API against its own description: whatever is sent, no request fails, and every refusal has the one shape."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from functions.web.application import build
from shared.bootstrap import App
from tests.unit.api_calls import ON, WRITER, small_tenant

DOORS = App(small_tenant().world, ON)
APP = build(lambda: DOORS)
SCHEMA = schemathesis.openapi.from_asgi("/api/openapi.json", APP, headers=WRITER)
FOUND: list[Any] = list(SCHEMA.get_all_operations())
OPERATIONS = {each.ok().label: each.ok() for each in FOUND}


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("label", sorted(OPERATIONS))
def test_whatever_is_sent_is_answered(label: str) -> None:
    statuses: Counter[int] = Counter()

    @settings(
        max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate], database=None
    )
    @given(case=OPERATIONS[label].as_strategy())
    def send(case: Any) -> None:
        answer = case.call(headers=WRITER)
        statuses[answer.status_code] += 1
        assert answer.status_code < 500, answer.text
        case.validate_response(answer, checks=[response_schema_conformance, status_code_conformance])
        if answer.status_code >= 400:
            assert set(answer.json()) == {"error"}

    send()
    assert statuses
