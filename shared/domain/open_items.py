"""What needs a person now, counted over the whole tenant: the start page and the navigation show it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from shared.domain.ids import SkuId
from shared.domain.member_counts import MemberCounts

WAITING_MOVES = ("paused", "awaitingApproval")
"""States of a move in which a person decides when it continues."""


@dataclass(frozen=True, slots=True)
class OpenItems:
    """`moves`: moves between native and direct licensing that wait for a person, paused ones included. `waiting`: users
    by the product that they wait for, each once. `errors`: members in error by LicenseError, once for each group.
    `at`: since when the counts are these."""

    approvals: int = 0
    failed_messages: int = 0
    hr_events: int = 0
    profiles: int = 0
    moves: int = 0
    waiting: Mapping[SkuId, int] = field(default_factory=dict)
    errors: Mapping[str, int] = field(default_factory=dict)
    at: datetime | None = field(default=None, compare=False)

    @property
    def license_errors(self) -> int:
        """Errors and waits, as a badge counts them."""
        return sum(self.waiting.values()) + sum(self.errors.values())

    @property
    def decisions(self) -> int:
        """Removals and moves that wait for a person."""
        return self.approvals + self.moves

    @property
    def hr(self) -> int:
        """HR events and versions of profiles that wait for a person."""
        return self.hr_events + self.profiles


def errors_by_cause(counts: Iterable[MemberCounts]) -> dict[str, int]:
    """Members in error by cause, over several groups."""
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each.causes)
    return {cause: number for cause, number in sorted(total.items()) if number > 0}
