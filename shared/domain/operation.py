"""An operation: one accepted request on a group or a list of users.

Phases: seal and plan (one step), approve where removals need a person, release, finish. State words are Graph's
`licenseProcessingState` values where Graph has one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain.assignment import AssignmentOptions
from shared.domain.directory import AssignedLicense
from shared.domain.ids import GroupId, OperationId, SkuId, UserId
from shared.domain.initiator import Initiator
from shared.domain.native_progress import NativeProgress


class OperationKind(StrEnum):
    ASSIGN = "assign"
    REMOVE = "remove"
    CHANGE = "change"
    REPROCESS = "reprocess"
    ADOPT = "manage"
    ENABLE = "turnOnApps"
    STOP_MANAGING = "stopManaging"

    @classmethod
    def _missing_(cls, value: object) -> OperationKind | None:
        """Rows of version 0.1 have the former words."""
        return {"adopt": cls.ADOPT, "enable": cls.ENABLE}.get(str(value))


class OperationState(StrEnum):
    QUEUED = "QueuedForProcessing"
    IN_PROGRESS = "ProcessingInProgress"
    COMPLETE = "ProcessingComplete"
    AWAITING_APPROVAL = "AwaitingApproval"
    PAUSED = "Paused"
    CANCELLED = "Cancelled"
    FAILED = "Failed"

    @property
    def is_ended(self) -> bool:
        return self in (OperationState.COMPLETE, OperationState.CANCELLED, OperationState.FAILED)


class Phase(StrEnum):
    SNAPSHOT = "snapshot"
    APPROVE = "approve"
    PERMIT = "permit"
    REJECT = "reject"
    RELEASE = "dispatch"
    FINISH = "finish"

    @classmethod
    def _missing_(cls, value: object) -> Phase | None:
        """Rows of version 0.1 have the former words."""
        return {"seal": cls.SNAPSHOT, "release": cls.RELEASE}.get(str(value))


@dataclass(frozen=True, slots=True)
class Approval:
    """A person approved, at this time."""

    by: Initiator
    at: datetime


ESTIMATED_FROM = 20
"""Users of an operation that must be done before its end is estimated: a chunk."""

EXPIRED = "ApprovalExpired"
"""Code of an operation whose approval expired."""

HELD = "held"
"""The cause of operations that wait for a person to decide about held removals."""


class Cause(StrEnum):
    """What started an operation, for programs."""

    REQUEST = "request"
    JOB = "job"
    RESTORE = "restore"
    """A cancelled operation, whose group gets its former licenses back."""
    SYNC = "sync"
    DELTA = "delta"
    NESTED = "nested"
    SWEEP = "sweep"
    HELD = "held"
    OTHER = "other"

    @classmethod
    def _missing_(cls, value: object) -> Cause:
        """Operations of the nightly search are told apart by a number: `sweep-0-1`."""
        kind = str(value).partition("-")[0]
        return cls(kind) if kind in set(cls) else cls.OTHER


@dataclass(frozen=True, slots=True)
class Target:
    """A group, or a list of users; exactly one of them."""

    group_id: GroupId | None = None
    user_ids: tuple[UserId, ...] = ()

    @property
    def is_group(self) -> bool:
        return self.group_id is not None


@dataclass(frozen=True, slots=True)
class LicenseChange:
    """The requested change: Graph's `addLicenses` and `removeLicenses`; `options` replace those of the group if set.

    For unmanaged licenses of these SKUs: `manage` makes them managed, `enable` turns on the missing apps.
    """

    add: tuple[AssignedLicense, ...] = ()
    remove: tuple[SkuId, ...] = ()
    options: AssignmentOptions | None = None
    manage: tuple[SkuId, ...] = ()
    enable: tuple[SkuId, ...] = ()
    keep: bool = False
    """The group is not managed any more: all its SKUs are in `remove`, and no user loses one."""

    @property
    def changes_intent(self) -> bool:
        return bool(self.add or self.remove)


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts of users by worst-of class. `members`: all users of the snapshot; `wrote`: users whose licenses were
    written.
    """

    members: int = 0
    due: int = 0
    applied: int = 0
    unchanged: int = 0
    waiting: int = 0
    failed: int = 0
    skipped: int = 0
    wrote: int = 0

    @property
    def done(self) -> int:
        return self.applied + self.unchanged + self.waiting + self.failed + self.skipped

    @property
    def remaining(self) -> int:
        return max(0, self.members - self.done)

    def with_rest_skipped(self) -> Totals:
        """Totals of an operation that ends now: users without an outcome count as skipped."""
        return replace(self, skipped=self.skipped + self.remaining)


@dataclass(frozen=True, slots=True)
class PlanSummary:
    """The result of planning the users of the snapshot: the preview, and the numbers behind an approval."""

    additions: Mapping[SkuId, int] = field(default_factory=dict)
    removals: Mapping[SkuId, int] = field(default_factory=dict)
    plans_off: int = 0
    seats_needed: Mapping[SkuId, int] = field(default_factory=dict)
    seats_available: Mapping[SkuId, int] = field(default_factory=dict)
    usage_locations: int = 0
    expected_errors: Mapping[str, int] = field(default_factory=dict)
    unmanaged: int = 0
    """Members with an unmanaged license, which is not changed."""
    warnings: tuple[str, ...] = ()
    """What Microsoft's lists, or the tenant's subscriptions, say against the products; nothing is left out for it."""
    users_losing: int = 0
    """Users for whom a removal is planned; what the allowance is compared with."""
    protected: tuple[UserId, ...] = ()
    """Protected people among them: without an approval that names them their licenses stay."""
    users_failing: int = 0
    """Users with an error other than that no license is available."""
    users_waiting: int = 0
    users_keeping: int = 0
    """Users who keep a license of a group that is not managed any more."""


