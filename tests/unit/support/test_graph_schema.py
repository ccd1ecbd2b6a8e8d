"""The schema check itself: it must fail on each kind of mistake it is there for."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.graph_schema import GraphSchemaError, validate, validate_batch, validate_error

USER: dict[str, Any] = {"id": "a", "displayName": "Ann", "businessPhones": []}
STATE: dict[str, Any] = {
    "skuId": "05e9a617-0261-4cee-bb44-138d3ef5d965",
    "disabledPlans": [],
    "assignedByGroup": None,
    "state": "Active",
    "error": "None",
    "lastUpdatedDateTime": "2026-02-03T09:15:02Z",
}


def test_a_good_entity_and_a_good_collection_pass() -> None:
    validate(USER, "user")
    validate({"@odata.context": "x", "value": [USER, {**USER, "id": "b"}]}, "user")
    validate({"licenseAssignmentStates": [STATE]}, "user", ["licenseAssignmentStates"])
    validate({"value": [{"@odata.type": "#microsoft.graph.group", "id": "g"}]}, "directoryObject")


@pytest.mark.parametrize(
    ("body", "selected"),
    [
        ({**USER, "shoeSize": 43}, None),
        ({**USER, "accountEnabled": "yes"}, None),
        ({**USER, "businessPhones": None}, None),
        ({**USER, "createdDateTime": "yesterday"}, None),
        ({**USER, "licenseAssignmentStates": [STATE]}, None),
        ({"displayName": "no id"}, None),
        ({"id": "a"}, ["id", "displayName"]),
        ({"id": "a", "mail": None}, ["id"]),
        ({"licenseAssignmentStates": [{**STATE, "skuId": "E3"}]}, ["licenseAssignmentStates"]),
        ({"licenseAssignmentStates": [{**STATE, "why": "x"}]}, ["licenseAssignmentStates"]),
        ({"licenseAssignmentStates": [{"skuId": STATE["skuId"]}]}, ["licenseAssignmentStates"]),
        ({"value": [USER, {**USER, "shoeSize": 43}]}, None),
        ({"value": [{**USER, "@odata.type": "#microsoft.graph.group"}]}, None),
        ({"value": [USER], "next": "x"}, None),
        ({"value": [USER], "@odata.nextLink": "/groups"}, None),
        ({"value": [USER], "@odata.count": "2"}, None),
        ([USER], None),
    ],
)
def test_each_mistake_is_found(body: Any, selected: list[str] | None) -> None:
    with pytest.raises(GraphSchemaError):
        validate(body, "user", selected)


def test_errors_and_batches_are_checked_too() -> None:
    inner = {"date": "2026-02-03T09:15:02", "request-id": "r", "client-request-id": "r"}
    good = {"error": {"code": "Request_BadRequest", "message": "no", "innerError": inner}}
    validate_error(good)
    validate_batch({"responses": [{"id": "1", "status": 400, "headers": {}, "body": good}]}, ["1", "2"])
    for bad in (
        {},
        {"error": {"code": 1, "message": "m", "innerError": inner}},
        {"error": {"code": "c", "message": "m"}},
    ):
        with pytest.raises(GraphSchemaError):
            validate_error(bad)
    for responses in ([{"id": "3", "status": 200}], [{"id": "1", "status": 200}] * 2, [{"id": "1", "status": "200"}]):
        with pytest.raises(GraphSchemaError):
            validate_batch({"responses": responses}, ["1", "2"])
