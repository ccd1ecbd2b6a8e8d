"""One assignLicense call, and what a write to Graph can result in."""

from __future__ import annotations

from dataclasses import dataclass

from shared.domain.directory import AssignedLicense
from shared.domain.ids import SkuId


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
    """No usable answer: the write may have been done or not. `throttled`: how a second attempt of it was answered."""

    why: str
    throttled: Throttled | None = None


WriteResult = Accepted | Rejected | Throttled | Unanswered
