"""Everything that this package can reach. `World` fits it, and mypy rejects any other access."""

from __future__ import annotations

from typing import Protocol

from shared.ports.audit_digests import AuditDigestStore, DigestLog
from shared.ports.audit_log import AuditLog
from shared.ports.clock import Clock
from shared.ports.count_stores import MemberCountStore, OpenItemStore
from shared.ports.dead_letter_store import DeadLetterStore
from shared.ports.directory import Directory
from shared.ports.first_contact import FirstContactStore
from shared.ports.health_store import HealthStore
from shared.ports.membership_stores import DeltaStore, SubscriptionStore
from shared.ports.move_store import MoveStore
from shared.ports.onboarding_stores import OnboardingStore, ProfileStore
from shared.ports.person_store import PersonStore
from shared.ports.privileged_roles import PrivilegedRoles
from shared.ports.stores import (
    AssignmentStore,
    ChunkStore,
    GroupStatusStore,
    IdempotencyStore,
    LedgerStore,
    OperationStore,
    PermitStore,
    ProtectedPeopleStore,
    RemovalStore,
    SnapshotStore,
    WaitingStore,
)
from shared.ports.world import Policy


class Stores(Protocol):
    """The tables."""

    @property
    def assignments(self) -> AssignmentStore: ...

    @property
    def audit(self) -> AuditLog: ...

    @property
    def audit_digests(self) -> AuditDigestStore: ...

    @property
    def chunks(self) -> ChunkStore: ...

    @property
    def dead_letters(self) -> DeadLetterStore: ...

    @property
    def deltas(self) -> DeltaStore: ...

    @property
    def health(self) -> HealthStore: ...

    @property
    def first_contact(self) -> FirstContactStore: ...

    @property
    def group_status(self) -> GroupStatusStore: ...

    @property
    def idempotency(self) -> IdempotencyStore: ...

    @property
    def ledger(self) -> LedgerStore: ...

    @property
    def member_counts(self) -> MemberCountStore: ...

    @property
    def onboarding(self) -> OnboardingStore: ...

    @property
    def open_items(self) -> OpenItemStore: ...

    @property
    def moves(self) -> MoveStore: ...

    @property
    def operations(self) -> OperationStore: ...

    @property
    def people(self) -> PersonStore: ...

    @property
    def permits(self) -> PermitStore: ...

    @property
    def profiles(self) -> ProfileStore: ...

    @property
    def protected_people(self) -> ProtectedPeopleStore: ...

    @property
    def removals(self) -> RemovalStore: ...

    @property
    def snapshots(self) -> SnapshotStore: ...

    @property
    def subscriptions(self) -> SubscriptionStore: ...

    @property
    def waiting(self) -> WaitingStore: ...


class Needs(Protocol):
    """What handlers of maintenance are given."""

    @property
    def clock(self) -> Clock: ...

    @property
    def digest_log(self) -> DigestLog: ...

    @property
    def directory(self) -> Directory: ...

    @property
    def policy(self) -> Policy: ...

    @property
    def roles(self) -> PrivilegedRoles: ...

    @property
    def stores(self) -> Stores: ...

    def token(self) -> str: ...
