"""Stores of counts that pages read: members of each group by state, and open items."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.domain.ids import GroupId
from shared.domain.member_counts import MemberCounts
from shared.domain.open_items import OpenItems


@dataclass(frozen=True, slots=True)
class ChangedGroup:
    """A group whose counts changed at about that time, or will within seconds."""

    group_id: GroupId
    at: datetime
    version: str = ""


class MemberCountStore(Protocol):
    """How many members are in which state. A request costs the same at any size of group."""

    async def counts(self, group_id: GroupId) -> MemberCounts | None:
        """The counts of a group now; None if its members were never counted as a whole."""
        ...

    async def count(self, group_id: GroupId) -> MemberCounts:
        """The counts of a group now. Members who were never counted are counted from their rows, once."""
        ...

    async def recount(self, group_id: GroupId, partition: str) -> bool:
        """Count the members with ids that begin with a hex digit from their rows. Returns whether the stored counts
        were wrong; they are right then."""
        ...

    async def changed(self) -> tuple[ChangedGroup, ...]:
        """Groups whose counts changed since they were settled."""
        ...

    async def settled(self, group: ChangedGroup) -> None:
        """The group's counts are published. A group that changed again meanwhile stays."""
        ...


class OpenItemStore(Protocol):
    """What needs a person now, as it was counted last."""

    async def get(self) -> OpenItems | None:
        """None before the first count."""
        ...

    async def save(self, items: OpenItems) -> None: ...
