"""One user on the way from read to record: four values, each made from the one before, none of them ever changed.

`Read` is what the directory and the tables say, `Planned` what should be written, `Attempted` what Graph answered, and
`Recorded` what was kept. Every decision between them is in `verdict`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from shared.domain.assignment import GroupLicenseAssignment
from shared.domain.directory import DirectoryUser, UserRead
from shared.domain.grant import Grant
from shared.domain.ids import GroupId, Plans, SkuId, UserId
from shared.domain.ledger_row import Intent, LedgerRow, RejectionRecord
from shared.domain.operation import Operation
from shared.domain.outcomes import Problem, Result, RetryAt, Unchanged
from shared.domain.plan import UserPlan
from shared.domain.plan_draft import PlanContext
from shared.domain.product_facts import ObservedConflict, Pair
from shared.domain.read_models import AuditEntry
from shared.domain.write_results import LicenseCall


@dataclass(frozen=True, slots=True)
class Work:
    """One message's work: its operation (None for events), the assignments it sees, and the time it began."""

    cause: str
    urgent: bool
    assignments: Mapping[GroupId, GroupLicenseAssignment]
    began: datetime
    operation: Operation | None = None
    attempts: Mapping[UserId, int] = field(default_factory=dict)
    first_sent_at: datetime | None = None
    observed: Mapping[UserId, Mapping[GroupId, bool]] = field(default_factory=dict)
    observed_at: datetime | None = None
    """When the event behind this work was observed, by user."""
    writing_since: datetime | None = None

    @property
    def group_id(self) -> GroupId | None:
        return self.operation.target.group_id if self.operation else None

    @property
    def is_cancelled(self) -> bool:
        return self.operation is not None and self.operation.cancel_requested_by is not None


@dataclass(frozen=True, slots=True)
class Read:
    """One user as read. `row` is `stored` compared with the directory: intents resolved, missing licenses dropped.
    `locked_until`: another write to this user is not resolved before then."""

    user_id: UserId
    answer: UserRead
    stored: LedgerRow
    row: LedgerRow
    grants: tuple[Grant, ...] = ()
    locked_until: datetime | None = None
    resolved: Intent | None = None
    """A write of an earlier attempt that the directory shows as done."""
    wrote: bool = False
    """A license write of this cause succeeded before, and its answer may have been lost with a crash."""
    came_from: frozenset[GroupId] = frozenset()
    """Groups that gave a managed license when the user was read; their rows change when it goes."""

    @property
    def user(self) -> DirectoryUser | None:
        return self.answer if isinstance(self.answer, DirectoryUser) else None


@dataclass(frozen=True, slots=True)
class Planned:
    """What should be written for a user. `plan` is None for a user that could not be read or is locked.

    `result`: how the user's part ends before anything is written; None lets the plan go out.
    """

    read: Read
    row: LedgerRow
    grants: tuple[Grant, ...] = ()
    context: PlanContext | None = None
    plan: UserPlan | None = None
    audit: tuple[AuditEntry, ...] = ()
    result: Result | None = None


@dataclass(frozen=True, slots=True)
class Attempted:
    """The calls for a user and Graph's answers (see `attempt`). `stored` is the ledger row as last written."""

    planned: Planned
    user: DirectoryUser | None
    row: LedgerRow
    stored: LedgerRow
    wrote: bool
    calls: tuple[LicenseCall, ...] = ()
    """Calls still to be made, the next one first."""
    location: str | None = None
    """The usage location still to be set before the next call."""
    retry: RetryAt | None = None
    """Why no further call is made now."""
    problems: tuple[Problem, ...] = ()
    waiting: tuple[SkuId, ...] = ()
    rejections: Mapping[SkuId, RejectionRecord] = field(default_factory=dict)
    audit: tuple[AuditEntry, ...] = ()
    """Entries not written yet."""
    conflicts: Mapping[Pair, ObservedConflict] = field(default_factory=dict)
    """Products that Graph rejected together for this user."""
    rejected_plans: Mapping[SkuId, Plans] = field(default_factory=dict)
    """Disabled plans that Graph rejected as not part of their product."""
    unclear: Mapping[SkuId, RejectionRecord] = field(default_factory=dict)
    """What rejections showed without an error of a product. It is remembered if calls are left (`rejected_calls`)."""
    result: Result | None = None
    """How the user's part ends; set once, when every call was made."""

    @property
    def user_id(self) -> UserId:
        return self.planned.read.user_id

    @property
    def plan(self) -> UserPlan | None:
        return self.planned.plan

    @property
    def is_active(self) -> bool:
        return bool(self.calls) and self.retry is None


@dataclass(frozen=True, slots=True)
class Recorded:
    """The stored result of a user. `retry`: another write to the user came first, so this one proves nothing."""

    attempted: Attempted
    retry: RetryAt | None = None

    @property
    def result(self) -> Result:
        """How the user's part ends after all."""
        return self.retry or self.attempted.result or Unchanged()

    @property
    def user_id(self) -> UserId:
        return self.attempted.user_id
