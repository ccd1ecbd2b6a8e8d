"""Stores of the membership package: subscriptions, delta links, group nesting, and times at which grants end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.domain.delta_slices import DeltaSlice
from shared.domain.ids import GroupId, SkuId, UserId
from shared.domain.membership_changes import Nesting


@dataclass(frozen=True, slots=True)
class StoredSubscription:
    """A subscription as the app created it. `id` is empty until Graph has answered. `key` is chosen by the app."""

    key: str
    client_state: str
    created_at: datetime
    expires_at: datetime
    id: str = ""
    notification_url: str = ""
    last_notification_at: datetime | None = None
    etag: str = ""


class SubscriptionStore(Protocol):
    async def all(self, max_age_s: float = 0.0) -> tuple[StoredSubscription, ...]:
        """An answer of the last `max_age_s` seconds may be given again."""
        ...

    async def save(self, subscription: StoredSubscription) -> StoredSubscription:
        """Insert (no ETag) or replace if unchanged; raises Conflict."""
        ...

    async def remove(self, key: str) -> None: ...

    async def count_rejected(self, day: str, rejected: int) -> None:
        """Add to the number of notifications that were forged or broken on a day (YYYY-MM-DD). The number is stored
        seconds later if many come at once. Raises Unavailable; the number is kept then."""
        ...

    async def rejected(self, day: str) -> int: ...


class DeltaStore(Protocol):
    async def all(self) -> tuple[DeltaSlice, ...]: ...

    async def get(self, number: int) -> DeltaSlice | None: ...

    async def save(self, slice: DeltaSlice) -> None: ...

    async def remove(self, number: int) -> None: ...


class NestingStore(Protocol):
    async def all(self, max_age_s: float = 0.0) -> tuple[Nesting, ...]:
        """An answer of the last `max_age_s` seconds may be given again."""
        ...

    async def save(self, nesting: Nesting) -> None: ...

    async def remove(self, group_id: GroupId) -> None: ...


@dataclass(frozen=True, slots=True, order=True)
class Due:
    """A user to reconcile at a time, because a grant of the SKU ends then."""

    at: datetime
    user_id: UserId
    sku_id: SkuId


class DueStore(Protocol):
    async def put(self, entries: Iterable[Due]) -> None: ...

    async def until(self, now: datetime, top: int) -> tuple[Due, ...]:
        """Due users, oldest first, at most `top`."""
        ...

    async def remove(self, entries: Iterable[Due]) -> None: ...
