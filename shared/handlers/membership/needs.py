"""Everything that this package can reach. `World` fits it, and mypy rejects any other access."""

from __future__ import annotations

from typing import Protocol

from shared.handlers.operations import needs as operations
from shared.ports.change_feed import ChangeFeed
from shared.ports.graph_writes import Memberships
from shared.ports.health_store import HealthStore
from shared.ports.membership_stores import DeltaStore, SubscriptionStore


class Stores(operations.Stores, Protocol):
    """The tables, those of the packages below included."""

    @property
    def deltas(self) -> DeltaStore: ...

    @property
    def health(self) -> HealthStore: ...

    @property
    def subscriptions(self) -> SubscriptionStore: ...


class Needs(operations.Needs, Protocol):
    """What handlers of membership changes are given."""

    @property
    def changes(self) -> ChangeFeed: ...

    @property
    def memberships(self) -> Memberships: ...

    @property
    def stores(self) -> Stores: ...
