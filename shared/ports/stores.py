"""General stores, each behind its own port. Those of counts, of membership, of onboarding and the audit log have
modules of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.domain.assignment import GroupLicenseAssignment
from shared.domain.grant import Grant
from shared.domain.group_status import GroupStatus
from shared.domain.ids import GroupId, OperationId, SkuId, UserId, What
from shared.domain.ledger_row import LedgerRow
from shared.domain.member_status import MemberState
from shared.domain.operation import EVERY_OPERATION, Operation, OperationFilter
from shared.domain.outcomes import ChunkOutcome
from shared.domain.pending_removal import PendingRemoval, ScopeState
from shared.domain.permit import Permit
from shared.domain.product_facts import ObservedConflict, Pair, ProductFacts, SeenProduct
from shared.domain.protected_people import ProtectedList
from shared.domain.read_models import EVERYBODY, MemberFilter, MemberRow, ShownMember
from shared.domain.snapshot_pages import SnapshotPage


@dataclass(frozen=True, slots=True)
class StoredAssignment:
    assignment: GroupLicenseAssignment
    etag: str


class AssignmentStore(Protocol):
    async def get(self, group_id: GroupId) -> StoredAssignment | None: ...

    async def all(self, max_age_s: float = 0.0) -> tuple[GroupLicenseAssignment, ...]:
        """Every assignment, ended ones too; an answer of the last `max_age_s` seconds may be given again."""
        ...

    async def save(self, assignment: GroupLicenseAssignment, etag: str | None) -> str:
        """Insert (etag None) or replace if unchanged, keeping the version in the history. Returns the new ETag.

        Raises Conflict.
        """
        ...

    async def history(self, group_id: GroupId) -> tuple[GroupLicenseAssignment, ...]:
        """Accepted versions, newest first."""
        ...


class OperationStore(Protocol):
    async def insert(self, operation: Operation) -> Operation:
        """Raises Conflict when the id exists."""
        ...

    async def get(self, operation_id: OperationId) -> Operation | None: ...

    async def save(self, operation: Operation) -> Operation:
        """Replace if unchanged since read (`operation.version`). Raises Conflict."""
        ...

    async def newest(
        self, top: int, after: str | None = None, wanted: OperationFilter = EVERY_OPERATION
    ) -> tuple[tuple[Operation, ...], str | None]:
        """At most `top` that the filter lets pass, newest first, and a token for the next page. If few of very many
        pass, the page can be short or empty and still have a next one."""
        ...

    async def open(self) -> tuple[Operation, ...]:
        """Operations that have not ended."""
        ...

    async def open_previews(self, initiator_id: str) -> int:
        """How many previews of a caller are not complete, by one query. A crash can leave one counted too many until
        `open` is next called."""
        ...

    def from_before(self, at: datetime) -> AsyncIterator[Operation]:
        """Operations whose ids are of a time before, newest first."""
        ...

    async def remove(self, operation: Operation) -> None:
        """One that is not there is no error."""
        ...


class SnapshotStore(Protocol):
    """Snapshot pages of an operation. `snapshot_id` names one complete read; rows of a crashed read are never used."""

    async def write(self, operation_id: OperationId, snapshot_id: str, pages: Iterable[SnapshotPage]) -> None: ...

    async def page(self, operation_id: OperationId, snapshot_id: str, number: int) -> SnapshotPage:
        """Raises NotFound."""
        ...

    async def forget(self, operation_id: OperationId) -> int:
        """Delete the pages of every reading of an operation; returns how many."""
        ...


class ChunkStore(Protocol):
    async def report(
        self, operation_id: OperationId, chunk: int, outcomes: Sequence[ChunkOutcome]
    ) -> tuple[ChunkOutcome, ...]:
        """Merge outcomes into the chunk's row under ETag (see `outcomes.merge`); returns what the row now holds."""
        ...

    async def rows(self, operation_id: OperationId, first: int, last: int) -> Mapping[int, tuple[ChunkOutcome, ...]]:
        """Rows of chunks `first` to `last` inclusive; a chunk that has not reported is absent."""
        ...

    async def forget(self, operation_id: OperationId) -> int:
        """Delete all rows of an operation; returns how many."""
        ...


