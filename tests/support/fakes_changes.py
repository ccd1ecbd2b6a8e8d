"""A change feed with memory: subscriptions as Graph keeps them, and a log of changes that delta reads from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from shared.domain.errors import BadRequest, NotFound, PermissionDenied, TokenExpired
from shared.domain.ids import GroupId, UserId
from shared.domain.membership_changes import GroupChange
from shared.ports.change_feed import DeltaPage, GraphSubscription

PAGE = 3


@dataclass(slots=True)
class FakeChangeFeed:
    """Graph's subscriptions and delta."""

    now: Callable[[], datetime]
    made: dict[str, GraphSubscription] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    reauthorized: list[str] = field(default_factory=list)
    log: list[GroupChange] = field(default_factory=list)
    unreachable: bool = False
    """Graph gets no answer from the notification address."""
    rejecting: bool = False
    """Every delta link is rejected, however new."""
    followed: list[str] = field(default_factory=list)
    """Every link that was followed."""
    rejects: Callable[[str], bool] | None = None
    """Links that Graph rejects for good."""
    rejects_with: str = "404 UnknownError"
    denies: Callable[[str], bool] | None = None
    """Links that Graph rejects with 403."""
    enumeration_pages: int = 1
    members: tuple[GroupChange, ...] = ()
    """What an enumeration lists."""
    _oldest: int = 0

    def happened(self, group_id: str, member: str, *, came: bool) -> None:
        self.log.append(GroupChange(GroupId(group_id), {UserId(member): came}))

    def forget_tokens(self) -> None:
        self._oldest = len(self.log) + 1
        self.log.append(GroupChange(GroupId("00000000-0000-0000-0000-00000000ffff")))

    async def subscriptions(self) -> tuple[GraphSubscription, ...]:
        return tuple(each for each in self.made.values() if each.expires_at > self.now())

    async def subscribe(
        self, notification_url: str, lifecycle_url: str, client_state: str, expires_at: datetime
    ) -> GraphSubscription:
        if self.unreachable:
            raise BadRequest("ValidationError", "the notification address does not answer")
        made = GraphSubscription(f"sub-{len(self.secrets) + 1}", notification_url, expires_at)
        self.made[made.id], self.secrets[made.id] = made, client_state
        return made

    async def renew(self, subscription_id: str, expires_at: datetime) -> None:
        self.made[subscription_id] = replace(self._there(subscription_id), expires_at=expires_at)

    async def reauthorize(self, subscription_id: str) -> None:
        self._there(subscription_id)
        self.reauthorized.append(subscription_id)

    async def unsubscribe(self, subscription_id: str) -> None:
        self.made.pop(subscription_id, None)

    def enumeration(self, group_ids: Sequence[GroupId]) -> str:
        return f"{len(self.log)}:all:{','.join(group_ids)}"

    async def delta(self, link: str) -> DeltaPage:
        """A link is a place in the log and groups; one that begins a round with `all` enumerates, in empty pages."""
        self.followed.append(link)
        if self.rejects and self.rejects(link):
            raise TokenExpired(self.rejects_with)
        if self.denies and self.denies(link):
            raise PermissionDenied("Graph answered 403 to /groups/delta")
        place, _, groups = link.partition(":")
        if groups.startswith("all:"):
            asked = groups.removeprefix("all:")
            if self.enumeration_pages > sum(each == link for each in self.followed):
                return DeltaPage((), link)
            return DeltaPage(self.members, delta_link=f"{place}:{asked}")
        start = int(place)
        if start < self._oldest or self.rejecting:
            raise TokenExpired("syncStateNotFound")
        found = tuple(each for each in self.log[start : start + PAGE] if each.group_id in groups.split(","))
        after = f"{min(start + PAGE, len(self.log))}:{groups}"
        return DeltaPage(found, after) if start + PAGE < len(self.log) else DeltaPage(found, delta_link=after)

    def _there(self, subscription_id: str) -> GraphSubscription:
        if subscription_id not in self.made:
            raise NotFound(f"subscription {subscription_id}")
        return self.made[subscription_id]
