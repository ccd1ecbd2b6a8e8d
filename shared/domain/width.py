"""Width: how many license writes are in flight for the tenant at once, as leases that all workers share.

Some tenants reject writes beside others as concurrent. The width then falls, until they are accepted, and rises again
after an increasing time without rejections. A pure function of a small state. Times are seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

STEPS = (1, 5, 20, 60)
LEASE_S = 75.0
"""A lease ends by then, if its worker died: a write that was sent may arrive this late (`read_back.IN_FLIGHT`)."""

TOGETHER_S = 10.0
"""Rejections of two users within this time concern the tenant; those of one user may be of that user alone."""

FIRST_WAIT_S, LONGEST_WAIT_S = 10.0, 1800.0
"""Time without rejections before the width rises. It doubles with each rise that led to rejections again."""

WRITES_PER_USER = 50
"""Accepted writes before the width rises, for each write of the next step: so a rise that fails rejects 2 % at most."""

URGENT_S = 2.0
"""How long the next free lease is kept for interactive work that found none."""

ALONE_S = 3600.0
"""A rejection of another user within this time shows that the tenant rejects, not only one user."""


@dataclass(frozen=True, slots=True)
class Lease:
    """Users whose license writes are in flight, from a time on."""

    id: int
    users: int
    began: float


@dataclass(frozen=True, slots=True)
class Rejection:
    """The newest concurrency rejection of a user, of a write that began at a time."""

    user: str
    began: float
    at: float


@dataclass(frozen=True, slots=True)
class Width:
    """`step`: index of STEPS, since `changed_at`. `failed`: rises in a row that led to rejections. `accepted`: writes
    since `quiet_from`, the last rejection or change. `hold_s`: how long a write takes."""

    step: int = len(STEPS) - 1
    changed_at: float = 0.0
    is_trial: bool = False
    failed: int = 0
    accepted: int = 0
    quiet_from: float = 0.0
    rejected: tuple[Rejection, ...] = ()
    leases: tuple[Lease, ...] = ()
    next_id: int = 1
    urgent_until: float = 0.0
    hold_s: float = 0.0

    @property
    def limit(self) -> int:
        return STEPS[self.step]

    def is_narrow(self, pace: float) -> bool:
        """Whether writes in flight limit the rate, and not the quota."""
        return writes_per_s(self, pace) < pace

    def to_list(self) -> list[Any]:
        """As JSON values."""
        return [
            self.step,
            self.changed_at,
            self.is_trial,
            self.failed,
            self.accepted,
            self.quiet_from,
            [[each.user, each.began, each.at] for each in self.rejected],
            [[each.id, each.users, each.began] for each in self.leases],
            self.next_id,
            self.urgent_until,
            round(self.hold_s, 3),
        ]

    @classmethod
    def from_list(cls, values: list[Any]) -> Width:
        rejected = tuple(Rejection(*each) for each in values[6])
        leases = tuple(Lease(*each) for each in values[7])
        known: list[Any] = [*values[:6], rejected, leases, *values[8:]]
        return cls(*known)


def leased(width: Width, users: int, now: float, *, urgent: bool) -> tuple[Lease | None, Width]:
    """A lease for as many of the users as there is room for; None if there is none now. Interactive work that finds
    none gets the next free one."""
    live = tuple(each for each in width.leases if now < each.began + LEASE_S)
    free = width.limit - sum(each.users for each in live)
    count = min(users, free)
    if count <= 0 or (not urgent and now < width.urgent_until):
        return None, replace(width, urgent_until=now + URGENT_S) if urgent else width
    lease = Lease(width.next_id, count, now)
    until = 0.0 if urgent else width.urgent_until
    return lease, replace(width, leases=(*live, lease), next_id=width.next_id + 1, urgent_until=until)


def released(width: Width, lease: Lease, accepted: int, rejected: Collection[str], now: float) -> Width:
    """The width after the writes of a lease were answered. `rejected`: the users rejected as concurrent."""
    held = now - lease.began
    hold_s = held if not width.hold_s else 0.8 * width.hold_s + 0.2 * held
    width = replace(
        width,
        leases=tuple(each for each in width.leases if each.id != lease.id),
        accepted=width.accepted + accepted,
        hold_s=hold_s if accepted else width.hold_s,
    )
    for user in rejected:
        after = _after_rejection(width, Rejection(user, lease.began, now))
        if after.step < width.step:
            # Once for the whole call, whatever else it rejects.
            width = after
            break
        width = after
    return width if rejected else _widened(width, now)


def is_alone(width: Width, user: str, now: float) -> bool:
    """Whether, of all users, only this one is rejected as concurrent."""
    return all(each.user == user or now > each.at + ALONE_S for each in width.rejected)


def writes_per_s(width: Width, pace: float) -> float:
    """Writes per second that can be expected."""
    return min(pace, width.limit / width.hold_s) if width.hold_s else pace


def _after_rejection(width: Width, rejection: Rejection) -> Width:
    others = [each for each in width.rejected if each.user != rejection.user]
    width = replace(width, rejected=(*others[-1:], rejection))
    if rejection.began < width.changed_at:
        # It was sent before the width fell, and belongs to the same occurrence.
        return width
    width = replace(width, accepted=0, quiet_from=rejection.at)
    together = [each for each in others if each.began >= width.changed_at and rejection.at - each.at <= TOGETHER_S]
    if not together or width.step == 0:
        return width
    return replace(
        width,
        step=width.step - 1,
        changed_at=rejection.at,
        failed=width.failed + width.is_trial,
        is_trial=False,
    )


def _widened(width: Width, now: float) -> Width:
    """One step wider after a while without rejections. The writes of a step before it must have been accepted too."""
    if width.step == len(STEPS) - 1:
        return width
    factor = 2 ** min(width.failed, 10)
    wait_s = min(FIRST_WAIT_S * factor, LONGEST_WAIT_S)
    needed = WRITES_PER_USER * STEPS[width.step + 1]
    if now - width.quiet_from < wait_s or width.accepted < needed:
        return width
    failed = 0 if width.is_trial else width.failed
    return replace(width, step=width.step + 1, changed_at=now, is_trial=True, failed=failed, accepted=0, quiet_from=now)
