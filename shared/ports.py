"""What handlers need of the world: protocols and their promises.

Whatever cannot be read or reached raises `Unavailable`; a read that returns is complete. A lost ETag race raises
`Conflict`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.domain.model import (
    AssignedLicense,
    DirectoryUser,
    Grant,
    GroupId,
    GroupLicenseAssignment,
    LedgerRow,
    MemberState,
    OperationId,
    Permit,
    SkuId,
    SubscribedSku,
    UserId,
)
from shared.domain.operation import Operation
from shared.domain.outcomes import ChunkOutcome
from shared.domain.records import AuditEntry, DeadLetter, GroupStatus, MemberRow
from shared.domain.sealing import SealedPage


class Clock(Protocol):
    def now(self) -> datetime:
        """The time, UTC and aware."""
        ...

    async def sleep(self, seconds: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to send. `at`: not before then."""

    queue: str
    body: bytes
    message_id: str | None = None
    at: datetime | None = None


class Queue(Protocol):
    async def send(self, messages: Sequence[Outgoing]) -> None:
        """Send all of them. Raises Unavailable when any may not have been accepted; sending again is then right."""
        ...


@dataclass(frozen=True, slots=True)
class Organization:
    id: str
    display_name: str
    country_letter_code: str | None


@dataclass(frozen=True, slots=True)
class DirectoryGroup:
    """A group and what decides whether it may be managed. `native_skus`: what native group-based licensing gives it."""

    id: GroupId
    display_name: str
    security_enabled: bool
    group_types: tuple[str, ...] = ()
    hidden_membership: bool = False
    native_skus: tuple[AssignedLicense, ...] = ()


@dataclass(frozen=True, slots=True)
class UserGone:
    """The directory says there is no such user now (404)."""


@dataclass(frozen=True, slots=True)
class NotAUser:
    """The id is of something else, such as a device; `kind` is its Graph type."""

    kind: str


@dataclass(frozen=True, slots=True)
class ReadFailed:
    """This user could not be read completely. `refused`: by Graph with an answer that will not change by waiting."""

    why: str
    retry_after_s: float | None = None
    refused: bool = False


UserRead = DirectoryUser | UserGone | NotAUser | ReadFailed


class Directory(Protocol):
    async def organization(self) -> Organization: ...

    async def subscribed_skus(self, max_age_s: float = 30.0) -> tuple[SubscribedSku, ...]:
        """The tenant's products; an answer read within the last `max_age_s` seconds may be given again."""
        ...

    async def users(self, user_ids: Sequence[UserId], *, with_groups: bool = True) -> Mapping[UserId, UserRead]:
        """One read per id, every id present: state of the user and, `with_groups`, all groups transitively."""
        ...

    async def group(self, group_id: GroupId) -> DirectoryGroup:
        """Raises NotFound when there is no such group."""
        ...

    def member_pages(self, group_id: GroupId) -> AsyncIterator[Sequence[DirectoryUser]]:
        """All users in the group, transitively, page by page, without `group_ids`; other member types are left out.

        Ends normally only after the last page. Raises NotFound, Unavailable; PermissionDenied when members come without
        their properties.
        """
        ...


@dataclass(frozen=True, slots=True)
class LicenseCall:
    """One assignLicense call: additions and removals of one user go out together."""

    add: tuple[AssignedLicense, ...]
    remove: tuple[SkuId, ...]


@dataclass(frozen=True, slots=True)
class Accepted:
    """2xx."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A definite refusal: nothing was written."""

    status: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Throttled:
    """429 or a definite 503: nothing was written. `scope` is the x-ms-throttle-scope header."""

    retry_after_s: float
    scope: str = ""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """No usable answer: the write may have been done or not."""

    why: str


WriteResult = Accepted | Rejected | Throttled | Unanswered


class LicenseWriter(Protocol):
    """Each call returns one result per user, every user present; at most 20 users a call."""

    async def set_usage_locations(
        self, locations: Mapping[UserId, str], *, urgent: bool
    ) -> Mapping[UserId, WriteResult]: ...

    async def assign(self, calls: Mapping[UserId, LicenseCall], *, urgent: bool) -> Mapping[UserId, WriteResult]: ...


@dataclass(frozen=True, slots=True)
class StoredAssignment:
    assignment: GroupLicenseAssignment
    etag: str


class AssignmentStore(Protocol):
    async def get(self, group_id: GroupId) -> StoredAssignment | None: ...

    async def all(self) -> tuple[GroupLicenseAssignment, ...]:
        """Every assignment, ended ones too."""
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

    async def newest(self, top: int, after: str | None = None) -> tuple[tuple[Operation, ...], str | None]:
        """Newest first, at most `top`, and a token for the next page."""
        ...

    async def open(self) -> tuple[Operation, ...]:
        """Operations that have not ended."""
        ...


class SealedStore(Protocol):
    """Sealed pages of an operation; `seal_id` names one complete reading, a crashed one leaves rows nobody reads."""

    async def write(self, operation_id: OperationId, seal_id: str, pages: Iterable[SealedPage]) -> None: ...

    async def page(self, operation_id: OperationId, seal_id: str, number: int) -> SealedPage:
        """Raises NotFound."""
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


