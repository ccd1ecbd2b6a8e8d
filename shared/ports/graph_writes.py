"""Writes to Graph: licenses, usage locations and memberships, and the results they can have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.domain.directory import AssignedLicense
from shared.domain.ids import GroupId, SkuId, UserId


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


@dataclass(frozen=True, slots=True, order=True)
class MembershipChange:
    """Make a user a direct member of a group, or no member."""

    group_id: GroupId
    user_id: UserId
    add: bool


@dataclass(frozen=True, slots=True)
class AlreadySo:
    """The user is a direct member already, or is none."""


class Memberships(Protocol):
    async def change(self, changes: Sequence[MembershipChange]) -> Sequence[WriteResult | AlreadySo]:
        """One result per change, in order; at most 20 a call."""
        ...
