"""Messages of the notifications queue: encoded, decoded, and split to fit."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from shared.domain.change_messages import (
    MAX_MEMBERS,
    GroupsChanged,
    LifecycleHappened,
    ReadDelta,
    Sweep,
    SyncGroup,
    decode_change,
    split,
)
from shared.domain.errors import PoisonMessage
from shared.domain.ids import GroupId, UserId
from shared.domain.membership_changes import GroupChange, LifecycleEvent, merged

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def group(number: int) -> GroupId:
    return GroupId(str(UUID(int=1000 + number)))


def member(number: int) -> UserId:
    return UserId(str(UUID(int=number)))


def test_a_change_too_big_for_one_message_is_cut_and_nothing_is_lost() -> None:
    big = GroupChange(group(1), {member(number): True for number in range(MAX_MEMBERS * 2 + 5)})
    small = GroupChange(group(2), {member(1): False})
    messages = list(split([big, small], NOW, "delta"))
    assert all(len(each.encode()) < 256 * 1024 for each in messages)
    read = merged(change for each in messages for change in _decoded(each).changes)
    assert read == [big, small]


def _decoded(message: GroupsChanged) -> GroupsChanged:
    decoded = decode_change(message.encode())
    assert isinstance(decoded, GroupsChanged)
    return decoded


@pytest.mark.parametrize(
    "message",
    [
        GroupsChanged((GroupChange(group(1), {member(1): None, member(2): True}),), NOW, "delta", "00-trace"),
        LifecycleHappened("sub", LifecycleEvent.MISSED),
        ReadDelta(3),
        SyncGroup(group(1), "nested", NOW),
        Sweep("f", NOW),
    ],
)
def test_every_message_comes_back_as_it_was(message: GroupsChanged) -> None:
    assert decode_change(message.encode()) == message


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "other"},
        {},
        {"type": "sweep", "partition": "ff", "at": NOW.isoformat()},
        {"type": "sweep", "partition": "f", "at": "2026-03-04T05:06:07"},
        {"type": "groupsChanged", "changes": [{"id": "x", "members": {}, "deleted": False}], "at": NOW.isoformat()},
        {"type": "readDelta", "number": None},
    ],
)
def test_a_message_of_another_kind_is_poison(fields: dict[str, Any]) -> None:
    with pytest.raises(PoisonMessage, match="notifications message"):
        decode_change(json.dumps(fields).encode())