class MemberStore(Protocol):
    async def record(self, rows: Iterable[MemberRow]) -> None:
        """Upsert status rows. The list of errors and the counts change in the same transaction. Raises Conflict if
        every try lost a race."""
        ...

    async def forget(self, group_id: GroupId, user_ids: Iterable[UserId]) -> int:
        """Delete status rows, as `record` writes them; returns how many rows of the table were deleted."""
        ...

    async def page(
        self, group_id: GroupId, top: int, after: str | None = None, state: MemberState | None = None
    ) -> tuple[tuple[MemberRow, ...], str | None]:
        """Recorded members, or those in one state."""
        ...

    async def errors(
        self, group_id: GroupId, top: int, after: str | None = None, wanted: MemberFilter = EVERYBODY
    ) -> tuple[tuple[MemberRow, ...], str | None]:
        """Members in error or waiting only: one short query at any size of group. Where few of very many have the
        problem that is `wanted`, a page may be short or empty and still have a next one."""
        ...

    async def states(self, group_id: GroupId) -> Mapping[UserId, MemberState]:
        """The state of every recorded member of the group."""
        ...

    async def shown(self, group_id: GroupId) -> Mapping[UserId, ShownMember]:
        """What every recorded member of the group is shown as."""
        ...

    async def recorded(self, group_id: GroupId, partition: str) -> frozenset[UserId]:
        """Recorded members who are not `Removed`, with ids that begin with a hex digit."""
        ...

    async def of_user(self, user_id: UserId, group_ids: Iterable[GroupId]) -> tuple[MemberRow, ...]:
        """The user's rows in these groups: one request for each group."""
        ...

    async def groups_left(self, user_id: UserId) -> frozenset[GroupId]:
        """Groups that the user has left and has a row in: one short query at any number of groups."""
        ...


@dataclass(frozen=True, slots=True)
class LedgerWrite:
    """The result of writing one ledger row: the row with its new version, or `lost` when someone wrote it meanwhile."""

    row: LedgerRow
    lost: bool = False


class LedgerStore(Protocol):
    async def rows(self, user_ids: Sequence[UserId]) -> Mapping[UserId, LedgerRow]:
        """One row per id; an empty one with version None where there is none."""
        ...

    async def write(self, rows: Sequence[LedgerRow]) -> Mapping[UserId, LedgerWrite]:
        """Write each row if unchanged since read (insert where version is None). Every id is present in the answer."""
        ...

    def partition(self, partition: str) -> AsyncIterator[LedgerRow]:
        """All rows of one partition (a hex digit), sorted by user id."""
        ...

    async def forget(self, partition: str, before: datetime) -> int:
        """Delete the rows of a partition that are spent (see `ledger.is_spent`); returns how many."""
        ...


class GrantStore(Protocol):
    """User grants: list, HR, kept, held, grace, joined. Key: user, source, SKU."""

    async def of_users(self, user_ids: Sequence[UserId]) -> Mapping[UserId, tuple[Grant, ...]]: ...

    async def put(self, grants: Iterable[tuple[UserId, Grant]]) -> None: ...

    async def remove(self, grants: Iterable[tuple[UserId, Grant]]) -> None:
        """A grant that is not there is no error."""
        ...

    def partition(self, partition: str) -> AsyncIterator[tuple[UserId, Grant]]: ...


class PermitStore(Protocol):
    async def of_users(self, user_ids: Sequence[UserId]) -> Mapping[UserId, tuple[Permit, ...]]: ...

    async def put(self, permits: Iterable[Permit]) -> None:
        """Insert or replace; one row per (user, SKU, source)."""
        ...

    async def forget(self, partition: str, given_before: datetime) -> int:
        """Delete permits given before a time to users whose ids begin with a hex digit; returns how many."""
        ...

    async def allowance(self, source: str) -> tuple[str, str | None]:
        """The stored state of a removal allowance (empty text where there is none) and its ETag."""
        ...

    async def save_allowance(self, source: str, state: str, etag: str | None) -> None:
        """Raises Conflict."""
        ...


@dataclass(frozen=True, slots=True)
class StoredRemovals:
    """The pending removals of a scope, with its state and the state's ETag (None: none yet)."""

    state: ScopeState
    etag: str | None
    rows: tuple[PendingRemoval, ...] = ()


