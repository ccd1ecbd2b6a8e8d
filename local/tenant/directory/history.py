"""Recent earlier states of the directory, for reads that lag behind writes.

Only changes younger than the horizon are kept, as the value before the change and the time of it; an object without
a recent change costs nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from local.tenant.directory.model import UserState


class _Membership(NamedTuple):
    at: float
    added: bool
    group_id: str
    member_id: str


class _Version(NamedTuple):
    at: float
    before: UserState


class History:
    """Recent changes by object; `horizon` is the greatest age, in seconds, that reads may ask for."""

    def __init__(self) -> None:
        self.horizon = 0.0
        self.touched: dict[str, int] = {}
        """Number of the last change of each user that has changed, for delta queries of users."""
        self.last_touch = 0
        self._log: deque[tuple[float, dict[str, deque[_Version]] | dict[str, deque[_Membership]], str]] = deque()
        self._users: dict[str, deque[_Version]] = {}
        self._by_group: dict[str, deque[_Membership]] = {}
        self._by_member: dict[str, deque[_Membership]] = {}
        self._units: deque[tuple[float, str, int]] = deque()

    @contextmanager
    def settled(self) -> Iterator[None]:
        """Changes made inside are not remembered: reads see them at once."""
        horizon, self.horizon = self.horizon, 0.0
        try:
            yield
        finally:
            self.horizon = horizon

    def user_changes(self, user_id: str, before: UserState, now: float) -> None:
        """Remember a user's state before it changes at `now`."""
        self.touch(user_id)
        if self.horizon <= 0:
            return
        self._prune(now)
        self._users.setdefault(user_id, deque()).append(_Version(now, before))
        self._log.append((now, self._users, user_id))

    def touch(self, user_id: str) -> None:
        """A user is new or has changed."""
        self.last_touch += 1
        self.touched[user_id] = self.last_touch

    def membership_changes(self, group_id: str, member_id: str, added: bool, now: float) -> None:
        """Remember that `member_id` joined or left a group."""
        if self.horizon <= 0:
            return
        self._prune(now)
        change = _Membership(now, added, group_id, member_id)
        self._by_group.setdefault(group_id, deque()).append(change)
        self._log.append((now, self._by_group, group_id))
        self._by_member.setdefault(member_id, deque()).append(change)
        self._log.append((now, self._by_member, member_id))

    def units_change(self, sku_id: str, delta: int, now: float) -> None:
        """Remember that consumedUnits moved by `delta`."""
        if self.horizon > 0:
            self._units.append((now, sku_id, delta))

    def user_as_of(self, user_id: str, current: UserState, when: float) -> UserState:
        """The user's state at `when`."""
        for version in self._users.get(user_id, ()):
            if version.at > when:
                return version.before
        return current

    def members_as_of(self, group_id: str, current: list[str], when: float) -> list[str]:
        """Sorted ids of the direct members at `when`; `current` itself where nothing changed since."""
        changes = [change for change in self._by_group.get(group_id, ()) if change.at > when]
        if not changes:
            return current
        members = set(current)
        for change in reversed(changes):
            (members.discard if change.added else members.add)(change.member_id)
        return sorted(members)

    def parents_as_of(self, member_id: str, current: tuple[str, ...], when: float) -> tuple[str, ...]:
        """Groups the object lay in directly at `when`; `current` itself where nothing changed since."""
        changes = [change for change in self._by_member.get(member_id, ()) if change.at > when]
        if not changes:
            return current
        parents = dict.fromkeys(current)
        for change in reversed(changes):
            if change.added:
                parents.pop(change.group_id, None)
            else:
                parents[change.group_id] = None
        return tuple(parents)

    def consumed_as_of(self, sku_id: str, current: int, when: float) -> int:
        """consumedUnits at `when`."""
        return current - sum(delta for at, sku, delta in self._units if sku == sku_id and at > when)

    def changed_since(self, when: float) -> bool:
        """Whether any membership changed after `when`."""
        return any(changes[-1].at > when for changes in self._by_group.values())

    def _prune(self, now: float) -> None:
        limit = now - self.horizon
        while self._units and self._units[0][0] < limit:
            self._units.popleft()
        while self._log and self._log[0][0] < limit:
            _, table, key = self._log.popleft()
            entries = table[key]
            entries.popleft()
            if not entries:
                del table[key]
