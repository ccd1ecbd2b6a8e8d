"""Everything that this package can reach. `World` fits it, and mypy rejects any other access."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from shared.domain.graph_permissions import GraphToken
from shared.handlers.messaging import needs as messaging
from shared.handlers.reconcile import needs as reconcile
from shared.ports.audit_digests import AuditDigestStore, DigestLog
from shared.ports.count_stores import MemberCountStore, OpenItemStore
from shared.ports.directory import Accounts
from shared.ports.first_contact import FirstContactStore
from shared.ports.health_store import HealthStore
from shared.ports.membership_stores import DeltaStore, SubscriptionStore
from shared.ports.messaging import QueueWatch
from shared.ports.move_store import MoveStore
from shared.ports.stores import SnapshotStore


class Stores(messaging.Stores, reconcile.Stores, Protocol):
    """The tables, those of the packages below included."""

    @property
    def audit_digests(self) -> AuditDigestStore: ...

    @property
    def deltas(self) -> DeltaStore: ...

    @property
    def health(self) -> HealthStore: ...

    @property
    def first_contact(self) -> FirstContactStore: ...

    @property
    def member_counts(self) -> MemberCountStore: ...

    @property
    def moves(self) -> MoveStore: ...

    @property
    def open_items(self) -> OpenItemStore: ...

    @property
    def snapshots(self) -> SnapshotStore: ...

    @property
    def subscriptions(self) -> SubscriptionStore: ...


class Needs(messaging.Needs, reconcile.Needs, Protocol):
    """What handlers of views are given."""

    @property
    def accounts(self) -> Accounts: ...

    @property
    def digest_log(self) -> DigestLog: ...

    @property
    def graph_token(self) -> Callable[[], GraphToken | None]: ...

    @property
    def queue_watch(self) -> QueueWatch: ...

    @property
    def stores(self) -> Stores: ...