class RemovalStore(Protocol):
    """Pending removals by scope: a group or another source, or `tenant`. Key: user, SKU, time first seen."""

    async def state(self, scope: str) -> StoredRemovals:
        """The state alone, without rows."""
        ...

    async def load(self, scope: str, most: int | None = None) -> StoredRemovals:
        """The state and all rows, as many as a group has members if all are to lose a license; or `most` of them."""
        ...

    async def note(self, scope: str, rows: Iterable[PendingRemoval]) -> None:
        """Insert only: a row that is there, decided or not, stays as it is."""
        ...

    async def save(
        self, scope: str, state: ScopeState, etag: str | None, decided: Iterable[PendingRemoval] = ()
    ) -> None:
        """Replace the state if unchanged since read, and with it the rows that were decided. Raises Conflict."""
        ...

    async def drop(self, scope: str, removals: Iterable[What]) -> None:
        """Delete the undecided rows of these removals, however often they were seen."""
        ...

    async def forget(self, seen_before: datetime) -> int:
        """Delete the rows that were first seen before a time, but for those held for the tenant's approval; returns how
        many."""
        ...


@dataclass(frozen=True, slots=True)
class InLine:
    """A waiting user of a SKU, and since when the user waits."""

    sku_id: SkuId
    user_id: UserId
    since: datetime


class WaitingStore(Protocol):
    """Waiting users: an index of `waiting_since` in the ledger, which decides."""

    async def lines(self, max_age_s: float) -> frozenset[SkuId]:
        """SKUs for which users may wait. An answer that was read within the last `max_age_s` seconds can be reused."""
        ...

    async def first(self, sku_id: SkuId, top: int) -> tuple[InLine, ...]:
        """The longest wait first, at most `top`."""
        ...

    async def count(self, sku_id: SkuId, most: int) -> int:
        """How many users wait for the SKU, each once; at most `most`."""
        ...

    async def join(self, entries: Iterable[InLine]) -> None: ...

    async def leave(self, entries: Iterable[InLine]) -> None:
        """An entry that is not there is no error."""
        ...

    async def close(self, sku_id: SkuId) -> None:
        """Close the queue of the SKU. If a user waits for it, nothing happens."""
        ...


class GroupStatusStore(Protocol):
    async def get(self, group_id: GroupId) -> GroupStatus | None: ...

    async def save(self, status: GroupStatus) -> GroupStatus:
        """Insert (no version) or replace if unchanged; raises Conflict."""
        ...

    async def all(self) -> tuple[GroupStatus, ...]: ...


class ProtectedPeopleStore(Protocol):
    """The protected people, as last read from the directory."""

    async def load(self, max_age_s: float = 0.0) -> ProtectedList:
        """The list; an answer of the last `max_age_s` seconds can be given again, once it has been read."""
        ...

    async def save(self, found: ProtectedList) -> None:
        """Replace the list."""
        ...


class ProductFactsStore(Protocol):
    """Observations of the tenant's products: plans that left them, and pairs that Graph rejected together."""

    async def all(self, now: datetime, max_age_s: float) -> ProductFacts:
        """Everything, as it counts at a time; an answer of the last `max_age_s` seconds can be given again."""
        ...

    async def product(self, sku_id: SkuId) -> tuple[SeenProduct | None, str | None]:
        """A product as observed, and its ETag."""
        ...

    async def save_product(self, product: SeenProduct, etag: str | None) -> None:
        """Insert (etag None) or replace if unchanged. Raises Conflict."""
        ...

    async def conflict(self, pair: Pair) -> tuple[ObservedConflict | None, str | None]:
        """The conflict of a pair, and its ETag."""
        ...

    async def save_conflict(self, conflict: ObservedConflict, etag: str | None) -> None:
        """Insert (etag None) or replace if unchanged. Raises Conflict."""
        ...

    async def remove_conflict(self, pair: Pair) -> None:
        """One that is not there is no error."""
        ...


class BudgetStore(Protocol):
    """The write budget, and what each caller has used: one text for each key."""

    async def load(self, key: str = "writes") -> tuple[str, str | None]:
        """The stored state (empty text where there is none) and its ETag."""
        ...

    async def save(self, state: str, etag: str | None, key: str = "writes") -> str:
        """Returns the new ETag. Raises Conflict."""
        ...


class IdempotencyStore(Protocol):
    async def claim(self, key: str, operation_id: OperationId, fingerprint: str) -> tuple[OperationId, str]:
        """Record the key for the operation, or return what an earlier claim recorded."""
        ...

    async def release(self, key: str, operation_id: OperationId) -> None:
        """Forget a key that is recorded for the operation. Other keys are not changed."""
        ...