@dataclass(frozen=True, slots=True)
class OperationFilter:
    """Which operations are shown; empty fields let all pass. `since` and `until`: when they were created."""

    state: OperationState | None = None
    group_id: GroupId | None = None
    since: datetime | None = None
    until: datetime | None = None

    def lets_pass(self, operation: Operation) -> bool:
        """Whether the state and the group are those; the time is not checked."""
        return self.state in (None, operation.state) and self.group_id in (None, operation.target.group_id)


EVERY_OPERATION = OperationFilter()


@dataclass(frozen=True, slots=True)
class OperationError:
    """Why an operation ended without doing its work."""

    code: str
    message: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    """One row per accepted request. `version` is the ETag of the stored row, None before it is stored.

    `step` numbers the continuation messages: a message that carries an older step, or an older `run`, returns.
    """

    id: OperationId
    kind: OperationKind
    target: Target
    change: LicenseChange
    initiator: Initiator
    created_at: datetime
    preview: bool = False
    state: OperationState = OperationState.QUEUED
    phase: Phase = Phase.SNAPSHOT
    step: int = 0
    run: int = 0
    intent_version: int = 0
    intent_written: bool = False
    """The group's assignment has said what this operation asks; a different operation there now is a newer one."""
    cause: str = "request"
    correlation_id: str = ""
    traceparent: str = ""
    idempotency_key: str = ""
    snapshot_id: str = ""
    pages: int = 0
    chunk_size: int = 20
    """Users of a chunk at most, as stored with the snapshot: a changed setting must not divide an open operation."""
    chunks: int = 0
    released: int = 0
    """Chunks handed out so far, counted through all pages in order."""
    reported: int = 0
    """Every chunk before this one has an outcome for each of its users."""
    totals: Totals = Totals()
    """The totals that are shown: exact once the operation has ended."""
    counted: Totals = Totals()
    """Users whose outcome can no longer change: not due ones, and those of chunks before `reported`."""
    plan: PlanSummary = field(default_factory=PlanSummary)
    checksum: str = ""
    approvals: tuple[Approval, ...] = ()
    """Approvals so far, oldest first: two are needed of what no person requested and a protected person would lose."""
    approved_by: Initiator | None = None
    """The person whose approval let the removals go."""
    cancel_requested_by: Initiator | None = None
    superseded_by: OperationId | None = None
    error: OperationError | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    progress_at: datetime | None = None
    reprocess: bool = False
    """A person requested reprocessing: remembered rejections do not count."""
    reason: str = ""
    """Of an approval that the app opened: what happened, so that removals are held."""
    other_changes: Mapping[GroupId, LicenseChange] = field(default_factory=dict)
    """Of a preview on a group: changes of other groups that it assumes."""
    preview_id: OperationId | None = None
    """The preview whose removals the same person has already seen and approved with this request."""
    native: NativeProgress | None = None
    """Of an operation on a natively licensed group: how far it is. None: this app assigns the licenses."""
    version: str | None = None

    @property
    def estimated_end(self) -> datetime | None:
        """When the last user is done at the rate so far, as of the last progress; None while nothing can be said."""
        if self.state is not OperationState.IN_PROGRESS or self.started_at is None or self.progress_at is None:
            return None
        left = self.totals.remaining
        done = self.totals.due - left
        elapsed = self.progress_at - self.started_at
        if done < ESTIMATED_FROM or left == 0 or elapsed <= timedelta(0):
            return None
        return self.progress_at + elapsed * (left / done)

    def ended(self, state: OperationState, now: datetime, error: OperationError | None = None) -> Operation:
        """The operation in an ended state, with its time and reason."""
        return replace(self, state=state, completed_at=now, progress_at=now, error=error or self.error)


def waits_for_a_person(operation: Operation) -> bool:
    """Whether nothing happens by the operation until a person decides, which may take days."""
    return operation.state is OperationState.AWAITING_APPROVAL


def decides_removals(operation: Operation) -> bool:
    """Whether the operation decides about its removals as a whole: a requested change, and an approval.

    A sync or a reprocess asks for nothing. Its additions go out, and its removals wait with those of their groups like
    any other change that was found. The same is true of an operation after which a group is not managed any more.
    """
    if operation.initiator.is_app_itself:
        return operation.cause == HELD
    if operation.change.keep:
        return False
    return operation.change.changes_intent or operation.change.options is not None


def is_for_tenant(operation: Operation) -> bool:
    """Whether the operation is the approval of the whole tenant; its users are named when a person opens it."""
    return operation.cause == HELD and not operation.target.is_group


def is_collecting(operation: Operation) -> bool:
    """Whether the operation only collects held removals of a group until a person opens it."""
    return operation.state is OperationState.AWAITING_APPROVAL and operation.phase is Phase.SNAPSHOT
