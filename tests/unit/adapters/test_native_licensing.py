"""Reading the enabled plans of users: what cannot be read is left out, and never empty by mistake."""

from __future__ import annotations

from typing import Any

import pytest

from shared.adapters.directory import GraphDirectory
from shared.adapters.graph import GraphClient
from shared.adapters.native_licensing import GraphNativeLicensing
from shared.domain.ids import UserId
from tests.unit.adapters.directory_reads import ids
from tests.unit.adapters.graph_stub import PLAN, Answer, StubGraph, guid, user

SHOWN: dict[str, Any] = {
    "assignedPlans": [
        {"servicePlanId": PLAN.upper(), "capabilityStatus": "Enabled"},
        {"servicePlanId": guid(0x77), "capabilityStatus": "Warning"},
    ]
}


@pytest.mark.parametrize(
    "unreadable",
    [
        Answer(user(2)),
        Answer(user(2, assignedPlans=None)),
        Answer(user(2, assignedPlans=[{"capabilityStatus": "Enabled"}])),
        Answer(None, 404),
        Answer(None, 0),
    ],
)
async def test_a_user_who_cannot_be_read_is_left_out_and_the_others_are_not(
    stub: StubGraph, graph: GraphClient, directory: GraphDirectory, unreadable: Answer
) -> None:
    stub.people(user(1, **SHOWN), user(3, assignedPlans=[]))
    stub.on("GET", rf"^/users/{guid(2)}\?", unreadable)
    found = await GraphNativeLicensing(graph, directory).enabled_plans(ids(1, 2, 3))
    assert found == {UserId(guid(1)): {PLAN}, UserId(guid(3)): frozenset()}
