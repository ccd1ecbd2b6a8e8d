"""The status of a managed group, in the admin center's words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from shared.domain.ids import GroupId, OperationId
from shared.domain.member_status import MemberState


class GroupState(StrEnum):
    """The admin center's words for a group."""

    ALL_ASSIGNED = "All licenses assigned"
    IN_PROGRESS = "In progress"
    ERRORS = "Errors and issues"


@dataclass(frozen=True, slots=True)
class GroupStatus:
    """The snapshot of a group that pages read; counts are of member rows by MemberState."""

    group_id: GroupId
    state: GroupState
    members: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    operation_id: OperationId | None = None
    updated_at: datetime | None = None
    dynamic: bool = False
    """A rule decides the members, or did when the group was read last."""


def state_of_group(counts: Mapping[str, int], *, failed: bool) -> GroupState:
    """The word for a group whose operation has ended. `counts`: members by MemberState; `failed`: the operation did."""
    wrong = failed or any(counts.get(state, 0) for state in MemberState if state.needs_a_person)
    return GroupState.ERRORS if wrong else GroupState.ALL_ASSIGNED
