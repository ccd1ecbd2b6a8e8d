"""The log of what happened to groups, in order: the source of /groups/delta and of change notifications.

A position is the number of the last change seen. A group's visible members at a position are those of now with the
later changes undone, so nothing is copied while nothing changes.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

KEPT = 500_000  # our own number: changes that stay readable; an older position is an expired one


class Kind(StrEnum):
    """What happened to a group."""

    JOINED = "joined"
    LEFT = "left"
    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    RESTORED = "restored"
    PURGED = "purged"

    @property
    def of_member(self) -> bool:
        """Whether it is about one member, not about the group itself."""
        return self in (Kind.JOINED, Kind.LEFT)


class Presence(StrEnum):
    """Whether a group is there: `changed` and `deleted` are the reasons Graph gives for one that is not."""

    ABSENT = "absent"
    THERE = "there"
    CHANGED = "changed"
    DELETED = "deleted"


class Change(NamedTuple):
    """One change; `settled` ones are seen at once, however far reads lag. `observed` ones are worth a notification."""

    seq: int
    at: float
    settled: bool
    group_id: str
    kind: Kind
    member_id: str
    observed: bool


_AFTER = {
    Kind.CREATED: Presence.THERE,
    Kind.RESTORED: Presence.THERE,
    Kind.DELETED: Presence.CHANGED,
    Kind.PURGED: Presence.DELETED,
}
_BEFORE = {
    Kind.CREATED: Presence.ABSENT,
    Kind.RESTORED: Presence.CHANGED,
    Kind.DELETED: Presence.THERE,
    Kind.PURGED: Presence.CHANGED,
}


class ChangeLog:
    """Changes of one directory; `epoch` distinguishes its positions from those of another."""

    def __init__(self, kept: int = KEPT) -> None:
        self.epoch = secrets.token_hex(4)
        self.listener: Callable[[Change], None] | None = None
        self._kept = kept
        self._log: list[Change] = []
        self._by_group: dict[str, list[Change]] = {}
        self._last = 0

    @property
    def last(self) -> int:
        """Position of now."""
        return self._last

    @property
    def oldest(self) -> int:
        """The earliest position that can still be read."""
        return self._log[0].seq - 1 if self._log else self._last

    def append(
        self,
        group_id: str,
        kind: Kind,
        now: float,
        *,
        member_id: str = "",
        settled: bool = False,
        observed: bool = True,
    ) -> None:
        """Store a change and notify the listener."""
        self._last += 1
        change = Change(self._last, now, settled, group_id, kind, member_id, observed)
        self._log.append(change)
        self._by_group.setdefault(group_id, []).append(change)
        if len(self._log) >= 2 * self._kept:
            self._forget()
        if self.listener is not None:
            self.listener(change)

    def position(self, as_of: float | None, not_after: float) -> int:
        """The last position visible to a read of the state at `as_of` that never sees changes after `not_after`."""
        for change in reversed(self._log):
            if change.at <= not_after and (as_of is None or change.settled or change.at <= as_of):
                return change.seq
        return self.oldest

    def between(self, since: int, until: int) -> dict[str, list[Change]]:
        """Changes after `since` up to `until` by group, groups in the order of their last change."""
        found: dict[str, list[Change]] = {}
        first = self._log[0].seq if self._log else 1
        for change in self._log[max(0, since + 1 - first) : max(0, until + 1 - first)]:
            changes = found.pop(change.group_id, [])
            changes.append(change)
            found[change.group_id] = changes
        return found

    def presence(self, group_id: str, current: Presence, when: int) -> Presence:
        """Whether the group was there at a position; `current` is how it is now."""
        found: Presence | None = None
        for change in self._by_group.get(group_id, ()):
            if change.kind not in _AFTER:
                continue
            if change.seq > when:
                return found or _BEFORE[change.kind]
            found = _AFTER[change.kind]
        return found or current

    def members(self, group_id: str, current: list[str], when: int) -> list[str]:
        """Sorted ids of visible direct members at a position; `current` itself where none changed since."""
        later = [one for one in self._by_group.get(group_id, ()) if one.seq > when and one.kind.of_member]
        if not later:
            return current
        members = set(current)
        for change in reversed(later):
            (members.discard if change.kind is Kind.JOINED else members.add)(change.member_id)
        return sorted(members)

    def _forget(self) -> None:
        self._log = self._log[-self._kept :]
        self._by_group = {}
        for change in self._log:
            self._by_group.setdefault(change.group_id, []).append(change)
