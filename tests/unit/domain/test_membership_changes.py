"""What Graph tells of changed groups: both shapes of a removal, forged and broken parts, nested and excluded groups."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import PoisonMessage
from shared.domain.ids import GroupId, UserId
from shared.domain.membership_changes import (
    MAX_NOTIFICATIONS,
    GroupChange,
    LifecycleEvent,
    Nesting,
    decode_notifications,
    merged,
    watched,
)

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
TENANT = str(UUID(int=1))


def group(number: int) -> GroupId:
    return GroupId(str(UUID(int=1000 + number)))


def member(number: int) -> UserId:
    return UserId(str(UUID(int=number)))


def observed(entries: list[dict[str, Any]], change_type: str = "updated", **more: Any) -> dict[str, Any]:
    return {
        "changeType": change_type,
        "clientState": "secret",
        "subscriptionId": "sub",
        "tenantId": TENANT.upper(),
        "resource": f"Groups/{group(1)}",
        "resourceData": {"id": group(1).upper(), "members@delta": entries},
        **more,
    }


def test_both_shapes_of_a_removal_are_read_and_an_id_said_twice_is_undecided() -> None:
    entries: list[dict[str, Any]] = [
        {"id": member(1).upper()},
        {"id": member(2), "@removed": "deleted"},
        {"id": member(3), "@removed": {"reason": "deleted"}},
        {"id": member(4)},
        {"id": member(4), "@removed": "deleted"},
    ]
    ((found,), broken) = decode_notifications({"value": [observed(entries)]})
    assert broken == 0
    assert (found.tenant_id, found.client_state) == (TENANT, "secret")
    expected = {member(1): True, member(2): False, member(3): False, member(4): None}
    assert found.change == GroupChange(group(1), expected)


def test_a_broken_notification_does_not_keep_back_the_others() -> None:
    good, gone = observed([{"id": member(1)}]), observed([], "deleted")
    bad = [observed([{"id": "no guid"}]), {"subscriptionId": "sub"}, 7, observed([], clientState=None), observed([{}])]
    found, broken = decode_notifications({"value": [good, *bad, gone]})
    assert broken == len(bad)
    assert [each.change and each.change.deleted for each in found] == [False, True]


def test_lifecycle_events_are_read_and_unknown_ones_are_broken() -> None:
    values = [
        {"subscriptionId": "sub", "clientState": "s", "tenantId": TENANT, "lifecycleEvent": event}
        for event in ("reauthorizationRequired", "somethingNew")
    ]
    found, broken = decode_notifications({"value": values})
    assert ([each.lifecycle for each in found], broken) == ([LifecycleEvent.REAUTHORIZATION_REQUIRED], 1)


@pytest.mark.parametrize("body", [None, [], {}, {"value": {}}, {"value": [{}] * (MAX_NOTIFICATIONS + 1)}])
def test_a_body_that_is_no_collection_is_rejected(body: Any) -> None:
    with pytest.raises(PoisonMessage, match="notification"):
        decode_notifications(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just(str(UUID(int=5))),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "value",
                    "id",
                    "resourceData",
                    "members@delta",
                    "clientState",
                    "subscriptionId",
                    "changeType",
                    "tenantId",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=15,
)


@given(JSON)
def test_whatever_is_posted_is_read_or_rejected_and_nothing_else(body: Any) -> None:
    try:
        found, broken = decode_notifications({"value": [body]})
    except PoisonMessage:
        return
    assert len(found) + broken == 1


def test_changes_of_one_group_are_merged() -> None:
    parts = [
        GroupChange(group(2), {member(1): True, member(2): True}),
        GroupChange(group(1), {member(9): False}),
        GroupChange(group(2), {member(2): False}, deleted=True),
    ]
    assert merged(parts) == [
        GroupChange(group(1), {member(9): False}),
        GroupChange(group(2), {member(1): True, member(2): None}, deleted=True),
    ]


def test_a_change_three_levels_down_or_in_an_excluded_group_concerns_the_managed_group() -> None:
    managed = {group(1): frozenset({group(5)}), group(9): frozenset[GroupId]()}
    nestings = [
        Nesting(group(1), frozenset({group(2), group(3)}), NOW),
        Nesting(group(5), frozenset({group(6)}), NOW),
        Nesting(group(9), frozenset({group(3)}), NOW),
    ]
    found = watched(managed, nestings)
    assert found.complete
    assert {number: found.roots(group(number)) for number in (1, 3, 6, 7)} == {
        1: {group(1)},
        3: {group(1), group(9)},
        6: {group(1)},
        7: frozenset(),
    }
    assert not found.concerns(group(7))


def test_while_something_has_not_been_read_nothing_is_left_out() -> None:
    found = watched({group(1): frozenset({group(5)})}, [Nesting(group(1), frozenset(), NOW)])
    assert not found.complete
    assert found.concerns(group(77))
