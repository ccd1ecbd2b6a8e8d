"""Everything that this package can reach. `World` fits it, and mypy rejects any other access."""

from __future__ import annotations

from typing import Protocol

from shared.handlers.groups import needs as groups
from shared.handlers.messaging import needs as messaging
from shared.handlers.reconcile import needs as reconcile
from shared.ports.first_contact import FirstContactStore, Probes
from shared.ports.move_store import MoveStore
from shared.ports.native_licensing import NativeLicensing
from shared.ports.stores import IdempotencyStore, SnapshotStore


class Stores(groups.Stores, messaging.Stores, reconcile.Stores, Protocol):
    """The tables, those of the packages below included."""

    @property
    def first_contact(self) -> FirstContactStore: ...

    @property
    def idempotency(self) -> IdempotencyStore: ...

    @property
    def moves(self) -> MoveStore: ...

    @property
    def snapshots(self) -> SnapshotStore: ...


class Needs(groups.Needs, messaging.Needs, reconcile.Needs, Protocol):
    """What handlers of operations are given."""

    @property
    def probes(self) -> Probes: ...

    @property
    def native(self) -> NativeLicensing: ...

    @property
    def stores(self) -> Stores: ...
