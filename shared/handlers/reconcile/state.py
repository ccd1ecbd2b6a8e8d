"""One user of a chunk on the way from read to record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from shared.domain.assignment import GroupLicenseAssignment
from shared.domain.catalog import Catalog
from shared.domain.directory import DirectoryUser, LicenseError
from shared.domain.grant import Grant
from shared.domain.ids import GroupId, SkuId, UserId
from shared.domain.ledger_row import LedgerRow, RefusalRecord
from shared.domain.operation import Operation
from shared.domain.outcomes import Problem, Result
from shared.domain.plan import PlanContext, UserPlan
from shared.domain.read_models import AuditEntry


@dataclass(slots=True)
class Case:
    """What is known of a user so far. `result` set early ends the user's part before planning."""

    user_id: UserId
    row: LedgerRow
    user: DirectoryUser | None = None
    grants: tuple[Grant, ...] = ()
    context: PlanContext | None = None
    plan: UserPlan | None = None
    result: Result | None = None
    wrote: bool = False
    """A license write of this cause succeeded, now or before a crash."""
    wrote_before: bool = False
    """It had succeeded before this look."""
    stored: LedgerRow | None = None
    """The row as it was read."""
    unsaved: bool = False
    """The row is not as it is stored: what an earlier attempt left was judged, or a license was seen to be gone."""
    came_from: frozenset[GroupId] = frozenset()
    """Groups that gave a license of ours when the look began; their rows change when it goes."""
    problems: list[Problem] = field(default_factory=list)
    waiting: list[SkuId] = field(default_factory=list)
    refusals: dict[SkuId, RefusalRecord] = field(default_factory=dict)
    audit: list[AuditEntry] = field(default_factory=list)

    def catalog(self) -> Catalog:
        """The products the user was planned with."""
        if self.context is None:
            raise ValueError(f"user {self.user_id} was not planned")
        return self.context.catalog

    def fail(self, error: LicenseError, text: str, remedy: str, sku_id: SkuId | None = None) -> None:
        self.problems.append(Problem(error, text, remedy, sku_id))


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
    told: Mapping[UserId, Mapping[GroupId, bool]] = field(default_factory=dict)
    told_at: datetime | None = None
    """What the event behind this work said of each user, and when."""
    asked_at: datetime | None = None
    """Counts of seats must not be older: whoever asks may just have bought some."""

    @property
    def group_id(self) -> GroupId | None:
        return self.operation.target.group_id if self.operation else None
