"""Messages of the `jobs` queue: what the handler takes is what the published schema allows."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import PoisonMessage
from shared.domain.initiator import queue_sender
from shared.handlers.operations import jobs_queue
from shared.handlers.operations.jobs_queue import decode_job
from tests.support.job_messages import E3, E5, GROUP, PLAN, USERS, Job, assign, without

SCHEMA_FILE = Path(jobs_queue.__file__).parents[2] / "schemas" / "job.v1.json"
SCHEMA = json.loads(SCHEMA_FILE.read_text())
VALIDATOR: Any = jsonschema.Draft202012Validator(SCHEMA)


def taken(job: object) -> bool:
    """Whether the handler takes the message, having asserted that the schema says the same."""
    try:
        decode_job(json.dumps(job).encode())
    except PoisonMessage:
        handler_takes = False
    else:
        handler_takes = True
    schema_allows: bool = VALIDATOR.is_valid(job)
    assert schema_allows is handler_takes, job
    return handler_takes


def test_the_schema_is_a_schema_and_its_examples_are_taken() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert len(SCHEMA["examples"]) == 3
    assert all(taken(example) for example in SCHEMA["examples"])


def test_the_schema_lists_the_fields_the_handler_knows() -> None:
    assert set(SCHEMA["properties"]) == jobs_queue.FIELDS


GOOD: list[Job] = [
    assign(),
    assign(operation="preview"),
    assign(removeLicenses=[E5]),
    assign(addLicenses=[{"skuId": E3.upper()}], groupId=GROUP.upper()),
    assign(addLicenses=[], removeLicenses=[E5]),
    without(assign(removeLicenses=[E5]), "addLicenses"),
    {**without(assign(), "groupId"), "userIds": USERS},
    {**without(assign(), "groupId"), "userIds": USERS[:1] * 5000},
    {"version": "1.0", "id": "r", "operation": "reprocess", "groupId": GROUP},
    {"version": "1.0", "id": "r", "operation": "reprocess", "userIds": USERS, "addLicenses": []},
    assign(requestedBy="hr", correlationId=""),
    assign(addLicenses=[{"skuId": f"{number:08x}{E3[8:]}"} for number in range(50)]),
]
BAD: list[object] = [
    [],
    "text",
    {},
    assign(version="2.0"),
    assign(version=1.0),
    without(assign(), "id"),
    assign(id=""),
    assign(id="a/b"),
    assign(id="x" * 129),
    assign(id=7),
    assign(operation="remove"),
    assign(operation=None),
    without(assign(), "groupId"),
    assign(userIds=USERS),
    assign(groupId="sales"),
    assign(groupId=None),
    {**without(assign(), "groupId"), "userIds": []},
    {**without(assign(), "groupId"), "userIds": [*USERS, "x"]},
    {**without(assign(), "groupId"), "userIds": USERS[:1] * 5001},
    {**without(assign(), "groupId"), "userIds": {"a": 1}},
    assign(addLicenses=[]),
    without(assign(), "addLicenses"),
    assign(addLicences=[{"skuId": E3}]),
    assign(addLicenses=[{"skuId": E3}, {"disabledPlans": []}]),
    assign(addLicenses=[{"skuId": E3, "plans": []}]),
    assign(addLicenses=[{"skuId": E3, "disabledPlans": ["x"]}]),
    assign(addLicenses=[{"skuId": E3, "disabledPlans": PLAN}]),
    assign(addLicenses=[{"skuId": E3, "disabledPlans": [PLAN] * 201}]),
    assign(addLicenses=[{"skuId": f"{number:08x}{E3[8:]}"} for number in range(51)]),
    assign(addLicenses=[{"skuId": E3}, {"skuId": E3}]),
    assign(addLicenses=[E3]),
    assign(removeLicenses=[E5] * 51),
    assign(removeLicenses=[{"skuId": E5}]),
    assign(operation="reprocess"),
    assign(requestedBy=""),
    assign(requestedBy="x" * 257),
    assign(correlationId="x" * 129),
    assign(correlationId=None),
]


@pytest.mark.parametrize("job", GOOD)
def test_good_messages_are_taken_by_both(job: Job) -> None:
    assert taken(job)


@pytest.mark.parametrize("job", BAD)
def test_bad_messages_are_rejected_by_both(job: object) -> None:
    assert not taken(job)


JUNK = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3), st.just([]), st.just({}), st.just(GROUP))


@given(st.sampled_from(GOOD), st.sampled_from(sorted(jobs_queue.FIELDS)), JUNK, st.booleans())
def test_handler_and_schema_agree_on_messages_with_one_field_spoilt(
    job: Job, name: str, junk: object, drop: bool
) -> None:
    spoilt = copy.deepcopy(job)
    if drop:
        spoilt.pop(name, None)
    else:
        spoilt[name] = junk
    taken(spoilt)


@pytest.mark.parametrize("body", [b"", b"\xff", b"{", b"[" * 100_000])
def test_what_is_no_json_is_poison(body: bytes) -> None:
    with pytest.raises(PoisonMessage, match="jobs message"):
        decode_job(body)


@pytest.mark.parametrize(
    ("job", "message"),
    [
        (assign(groupId="sales"), "groupId must be a GUID, not 'sales'"),
        (assign(addLicenses=[{"skuId": E3}] * 51), "addLicenses holds 51 items, at most 50"),
        (assign(addLicences=[]), "addLicences is not a field of version 1.0"),
        (assign(userIds=USERS), "either groupId or userIds"),
    ],
)
def test_a_rejection_names_field_and_limit(job: Job, message: str) -> None:
    with pytest.raises(PoisonMessage, match=message):
        decode_job(json.dumps(job).encode())


def test_a_message_becomes_the_request_it_says() -> None:
    job = assign(operation="preview", removeLicenses=[E5.upper()], requestedBy="hr", correlationId="c-1", away=3)
    request = decode_job(json.dumps(job).encode())
    assert request.target.group_id == GROUP
    assert [(license.sku_id, set(license.disabled_plans)) for license in request.change.add] == [(E3, {PLAN})]
    assert request.change.remove == (E5,)
    assert (request.preview, request.reprocess) == (True, False)
    assert request.initiator == queue_sender("jobs", "hr")
    assert (request.idempotency_key, request.correlation_id, request.cause) == ("j-1", "c-1", "job")


def test_a_sku_named_twice_with_different_plans_is_rejected_which_no_schema_can_say() -> None:
    job = assign(addLicenses=[{"skuId": E3, "disabledPlans": []}, {"skuId": E3.upper(), "disabledPlans": [PLAN]}])
    with pytest.raises(PoisonMessage, match=f"names SKU {E3} twice"):
        decode_job(json.dumps(job).encode())


def test_users_named_twice_count_once() -> None:
    job = {**without(assign(), "groupId"), "userIds": [USERS[1], USERS[0], USERS[1].upper()]}
    assert decode_job(json.dumps(job).encode()).target.user_ids == (USERS[1], USERS[0])
