"""A slice of groups whose changes are read together by a delta query, and what must be read again after a rejection.

Groups are asked about in slices of at most 50 (learn.microsoft.com/graph/api/group-delta). A link comes from an
enumeration of all members. A link made by `$deltatoken=latest` was seen never to report changes of members (Compass
tracker 508: 41 removals missed). Graph may reject a link for good with any 4xx, such as 404
`UnknownError` (microsoftgraph/microsoft-graph-docs #1000).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.backoff import Backoff
from shared.domain.ids import GroupId

REJECTED_AGAIN = Backoff(timedelta(minutes=10), timedelta(hours=6))
"""The wait before a new link after the second rejection in a row, and the longest one. Each new link costs a complete
read of every group, and the nightly sync finds the changes anyway."""

SHOWN_AFTER = 3
"""Rejections in a row after which the slice is shown as an error: one is normal after an outage of some days."""


@dataclass(frozen=True, slots=True)
class DeltaSlice:
    """One slice. All links are paths under Graph's base address, empty where there is none.

    `link` reports what changed in `group_ids` since `read_at`. `enumeration` is the next page of an enumeration of
    `enumerated` that is under way; without one, these are groups that still need a link. `unread` are managed groups
    that a sync that begins after `unread_since` must read, because nothing reports what changed in them until then.
    """

    number: int
    group_ids: tuple[GroupId, ...] = ()
    link: str = ""
    read_at: datetime | None = None
    enumeration: str = ""
    enumerated: tuple[GroupId, ...] = ()
    unread: frozenset[GroupId] = frozenset()
    unread_since: datetime | None = None
    rejections: int = 0
    """Links that Graph rejected in a row, without a delta that could be read."""
    retry_at: datetime | None = None
    rejected_because: str = ""

    @property
    def is_shown_as_error(self) -> bool:
        return self.rejections >= SHOWN_AFTER

    def may_enumerate(self, now: datetime) -> bool:
        return self.retry_at is None or now >= self.retry_at

    def reports(self, groups: Iterable[GroupId]) -> bool:
        """Whether the link reports changes of all of these groups."""
        return set(groups) <= set(self.group_ids)

    def reported(self, link: str, wanted: Iterable[GroupId], now: datetime) -> DeltaSlice:
        """After a delta was read to its end. A link for all groups that could be followed ends a series of
        rejections."""
        read = replace(self, link=link, read_at=now)
        return replace(read, rejections=0, retry_at=None, rejected_because="") if self.reports(wanted) else read

    def enumerating(self, groups: tuple[GroupId, ...], next_link: str) -> DeltaSlice:
        """With a page of an enumeration still to come."""
        return replace(self, enumeration=next_link, enumerated=groups)

    def linked(self, groups: tuple[GroupId, ...], link: str, now: datetime) -> DeltaSlice:
        """After an enumeration ended with a link. That it works shows only when it is followed."""
        return replace(self, group_ids=groups, link=link, enumeration="", enumerated=(), read_at=now)

    def to_read(self, groups: Iterable[GroupId], now: datetime) -> DeltaSlice:
        """With managed groups that a sync must read. There is one set of them, however often a link is rejected."""
        unread = self.unread.union(groups)
        return replace(self, unread=unread, unread_since=now if unread else None)

    def read_by_sync(self, groups: Iterable[GroupId]) -> DeltaSlice:
        """Without groups that a sync reads."""
        unread = self.unread.difference(groups)
        return replace(self, unread=unread, unread_since=self.unread_since if unread else None)

    def rejected(self, why: str, now: datetime) -> DeltaSlice:
        """After Graph rejected the link for good: nothing reports changes of these groups any more."""
        mine = tuple(sorted({*self.group_ids, *self.enumerated}))
        return replace(self, group_ids=(), link="").enumeration_rejected(why, now, mine)

    def enumeration_rejected(self, why: str, now: datetime, groups: tuple[GroupId, ...]) -> DeltaSlice:
        """After Graph rejected a page of an enumeration: it begins again, the first time at once. An old link stays."""
        wait = REJECTED_AGAIN.after_tries(self.rejections - 1) if self.rejections else timedelta(0)
        return replace(
            self,
            enumeration="",
            enumerated=groups,
            rejections=self.rejections + 1,
            retry_at=now + wait,
            rejected_because=why,
        )
