"""Everything a handler is given: what is outside, the tables, and the settings as plain values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from shared.domain.approval_rules import EXPIRES_AFTER, Rules
from shared.domain.graph_permissions import GraphToken
from shared.domain.hr_events import EVERY_SOURCE, Sources
from shared.domain.hr_senders import Senders
from shared.domain.ids import GroupId, UserId
from shared.domain.writing import WritingSetting
from shared.ports.audit_digests import AuditDigestStore, DigestLog
from shared.ports.audit_log import AuditLog
from shared.ports.change_feed import ChangeFeed
from shared.ports.clock import Clock
from shared.ports.count_stores import MemberCountStore, OpenItemStore
from shared.ports.dead_letter_store import DeadLetterStore
from shared.ports.directory import Accounts, Directory
from shared.ports.first_contact import FirstContactStore, Probes
from shared.ports.graph_writes import LicenseWriter, Memberships
from shared.ports.health_store import HealthStore
from shared.ports.membership_stores import DeltaStore, DueStore, NestingStore, SubscriptionStore
from shared.ports.messaging import DeadLetterQueues, Queue, QueueWatch
from shared.ports.move_store import MoveStore
from shared.ports.native_licensing import NativeLicensing
from shared.ports.onboarding_stores import HrStateStore, OnboardingStore, ProfileStore
from shared.ports.person_store import PersonStore
from shared.ports.privileged_roles import PrivilegedRoles
from shared.ports.stores import (
    AssignmentStore,
    BudgetStore,
    ChunkStore,
    GrantStore,
    GroupStatusStore,
    IdempotencyStore,
    LedgerStore,
    MemberStore,
    OperationStore,
    PermitStore,
    ProductFactsStore,
    ProtectedPeopleStore,
    RemovalStore,
    SnapshotStore,
    WaitingStore,
)
from shared.ports.telemetry import SILENT, Telemetry


@dataclass(frozen=True, slots=True)
class Stores:
    """The tables, each behind its port."""

    assignments: AssignmentStore
    operations: OperationStore
    snapshots: SnapshotStore
    chunks: ChunkStore
    members: MemberStore
    member_counts: MemberCountStore
    ledger: LedgerStore
    grants: GrantStore
    permits: PermitStore
    removals: RemovalStore
    waiting: WaitingStore
    group_status: GroupStatusStore
    open_items: OpenItemStore
    audit: AuditLog
    audit_digests: AuditDigestStore
    budget: BudgetStore
    idempotency: IdempotencyStore
    health: HealthStore
    dead_letters: DeadLetterStore
    subscriptions: SubscriptionStore
    deltas: DeltaStore
    moves: MoveStore
    nesting: NestingStore
    due: DueStore
    product_facts: ProductFactsStore
    protected_people: ProtectedPeopleStore
    onboarding: OnboardingStore
    hr_states: HrStateStore
    profiles: ProfileStore
    people: PersonStore
    first_contact: FirstContactStore


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings handlers need, as plain values."""

    write_rate_per_s: float = 19.5
    write_burst: int = 30
    write_window_limit: int = 3000
    write_window_s: float = 150.0
    interactive_share: float = 0.2
    writing: WritingSetting = WritingSetting.ON
    caller_reads_per_minute: int = 1200
    caller_changes_per_minute: int = 60
    caller_previews_per_minute: int = 300
    caller_hr_events_per_minute: int = 6000
    caller_open_previews: int = 50
    removal_window_s: float = 300.0
    removal_allowance_minimum: int = 20
    removal_allowance_percent: float = 2.0
    removal_allowance_maximum: int = 200
    tenant_removal_allowance: int = 500
    protected_roles: bool = True
    """Whether people with a privileged directory role are protected."""
    protected_accounts: frozenset[UserId] = frozenset()
    protected_groups: frozenset[GroupId] = frozenset()
    """Groups whose members are protected."""
    approval_expires_s: float = EXPIRES_AFTER.total_seconds()
    """How long an approval waits for a person, and then how long the licenses are kept until it is requested again."""
    approval_rules: Rules = field(default_factory=Rules)
    canary_group: GroupId | None = None
    """The group whose changes prove daily that changes arrive. None: there is none."""
    canary_member: UserId | None = None
    """The user whom the app adds to that group and removes from it. None: a person changes the membership."""
    chunk_size: int = 20
    outstanding_chunks: int = 36
    tenant_id: str = ""
    public_url: str = ""
    """Where Graph reaches the app; empty: no subscription is kept."""
    onboarding_lead_s: float = 0.0
    """How long before the effective date a joiner is processed."""
    account_wait_s: float = 14 * 86400.0
    """How long a joiner or mover waits for the account after the effective date."""
    hr_sources: Sources = field(default_factory=lambda: EVERY_SOURCE)
    """How events of each HR system are ordered and dated; `*` is for any other one."""
    onboarding_groups: frozenset[GroupId] | None = None
    """Groups whose members HR may change. None: the setting is absent."""
    onboarding_units: frozenset[str] = frozenset()
    """Administrative units whose groups HR may change too."""
    hr_senders: Senders | None = None
    """The permitted senders of each HR system. None: the setting is absent."""
    leaver_removal_after_s: float = 30 * 86400.0
    leaver_minimum_delay_s: float = 86400.0
    """How long a leaver keeps the licenses in any case, from the arrival of the event."""
    leaver_allowance_minimum: int = 20
    leaver_allowance_percent: float = 1.0
    payload_retention_s: float = 30 * 86400.0
    """How long the messages of replayed dead letters are kept."""
    retention_s: float = 365 * 86400.0
    """How long audit entries, completed operations and HR events, permits, and dead letters are kept."""

    @property
    def protected_list_required(self) -> bool:
        """Whether the list of protected people must have been read before anything is removed."""
        return self.protected_roles or bool(self.protected_groups)


@dataclass(frozen=True, slots=True)
class World:
    """Everything a handler is given. `token` makes 32 random hex digits. `graph_roles`: the permissions in the token
    that Graph is called with; `graph_token`: these with its expiry. None before the first call."""

    clock: Clock
    queue: Queue
    directory: Directory
    roles: PrivilegedRoles
    licenses: LicenseWriter
    native: NativeLicensing
    changes: ChangeFeed
    accounts: Accounts
    memberships: Memberships
    probes: Probes
    dead_letters: DeadLetterQueues
    queue_watch: QueueWatch
    digest_log: DigestLog
    stores: Stores
    policy: Policy
    token: Callable[[], str]
    telemetry: Telemetry = SILENT
    graph_roles: Callable[[], frozenset[str] | None] = lambda: None
    graph_token: Callable[[], GraphToken | None] = lambda: None