class MemberStore(Protocol):
    async def record(self, rows: Iterable[MemberRow]) -> None:
        """Upsert status rows; the row of the error list is written or taken away in the same transaction."""
        ...

    async def forget(self, group_id: GroupId, user_ids: Iterable[UserId]) -> None: ...

    async def page(
        self, group_id: GroupId, top: int, after: str | None = None
    ) -> tuple[tuple[MemberRow, ...], str | None]: ...

    async def errors(
        self, group_id: GroupId, top: int, after: str | None = None
    ) -> tuple[tuple[MemberRow, ...], str | None]:
        """Members in error or waiting only: one short query at any size of group."""
        ...

    async def states(self, group_id: GroupId) -> Mapping[UserId, MemberState]:
        """The state of every recorded member of the group."""
        ...

    async def counts(self, group_id: GroupId) -> Mapping[str, int]:
        """Recorded members by MemberState, counted from the rows."""
        ...

    async def of_user(self, user_id: UserId, group_ids: Iterable[GroupId]) -> tuple[MemberRow, ...]: ...


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

    async def allowance(self, source: str) -> tuple[str, str | None]:
        """The stored state of a removal allowance (empty text where there is none) and its ETag."""
        ...

    async def save_allowance(self, source: str, state: str, etag: str | None) -> None:
        """Raises Conflict."""
        ...


@dataclass(frozen=True, slots=True)
class InLine:
    """A user who waits for a seat of a SKU, and since when."""

    sku_id: SkuId
    user_id: UserId
    since: datetime


class WaitingStore(Protocol):
    """Who waits for seats: an index of `waiting_since` in the ledger, which is the truth."""

    async def lines(self, max_age_s: float) -> frozenset[SkuId]:
        """SKUs that somebody may wait for; an answer read within the last `max_age_s` seconds may be given again."""
        ...

    async def first(self, sku_id: SkuId, top: int, max_age_s: float = 0.0) -> tuple[InLine, ...]:
        """The longest wait first, at most `top`; an answer of the last `max_age_s` seconds may be given again."""
        ...

    async def join(self, entries: Iterable[InLine]) -> None: ...

    async def leave(self, entries: Iterable[InLine]) -> None:
        """An entry that is not there is no error."""
        ...

    async def close(self, sku_id: SkuId) -> None:
        """Nobody waits for the SKU any more; nothing happens where somebody does."""
        ...


class GroupStatusStore(Protocol):
    async def get(self, group_id: GroupId) -> GroupStatus | None: ...

    async def save(self, status: GroupStatus) -> None: ...

    async def all(self) -> tuple[GroupStatus, ...]: ...


class AuditLog(Protocol):
    async def append(self, entries: Iterable[AuditEntry]) -> None:
        """Upsert by id and time: recording an entry again changes nothing."""
        ...

    async def newest(self, top: int, month: str | None = None) -> tuple[AuditEntry, ...]:
        """Newest first; `month` as YYYYMM, default the current one."""
        ...


class BudgetStore(Protocol):
    async def load(self) -> tuple[str, str | None]:
        """The budget's stored state (empty text where there is none) and its ETag."""
        ...

    async def save(self, state: str, etag: str | None) -> str:
        """Returns the new ETag. Raises Conflict."""
        ...


class IdempotencyStore(Protocol):
    async def claim(self, key: str, operation_id: OperationId, fingerprint: str) -> tuple[OperationId, str]:
        """Record the key for the operation, or return what an earlier claim recorded."""
        ...


class DeadLetterStore(Protocol):
    async def keep(self, letter: DeadLetter) -> None: ...

    async def newest(self, top: int) -> tuple[DeadLetter, ...]: ...


@dataclass(frozen=True, slots=True)
class Stores:
    """The tables, each behind its port."""

    assignments: AssignmentStore
    operations: OperationStore
    sealed: SealedStore
    chunks: ChunkStore
    members: MemberStore
    ledger: LedgerStore
    grants: GrantStore
    permits: PermitStore
    waiting: WaitingStore
    group_status: GroupStatusStore
    audit: AuditLog
    budget: BudgetStore
    idempotency: IdempotencyStore
    dead_letters: DeadLetterStore


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings handlers need, as plain values."""

    write_rate_per_s: float = 18.0
    write_burst: int = 30
    write_window_limit: int = 3000
    write_window_s: float = 150.0
    interactive_share: float = 0.2
    removal_settle_s: float = 60.0
    removal_allowance_minimum: int = 20
    removal_allowance_percent: float = 10.0
    chunk_size: int = 20
    outstanding_chunks: int = 36
    tenant_id: str = ""


@dataclass(frozen=True, slots=True)
class World:
    """Everything a handler is given. `token` makes 32 random hex digits."""

    clock: Clock
    queue: Queue
    directory: Directory
    licenses: LicenseWriter
    stores: Stores
    policy: Policy
    token: Callable[[], str]
