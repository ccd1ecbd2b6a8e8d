"""Everything that this package can reach. `World` fits it, and mypy rejects any other access."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from shared.ports.audit_log import AuditLog
from shared.ports.clock import Clock
from shared.ports.directory import Directory
from shared.ports.graph_writes import LicenseWriter
from shared.ports.membership_stores import DueStore
from shared.ports.messaging import Queue
from shared.ports.native_licensing import NativeLicensing
from shared.ports.stores import (
    AssignmentStore,
    BudgetStore,
    GrantStore,
    GroupStatusStore,
    LedgerStore,
    MemberStore,
    PermitStore,
    ProductFactsStore,
    ProtectedPeopleStore,
    RemovalStore,
    WaitingStore,
)
from shared.ports.telemetry import Telemetry
from shared.ports.world import Policy


class Stores(Protocol):
    """The tables."""

    @property
    def assignments(self) -> AssignmentStore: ...

    @property
    def audit(self) -> AuditLog: ...

    @property
    def budget(self) -> BudgetStore: ...

    @property
    def due(self) -> DueStore: ...

    @property
    def grants(self) -> GrantStore: ...

    @property
    def group_status(self) -> GroupStatusStore: ...

    @property
    def ledger(self) -> LedgerStore: ...

    @property
    def members(self) -> MemberStore: ...

    @property
    def permits(self) -> PermitStore: ...

    @property
    def product_facts(self) -> ProductFactsStore: ...

    @property
    def protected_people(self) -> ProtectedPeopleStore: ...

    @property
    def removals(self) -> RemovalStore: ...

    @property
    def waiting(self) -> WaitingStore: ...


class Needs(Protocol):
    """What handlers of one user are given."""

    @property
    def clock(self) -> Clock: ...

    @property
    def directory(self) -> Directory: ...

    @property
    def licenses(self) -> LicenseWriter: ...

    @property
    def graph_roles(self) -> Callable[[], frozenset[str] | None]: ...

    @property
    def policy(self) -> Policy: ...

    @property
    def queue(self) -> Queue: ...

    @property
    def telemetry(self) -> Telemetry: ...

    @property
    def stores(self) -> Stores: ...


class PlanNeeds(Needs, Protocol):
    """What planning is given: it also asks which apps a user's native licenses turn on."""

    @property
    def native(self) -> NativeLicensing: ...
