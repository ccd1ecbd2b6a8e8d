"""How a user's part of the work ends: values, one per user, that decide what is recorded and what is sent again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.domain.directory import LicenseError
from shared.domain.ids import SkuId, UserId


class SkipReason(StrEnum):
    """Why nothing was done for a user."""

    GUEST = "guest"
    ACCOUNT_DISABLED = "accountDisabled"
    EXCLUDED = "excluded"
    DO_NOT_LICENSE = "doNotLicense"
    NOT_A_USER = "notAUser"
    HELD = "held"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with one SKU of a user (or with the user, where `sku_id` is None), with its remedy."""

    error: LicenseError
    text: str
    remedy: str
    sku_id: SkuId | None = None
    held_by: tuple[SkuId, ...] = ()
    """Products of the same group whose errors kept this one from being assigned too."""


@dataclass(frozen=True, slots=True)
class Applied:
    """Graph accepted the write."""


@dataclass(frozen=True, slots=True)
class Unchanged:
    """There was nothing to do."""


@dataclass(frozen=True, slots=True)
class Skipped:
    reason: SkipReason


@dataclass(frozen=True, slots=True)
class Waiting:
    """No seat is free for these SKUs."""

    sku_ids: tuple[SkuId, ...]


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Look again then. `rejected` says that Graph rejected or failed the work: only that counts as an attempt.

    `unread`: this user could not be read or written now, which is no attempt, and may not last for ever either.
    `error`: what the user shows when it was tried too often.
    """

    at: datetime
    why: str
    rejected: bool = False
    unread: bool = False
    error: LicenseError = LicenseError.UNAVAILABLE


@dataclass(frozen=True, slots=True)
class Failed:
    """A visible error with a remedy."""

    problems: tuple[Problem, ...]


Result = Applied | Unchanged | Skipped | Waiting | RetryAt | Failed


class OutcomeClass(StrEnum):
    """The classes a user falls into, worst first; RETRY is not an end."""

    RETRY = "retry"
    FAILED = "failed"
    WAITING = "waiting"
    SKIPPED = "skipped"
    APPLIED = "applied"
    UNCHANGED = "unchanged"


def classify(result: Result) -> OutcomeClass:
    """The class a result falls into."""
    match result:
        case RetryAt():
            return OutcomeClass.RETRY
        case Failed():
            return OutcomeClass.FAILED
        case Waiting():
            return OutcomeClass.WAITING
        case Skipped():
            return OutcomeClass.SKIPPED
        case Applied():
            return OutcomeClass.APPLIED
        case Unchanged():
            return OutcomeClass.UNCHANGED


@dataclass(frozen=True, slots=True)
class ChunkOutcome:
    """The part of one user in a chunk row. `wrote` stays true once a license write of this operation succeeded."""

    user_id: UserId
    outcome: OutcomeClass
    wrote: bool = False
    retry_at: datetime | None = None

    @property
    def is_final(self) -> bool:
        return self.outcome is not OutcomeClass.RETRY


def merge(before: ChunkOutcome | None, after: ChunkOutcome) -> ChunkOutcome:
    """The outcome to keep when a chunk reports a user again. A final outcome is never overwritten, and a successful
    write is never forgotten. A user whose write succeeded and who needs nothing more is `applied`."""
    if before is None:
        return after
    if before.is_final:
        return before
    wrote = before.wrote or after.wrote
    outcome = OutcomeClass.APPLIED if wrote and after.outcome is OutcomeClass.UNCHANGED else after.outcome
    return ChunkOutcome(after.user_id, outcome, wrote, after.retry_at)
