"""The API against its own description: whatever is sent, in whatever order, no request fails, every answer has the
shape that is described, and every rejection the one shape. `FUZZ_EXAMPLES` says how many requests each operation
gets."""

from __future__ import annotations

import os
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from functions.web.application import build
from shared.bootstrap import App
from tests.support.api_calls import ON, WRITER, small_tenant

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "8"))
STEPS = 8
"""Requests of one walk along links."""

PACE = timedelta(seconds=20)
"""Between two requests, so that the limits of one caller do not answer in place of the routes."""

FAKES = small_tenant()
DOORS = App(FAKES.world, ON)
APP = build(lambda: DOORS)
SCHEMA = schemathesis.openapi.from_asgi("/api/openapi.json", APP, headers=WRITER)
FOUND: list[Any] = list(SCHEMA.get_all_operations())
OPERATIONS = {each.ok().label: each.ok() for each in FOUND}
CHECKS = [response_schema_conformance, status_code_conformance]
QUIET: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "phases": [Phase.generate],
    "database": None,
}


def check(case: Any, answer: Any) -> None:
    """Hold an answer to the description."""
    assert answer.status_code < 500, answer.text
    case.validate_response(answer, checks=CHECKS)
    if answer.status_code >= 400:
        assert set(answer.json()) == {"error"}


@pytest.mark.filterwarnings("default")
@pytest.mark.timeout(0)
@pytest.mark.parametrize("label", sorted(OPERATIONS))
def test_whatever_is_sent_is_answered(label: str, record_property: Any) -> None:
    statuses: Counter[int] = Counter()

    @settings(max_examples=EXAMPLES, **QUIET)
    @given(case=OPERATIONS[label].as_strategy())
    def send(case: Any) -> None:
        FAKES.clock.move(PACE)
        answer = case.call(headers=WRITER)
        statuses[answer.status_code] += 1
        check(case, answer)

    send()
    assert set(statuses) != {429}
    record_property("statuses", dict(statuses))


WALKED: Counter[int] = Counter()


class Walk(SCHEMA.as_state_machine()):  # type: ignore[misc]
    """Requests that take their ids from the answers of earlier ones, along the links of the description."""

    def get_call_kwargs(self, case: Any) -> dict[str, Any]:
        FAKES.clock.move(PACE)
        return {"headers": WRITER}

    def validate_response(self, response: Any, case: Any, *more: Any, **options: Any) -> None:
        WALKED[response.status_code] += 1
        check(case, response)


@pytest.mark.filterwarnings("default")
@pytest.mark.timeout(0)
def test_walks_along_links_reach_what_was_made(record_property: Any) -> None:
    Walk.run(settings=settings(max_examples=max(EXAMPLES, 10), stateful_step_count=STEPS, **QUIET))
    record_property("statuses", dict(WALKED))
    assert WALKED[200] + WALKED[202] > 0
