"""One assignLicense call, and what a write to Graph can result in."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from shared.domain.directory import AssignedLicense, DirectoryUser, LicenseAssignmentState
from shared.domain.ids import SkuId


@dataclass(frozen=True, slots=True)
class LicenseCall:
    """One assignLicense call: additions and removals of one user go out together."""

    add: tuple[AssignedLicense, ...]
    remove: tuple[SkuId, ...]


NO_CALL = LicenseCall((), ())


def as_left_by(user: DirectoryUser, call: LicenseCall, now: datetime) -> DirectoryUser:
    """The user as the accepted call leaves it."""
    touched = {license.sku_id for license in call.add} | set(call.remove)
    rows = [
        row for row in user.license_assignment_states if row.assigned_by_group is not None or row.sku_id not in touched
    ]
    rows += [LicenseAssignmentState(each.sku_id, each.disabled_plans, last_updated=now) for each in call.add]
    return replace(user, license_assignment_states=tuple(rows))


Between = tuple[datetime, datetime]
"""The earliest and the latest time at which Graph worked on a call, by Graph's own clock."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """2xx. `between` is None if the answer does not have it."""

    between: Between | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A definite rejection. Of a call with several parts, some may have been carried out before it."""

    status: int
    code: str
    message: str
    between: Between | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Throttled:
    """429 or a definite 503: nothing was written. `scope` is the x-ms-throttle-scope header."""

    retry_after_s: float
    scope: str = ""


@dataclass(frozen=True, slots=True)
class Contended:
    """Rejected because other writes to the tenant, or to the user, are in flight: the same write later succeeds."""

    message: str
    retry_after_s: float | None = None
    between: Between | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Unanswered:
    """No usable answer: the write may have been done or not. `throttled`: how a second attempt of it was answered."""

    why: str
    throttled: Throttled | None = None


@dataclass(frozen=True, slots=True)
class Unsent:
    """No connection could be opened from here: nothing was written. It says nothing about the quota of others."""

    retry_after_s: float


WriteResult = Accepted | Rejected | Throttled | Contended | Unanswered | Unsent
