"""What is sent comes back the same, and what is not a message is poison and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.errors import PoisonMessage
from shared.domain.ids import GroupId, OperationId, UserId
from shared.domain.messages import (
    FIRST_YEAR,
    LAST_YEAR,
    MAX_USERS,
    MEMBERS,
    MEMBERS_BULK,
    MOST_WRITES,
    OperationStep,
    ProcessUsers,
    decode_operation_step,
    decode_process_users,
    load_object,
)

texts = st.text(max_size=40)
numbers = st.integers(0, 10**9)
ids = st.uuids().map(str)
user_ids = ids.map(UserId)

operation_steps = st.builds(OperationStep, ids.map(OperationId), step=numbers, run=numbers, traceparent=texts)
process_users = st.builds(
    ProcessUsers,
    user_ids=st.lists(user_ids, min_size=1, max_size=MAX_USERS).map(tuple),
    cause=st.text(min_size=1, max_size=40),
    bulk=st.booleans(),
    operation_id=st.none() | ids.map(OperationId),
    page=numbers,
    chunk=numbers,
    run=numbers,
    send=numbers,
    attempts=st.dictionaries(user_ids, numbers, max_size=3),
    first_sent_at=st.none()
    | st.datetimes(datetime(FIRST_YEAR, 1, 1), datetime(LAST_YEAR, 12, 31), timezones=st.just(UTC)),
    intent_versions=st.dictionaries(ids.map(GroupId), numbers, max_size=3),
    traceparent=texts,
    writes=st.integers(0, MOST_WRITES),
)
bounded = settings(max_examples=80, deadline=None)

ANN, BEN = (UserId(f"0000000{dead_letter}-0000-4000-8000-000000000000") for dead_letter in "ab")
CHUNK = ProcessUsers((ANN, BEN), "op", bulk=True, operation_id=OperationId("op"))
STEP = OperationStep(OperationId("op"), 3, 1)
DECODERS: list[Callable[[bytes], object]] = [decode_operation_step, decode_process_users]


@bounded
@given(operation_steps)
def test_a_step_comes_back_as_it_was_sent(step: OperationStep) -> None:
    assert decode_operation_step(step.encode()) == step


@bounded
@given(process_users)
def test_users_to_check_come_back_as_they_were_sent(message: ProcessUsers) -> None:
    assert decode_process_users(message.encode()) == message


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


@bounded
@given(st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode()))
def test_garbage_is_poison_and_nothing_else(body: bytes) -> None:
    for decode in DECODERS:
        with pytest.raises(PoisonMessage):
            decode(body)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([CHUNK.encode(), STEP.encode()]), st.data())
def test_a_message_with_one_wrong_field_is_read_or_poison_and_nothing_else(body: bytes, data: st.DataObject) -> None:
    fields: dict[str, Any] = json.loads(body)
    name = data.draw(st.sampled_from(sorted(fields)))
    fields[name] = data.draw(json_values)
    wrong = json.dumps(fields).encode()
    for decode in DECODERS:
        try:
            assert decode(wrong)
        except PoisonMessage as fault:
            assert str(fault)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("send", 1e400),
        ("attempts", {"a": 1e400}),
        ("firstSentAt", 5),
        ("firstSentAt", "yesterday"),
        ("attempts", [1]),
        ("userIds", []),
        ("userIds", ["a"] * (MAX_USERS + 1)),
        ("userIds", 7),
        ("userIds", "abc"),
        ("userIds", [None]),
        ("userIds", [""]),
        ("cause", ""),
        ("cause", 3),
        ("firstSentAt", "2026-03-02T09:00:00"),
        ("writes", -1),
        ("writes", MOST_WRITES + 1),
        ("writes", "many"),
    ],
)
def test_a_wrong_field_of_a_members_message_is_poison(field: str, value: object) -> None:
    fields = {**json.loads(CHUNK.encode()), field: value}
    with pytest.raises(PoisonMessage, match="members message"):
        decode_process_users(json.dumps(fields).encode())


@pytest.mark.parametrize("field", ["userIds", "cause", "bulk"])
def test_a_missing_field_is_named(field: str) -> None:
    fields = json.loads(CHUNK.encode())
    del fields[field]
    with pytest.raises(PoisonMessage, match=f"{field} is missing"):
        decode_process_users(json.dumps(fields).encode())


@pytest.mark.parametrize(("field", "value"), [("step", None), ("run", 1e400), ("operationId", ""), ("step", "x")])
def test_a_wrong_field_of_a_step_is_poison(field: str, value: object) -> None:
    fields = {**json.loads(STEP.encode()), field: value}
    with pytest.raises(PoisonMessage, match="operations message"):
        decode_operation_step(json.dumps(fields).encode())


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"\xff\xfe", b'{"a":', b"[" * 100_000, b"9" * 5000])
def test_a_body_that_is_no_json_object_is_poison_and_says_of_what(body: bytes) -> None:
    with pytest.raises(PoisonMessage, match="the thing"):
        load_object(body, "the thing")


def test_a_message_of_the_release_before_without_the_newer_fields_is_read() -> None:
    old = {"userIds": [ANN.upper()], "cause": "group", "bulk": False}
    message = decode_process_users(json.dumps(old).encode())
    assert message == ProcessUsers((ANN,), "group", bulk=False)


def test_bulk_and_interactive_work_have_queues_of_their_own() -> None:
    assert (CHUNK.queue, replace(CHUNK, bulk=False).queue) == (MEMBERS_BULK, MEMBERS)


class TestMessageIds:
    """Duplicate detection may only save work: what is different work has a different id."""

    def test_the_same_chunk_sent_twice_has_one_id(self) -> None:
        assert CHUNK.message_id == decode_process_users(CHUNK.encode()).message_id
        assert replace(CHUNK, traceparent="x", attempts={ANN: 1}).message_id == CHUNK.message_id

    def test_a_resend_a_resume_another_chunk_or_other_users_have_ids_of_their_own(self) -> None:
        others = [
            CHUNK,
            replace(CHUNK, send=1),
            replace(CHUNK, run=1),
            replace(CHUNK, chunk=1),
            replace(CHUNK, page=1),
            replace(CHUNK, user_ids=CHUNK.user_ids[:1]),
            replace(CHUNK, operation_id=OperationId("other")),
        ]
        assert len({each.message_id for each in others}) == len(others)

    def test_a_step_before_a_pause_and_after_its_resume_have_different_ids(self) -> None:
        assert len({STEP.message_id, replace(STEP, run=2).message_id, replace(STEP, step=4).message_id}) == 3

    def test_events_have_none_so_a_third_event_is_never_taken_for_the_first(self) -> None:
        assert replace(CHUNK, operation_id=None).message_id is None


def test_times_keep_their_zone() -> None:
    at = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    assert decode_process_users(replace(CHUNK, first_sent_at=at).encode()).first_sent_at == at
