"""Membership changes as Graph reports them in notifications and delta pages, and the users whom they concern.

They are hints: the directory is always read again. Sources of the shapes:
learn.microsoft.com/graph/change-notifications-delivery-webhooks,
learn.microsoft.com/graph/change-notifications-lifecycle-events, learn.microsoft.com/graph/delta-query-groups.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from shared.domain.errors import PoisonMessage
from shared.domain.ids import GroupId, UserId, is_guid

MAX_NOTIFICATIONS = 1000
"""Notifications one POST may hold; Graph states no figure, and a body is limited before."""

MAX_MEMBERS = 5000
"""Member changes one notification may hold, far above what Graph sends in one."""


class LifecycleEvent(StrEnum):
    """`lifecycleEvent` of a lifecycle notification."""

    REAUTHORIZATION_REQUIRED = "reauthorizationRequired"
    SUBSCRIPTION_REMOVED = "subscriptionRemoved"
    MISSED = "missed"


@dataclass(frozen=True, slots=True)
class GroupChange:
    """A change of one group. `members`: ids that came (True) or went (False), or both in unknown order (None).

    The ids may be of users, groups, devices or service principals. `deleted`: the group itself went.
    """

    group_id: GroupId
    members: Mapping[UserId, bool | None] = field(default_factory=dict)
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Notification:
    """One notification of a POST, not yet trusted."""

    subscription_id: str
    client_state: str
    tenant_id: str
    change: GroupChange | None = None
    lifecycle: LifecycleEvent | None = None


def decode_notifications(body: Any) -> tuple[list[Notification], int]:
    """The readable notifications of a POST, and how many were not.

    Raises PoisonMessage for a body that is no collection of them.
    """
    values = body.get("value") if isinstance(body, dict) else None
    if not isinstance(values, list):
        raise PoisonMessage("notification: the body must be an object with the array value")
    if len(values) > MAX_NOTIFICATIONS:
        raise PoisonMessage(f"notification: value holds {len(values)} items, at most {MAX_NOTIFICATIONS} are taken")
    found = []
    for value in values:
        try:
            found.append(_notification(value))
        except (KeyError, TypeError, ValueError, AttributeError):
            continue
    return found, len(values) - len(found)


def _notification(value: Any) -> Notification:
    subscription, state, tenant = value["subscriptionId"], value["clientState"], value.get("tenantId", "")
    if not all(isinstance(each, str) for each in (subscription, state, tenant)):
        raise TypeError("not text")
    if "lifecycleEvent" in value:
        return Notification(subscription, state, tenant.lower(), lifecycle=LifecycleEvent(value["lifecycleEvent"]))
    data = value["resourceData"]
    changed = members_of(data.get("members@delta", ()))
    deleted = value["changeType"] == "deleted"
    return Notification(subscription, state, tenant.lower(), GroupChange(GroupId(guid(data["id"])), changed, deleted))


def members_of(entries: Any) -> dict[UserId, bool | None]:
    """What `members@delta` says of each id. A removal is marked by `@removed`, a text in notifications and an object in
    delta. Raises ValueError."""
    if not isinstance(entries, (list, tuple)) or len(entries) > MAX_MEMBERS:
        raise ValueError(f"members@delta must be an array of at most {MAX_MEMBERS}")
    found: dict[UserId, bool | None] = {}
    for entry in entries:
        member, joined = UserId(guid(entry["id"])), "@removed" not in entry
        found[member] = joined if found.get(member, joined) is joined else None
    return found


def guid(text: Any) -> str:
    """A GUID in lower case. Raises ValueError."""
    lowered = text.lower() if isinstance(text, str) else ""
    if not is_guid(lowered):
        raise ValueError(f"{str(text)[:64]!r} is no GUID")
    return lowered


def merged(changes: Iterable[GroupChange]) -> list[GroupChange]:
    """One change per group, sorted: pages of delta and notifications of one POST repeat a group."""
    found: dict[GroupId, GroupChange] = {}
    for change in changes:
        known = found.get(change.group_id, GroupChange(change.group_id))
        members = dict(known.members)
        for member, joined in change.members.items():
            members[member] = joined if members.get(member, joined) is joined else None
        found[change.group_id] = GroupChange(change.group_id, members, known.deleted or change.deleted)
    return [found[group_id] for group_id in sorted(found)]


@dataclass(frozen=True, slots=True)
class Nesting:
    """The groups found inside a group, transitively, when it was last read."""

    group_id: GroupId
    nested: frozenset[GroupId]
    read_at: datetime


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """The groups whose changes concern a managed group: by group, the managed groups to read again when a group comes
    into it or goes from it."""

    managed: Mapping[GroupId, frozenset[GroupId]]
    complete: bool
    """False while a managed or excluded group has not been read yet: then nothing may be left out."""
    native: frozenset[GroupId] = frozenset()
    """Groups that Microsoft's licensing licenses."""

    def concerns(self, group_id: GroupId) -> bool:
        return self.concerns_managed(group_id) or group_id in self.native

    def concerns_managed(self, group_id: GroupId) -> bool:
        return not self.complete or group_id in self.managed

    def knows(self, group_ids: Iterable[GroupId]) -> bool:
        """Whether no group is new to the map."""
        return self.complete and set(group_ids) <= self.managed.keys() | self.native

    def roots(self, group_id: GroupId) -> frozenset[GroupId]:
        return self.managed.get(group_id, frozenset())


def watched(
    managed: Mapping[GroupId, frozenset[GroupId]],
    nestings: Sequence[Nesting],
    native: frozenset[GroupId] = frozenset(),
) -> Hierarchy:
    """`managed`: each managed group with the groups it excludes. What lies in either concerns it. `native`: groups that
    Microsoft's licensing licenses; what lies in them does not concern it."""
    inside = {nesting.group_id: nesting.nested for nesting in nestings}
    found: dict[GroupId, frozenset[GroupId]] = {}
    for root, excluded in managed.items():
        for outer in (root, *sorted(excluded)):
            for group_id in (outer, *sorted(inside.get(outer, frozenset()))):
                found[group_id] = found.get(group_id, frozenset()) | {root}
    known = all(outer in inside for root, excluded in managed.items() for outer in (root, *excluded))
    return Hierarchy(found, known, native)
