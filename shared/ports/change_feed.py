"""Graph's two ways of reporting changed groups: subscriptions and delta queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.domain.ids import GroupId
from shared.domain.membership_changes import GroupChange


@dataclass(frozen=True, slots=True)
class GraphSubscription:
    """A subscription of the app, as Graph has it (learn.microsoft.com/graph/api/resources/subscription)."""

    id: str
    notification_url: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class DeltaPage:
    """A page of changes and the link to the next page, or, on the last page, the one for the next time."""

    changes: tuple[GroupChange, ...]
    next_link: str | None = None
    delta_link: str | None = None


class ChangeFeed(Protocol):
    """Graph's two ways to report changed groups. Links are paths under Graph's base address."""

    async def subscriptions(self) -> tuple[GraphSubscription, ...]: ...

    async def subscribe(
        self, notification_url: str, lifecycle_url: str, client_state: str, expires_at: datetime
    ) -> GraphSubscription:
        """Subscribe to changes of all groups; Graph calls both addresses before it answers.

        Raises BadRequest when it rejects, such as an address that does not answer.
        """
        ...

    async def renew(self, subscription_id: str, expires_at: datetime) -> None:
        """Raises NotFound for a subscription that is gone."""
        ...

    async def reauthorize(self, subscription_id: str) -> None:
        """Raises NotFound for a subscription that is gone."""
        ...

    async def unsubscribe(self, subscription_id: str) -> None:
        """A subscription that is gone is no error."""
        ...

    def enumeration(self, group_ids: Sequence[GroupId]) -> str:
        """The first link of an enumeration of the members of groups, at most 50; its last page has the delta link that
        reports what changed since it began."""
        ...

    async def delta(self, link: str) -> DeltaPage:
        """A page of an enumeration or of changes. Raises TokenExpired when Graph rejects the link for good."""
        ...
