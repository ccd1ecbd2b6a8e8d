"""A grant: a reason for a user to have a SKU, and the source it comes from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Self

from shared.domain.ids import NO_PLANS, GroupId, Plans, SkuId


class SourceKind(StrEnum):
    """Where a grant comes from."""

    GROUP = "group"
    LIST = "list"
    HR = "hr"
    KEPT = "kept"
    HELD = "held"
    GRACE = "grace"
    JOINED = "joined"
    BRIDGE = "bridge"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """The origin of a grant: its kind, and the group, event or person behind it."""

    kind: SourceKind
    id: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}" if self.id else str(self.kind)

    @property
    def keeps(self) -> bool:
        """Whether a grant from it gives no license, and only keeps one that is there: in grace, held for a person's
        decision, or kept by one."""
        return self.kind in _KEEPING

    @property
    def is_kept_of_group(self) -> bool:
        """Whether a grant from it keeps a license because its group is not managed any more."""
        return self.kind is SourceKind.KEPT and self.id.startswith(_OF_GROUP)

    @property
    def group_id(self) -> GroupId | None:
        """The group behind a claim of kind `group`; None for another kind."""
        return GroupId(self.id) if self.kind is SourceKind.GROUP else None

    @property
    def claimed(self) -> Source:
        """The source as a claim: a membership that HR has just written, and that no read shows yet, is the group's."""
        return Source(SourceKind.GROUP, self.id) if self.kind is SourceKind.JOINED else self

    @classmethod
    def parse(cls, text: str) -> Self:
        kind, _, rest = text.partition(":")
        return cls(SourceKind(kind), rest)


def bridge_of(group_id: GroupId) -> Source:
    """The source of a license that a natively licensed group no longer assigns, for a member who does not have the
    replacement yet."""
    return Source(SourceKind.BRIDGE, group_id)


_OF_GROUP = "group"
_KEEPING = frozenset({SourceKind.GRACE, SourceKind.HELD, SourceKind.KEPT})


def kept_of_group(group_id: GroupId) -> Source:
    """The source of a grant that keeps a license of a group that is not managed any more."""
    return Source(SourceKind.KEPT, f"{_OF_GROUP}{group_id.replace('-', '')}")


EVERY_SKU = SkuId("every")
"""The SKU of a grant of kind `blocked`."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A reason for a user to have a SKU. A plan is off for the user only where every grant disables it.

    `adds` False: what the user has stays, but nothing is given (an assignment whose operation was cancelled). Kind
    `blocked` says the opposite: while it holds, grants of groups and of HR do not count. `since`: when that began.
    """

    sku_id: SkuId
    disabled_plans: Plans
    source: Source
    until: datetime | None = None
    adds: bool = True
    since: datetime | None = None

    def holds_at(self, now: datetime) -> bool:
        return self.until is None or now < self.until

    @property
    def blocks(self) -> bool:
        return self.source.kind is SourceKind.BLOCKED


def do_not_license(reason: str, since: datetime, until: datetime | None = None) -> Grant:
    """The block on a person: groups and HR give no licenses. `reason`: the key of the leaver event."""
    return Grant(EVERY_SKU, NO_PLANS, Source(SourceKind.BLOCKED, reason), until, adds=False, since=since)


def is_blocked(grants: Iterable[Grant], now: datetime) -> bool:
    """Whether a block among a person's grants holds."""
    return any(grant.blocks and grant.holds_at(now) for grant in grants)
