"""The write budget: when the next writes can start, so that Graph's published limits are used up and not exceeded.

A pure function of a small state: the generic cell rate algorithm for a rate with a burst, and a count over a sliding
window. The rate that a tenant takes is in `write_rate`, and how many writes it takes at once in `width`.

Microsoft publishes 3,000 writes in 150 s, but not how they are counted (learn.microsoft.com/graph/throttling-limits).
Times are seconds since the epoch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from shared.domain.denials import Right
from shared.domain.width import Width, writes_per_s
from shared.domain.write_rate import Rate
from shared.domain.writing import NO_SWITCH, RETRY_S, Switch, WritingSetting, writing_of

BUCKETS = 75
"""Pieces the window is counted in: the count is at most a piece too careful, and the state stays below 2 KB."""

MAX_FREEZE_S = 300.0
"""The longest Retry-After that is believed: an absurd one must not stop all work for hours."""

KEPT_S = 15.0
"""How long after its start a charge in advance may be used: what slow reads held up goes out all at once. A guess:
far above the second that reads take, far below the window."""


BURST_SHARE = 0.8
"""Share of the window that additions may use at once; the rest is a reserve for other work."""

UNITS_PER_10_S = 8_000
"""Resource units that an app has in a tenant of more than 500 users, beside its writes. Smaller tenants have less, and
too few users to use it (learn.microsoft.com/graph/throttling-limits)."""

UNITS_PER_USER = 4
"""1 for the user's properties, 2 for the groups, 1 for `assignLicense` (learn.microsoft.com/graph/throttling-limits,
with $select)."""

UNITS_WINDOW_SHARE = BURST_SHARE * UNITS_PER_10_S / UNITS_PER_USER / 3_000
"""Share of the window's writes that additions may use within a fifteenth of the window (10 s), because of the units."""

BULK_SHARE = 0.985
BULK_SHARE_AFTER_BURST = 0.95
"""Share of the window for bulk work. After a burst the window is full for a while, and small changes go on."""

BURST_PROVEN = 50
"""Writes of an operation that must have succeeded before more of its additions may exceed the even rate."""

NO_BURST_S = 86_400.0
"""How long nothing exceeds the even rate after a 429."""

SOON_S = 2.0
"""When work comes back that may exceed the even rate as soon as its operation has proven itself."""


MAX_AHEAD_S = 45.0
"""The last place in a tail is at most this long after the first: the rate may be higher by then."""


class Burst(StrEnum):
    """Whether writes may exceed the even rate: never, after the first writes of their operation, or now."""

    NEVER = "never"
    LATER = "later"
    NOW = "now"


class Lane(StrEnum):
    """Work that a person waits for, and the rest."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


MAX_WAIT_S: Mapping[Lane, float] = {Lane.INTERACTIVE: 3.0, Lane.BULK: 1.8}
"""A start at most this far away is charged and waited for; a later one is a place to come back to. Bulk may book less
ahead, so that interactive work always finds room before its own limit."""


@dataclass(frozen=True, slots=True)
class BudgetLimits:
    """`rate_per_s` with `burst` writes at once, and at most `window_limit` writes in any `window_s` seconds.

    Bulk work that must come back is called at the pace less an eighth of `interactive_share`, about what small changes
    take; their precedence comes from MAX_WAIT_S. More than `burst` writes in one charge go out at once and are paid
    back.
    """

    rate_per_s: float
    burst: int
    window_limit: int
    window_s: float
    interactive_share: float = 0.2
    writing: WritingSetting = WritingSetting.ON

    @property
    def pace(self) -> float:
        """Writes per second that can continue. At a rate above the window's, all lanes would stall on the window, where
        no lane has priority."""
        return min(self.rate_per_s, self.window_limit / self.window_s)


@dataclass(frozen=True, slots=True)
class Charged:
    """Writes charged in advance, and the start they were given."""

    start: float
    writes: int
    is_burst: bool = False

    @property
    def slot(self) -> Slot:
        return Slot(self.start, charged=True, is_burst=self.is_burst)


@dataclass(frozen=True, slots=True)
class BudgetState:
    """`full_until`: when all reserved writes have been used at the rate; `busy_from`: since when without a pause.
    `tails`: reservations for later. `burst_from`: nothing exceeds the even rate before. `level_until`: `full_until` of
    all writes, those that exceeded it included; `burst_at`: the last of these. `denied`: since when each permission is
    missing.

    `switch`: whether an administrator lets the app write. It is in the same row as the reservations, so a reservation
    made after the switch was turned off loses its race.
    """

    full_until: float = 0.0
    busy_from: float = 0.0
    not_before: float = 0.0
    tails: Mapping[Lane, float] = field(default_factory=dict)
    counts: Mapping[int, int] = field(default_factory=dict)
    burst_from: float = 0.0
    level_until: float = 0.0
    burst_at: float = 0.0
    width: Width = field(default_factory=Width)
    rate: Rate = field(default_factory=Rate)
    denied: Mapping[Right, float] = field(default_factory=dict)
    switch: Switch = NO_SWITCH

    def to_json(self) -> str:
        s = self.switch
        burst = (self.burst_from, self.level_until, self.burst_at)
        return json.dumps(
            {
                # Rounded up, so that a stored state never starts writes earlier. At the edge of a piece of the window,
                # a millisecond decides whether a start must wait for the next piece.
                "fullUntil": _up(self.full_until),
                # Down, so that the start of a charge is never taken for earlier than the pause before it.
                "busyFrom": math.floor(self.busy_from * 1000) / 1000,
                "notBefore": _up(self.not_before),
                "tails": {str(lane): _up(at) for lane, at in self.tails.items()},
                "counts": {str(bucket): count for bucket, count in sorted(self.counts.items())},
                **({"burst": [_up(each) for each in burst]} if any(burst) else {}),
                **({"width": self.width.to_list()} if self.width != Width() else {}),
                **({"rate": self.rate.to_list()} if self.rate != Rate() else {}),
                **({"denied": {str(right): at for right, at in self.denied.items()}} if self.denied else {}),
                **({} if s == NO_SWITCH else {"writing": [s.is_on, s.at, s.was_forced]}),
            },
            separators=(",", ":"),
        )

    @classmethod
    def from_json(cls, text: str) -> BudgetState:
        fields = json.loads(text)
        burst = fields.get("burst", (0.0, 0.0, 0.0))
        return cls(
            full_until=float(fields["fullUntil"]),
            busy_from=float(fields.get("busyFrom", fields["fullUntil"])),
            not_before=float(fields["notBefore"]),
            tails={Lane(lane): float(at) for lane, at in fields["tails"].items()},
            counts={int(bucket): int(count) for bucket, count in fields["counts"].items()},
            burst_from=float(burst[0]),
            level_until=float(burst[1]),
            burst_at=float(burst[2]),
            width=Width.from_list(fields["width"]) if "width" in fields else Width(),
            rate=Rate(*fields.get("rate", ())),
            denied={Right(right): float(at) for right, at in fields.get("denied", {}).items()},
            switch=Switch(*fields.get("writing", ())),
        )


def _up(at: float) -> float:
    """A time in whole microseconds, never an earlier one."""
    rounded = math.ceil(at * 1e6) / 1e6
    return rounded if rounded >= at else rounded + 1e-6


EMPTY = BudgetState()
"""No reservation, and no waiting worker."""


def new_state(limits: BudgetLimits, now: float) -> BudgetState:
    """The state where none is stored: what others have written is not known, so the window counts as used."""
    return BudgetState(burst_from=now + limits.window_s)


@dataclass(frozen=True, slots=True)
class Slot:
    """When the writes may start. Not `charged`: nothing is used yet, come back then. `since`: the start they were
    charged with, where they go out later than that. `is_off`: nothing may be written now."""

    start: float
    charged: bool
    since: float | None = field(default=None, compare=False)
    is_off: bool = False
    is_burst: bool = field(default=False, compare=False)


def charge(
    state: BudgetState, limits: BudgetLimits, lane: Lane, n: int, now: float, burst: Burst = Burst.NEVER
) -> tuple[Slot, BudgetState]:
    """A start for `n` writes. A near one is charged; a far one reserves the next place of the lane's tail.

    Reserving charges nothing, so a place that is not claimed is not lost; nor is it held: the first caller that asks
    when there is room is charged. Raises ValueError for more writes than a window holds.
    """
    if not 0 < n <= limits.window_limit:
        raise ValueError(f"{n} writes at once: must be 1 to {limits.window_limit}")
    if not writing_of(state.switch, limits.writing).is_on:
        return Slot(now + RETRY_S, charged=False, is_off=True), state
    limits = learned(state, limits)
    start = _earliest(state, limits, lane, n, now)
    may_burst = burst is not Burst.NEVER and start > now and _has_burst(state, limits, n, now)
    if may_burst and burst is Burst.NOW and _has_units(state, limits, n, now):
        return Slot(now, charged=True, is_burst=True), _burst(state, limits, n, now)
    if start - now <= MAX_WAIT_S[lane]:
        return Slot(start, charged=True), _charged(state, limits, n, start)
    if may_burst:
        return Slot(now + SOON_S, charged=False), state
    return later(state, limits, lane, n, start, now)


def later(
    state: BudgetState, limits: BudgetLimits, lane: Lane, n: int, start: float, now: float
) -> tuple[Slot, BudgetState]:
    first = max(min(start, now + limits.window_s), now + MAX_WAIT_S[lane])
    tail = min(max(state.tails.get(lane, 0.0), first), first + MAX_AHEAD_S)
    pace = writes_per_s(state.width, limits.pace)
    pace = pace if lane is Lane.INTERACTIVE else pace * (1.0 - limits.interactive_share / 8)
    return Slot(tail, charged=False), replace(state, tails={**state.tails, lane: tail + n / pace})


def burst_of(wrote: int, window_limit: int) -> Burst:
    """Whether more additions of an operation may exceed the even rate, after it has written for so many users. The
    first ones may, as soon as some have succeeded."""
    if wrote >= BURST_SHARE * window_limit:
        return Burst.NEVER
    return Burst.NOW if wrote >= BURST_PROVEN else Burst.LATER


def writes_for(*, licenses: bool, location: bool) -> int:
    """Writes that the plan of a user takes: one for all licenses, and one before it for a usage location."""
    return 1 + location if licenses else 0


def given_back(state: BudgetState, limits: BudgetLimits, n: int, slot: Slot) -> BudgetState:
    """The state without `n` writes of a charge, seconds ago, that were not sent after all. Where there was a pause
    since they were charged, the rate had them back already."""
    limits = learned(state, limits)
    since = slot.start if slot.since is None else slot.since
    is_even = since >= state.busy_from and not slot.is_burst
    full_until = state.full_until - n / limits.pace if is_even else state.full_until
    state = replace(state, level_until=max(0.0, state.level_until - n / limits.pace))
    return replace(_counted(state, limits, slot.start, -n), full_until=full_until)


def drawn(
    state: BudgetState,
    limits: BudgetLimits,
    lane: Lane,
    charged: Charged,
    n: int,
    now: float,
    burst: Burst = Burst.NEVER,
) -> tuple[Slot, Charged | None, BudgetState]:
    """A start for `n` writes now that their number is known, and the rest of the writes that were reserved in advance.

    The reservation is released, and `n` writes are reserved again, if it does not fit. It may be too small, too old or
    for a time before the end of a freeze, or the window has no room at the time of sending. Writes are counted when
    they are sent, so the window holds for any duration of the reads.
    """
    if not writing_of(state.switch, limits.writing).is_on:
        return Slot(now + RETRY_S, charged=False, is_off=True), charged, state
    if n <= charged.writes and charged.start >= state.not_before and now <= charged.start + KEPT_S:
        start = max(now, charged.start)
        moved = state
        if _piece(limits, start) != _piece(limits, charged.start):
            moved = _counted(_counted(state, limits, charged.start, -n), limits, start, n)
        # Only a window hardly longer than KEPT_S can be full here: what was charged since did not count these any more.
        if sum(_counting(moved, limits, start).values()) <= limits.window_limit:
            rest = replace(charged, writes=charged.writes - n) if n < charged.writes else None
            return Slot(start, charged=True, since=charged.start, is_burst=charged.is_burst), rest, moved
    slot, state = charge(given_back(state, limits, charged.writes, charged.slot), limits, lane, n, now, burst)
    return slot, None, state


def used(state: BudgetState, limits: BudgetLimits, now: float) -> int:
    """Writes of the window that ends now, and those that are booked to start in a few seconds."""
    return sum(_counting(state, limits, now).values())


def in_use(state: BudgetState, limits: BudgetLimits, now: float) -> float:
    """The share of the window's writes that are used, 0 to 1."""
    return min(1.0, used(state, limits, now) / limits.window_limit)


def frozen_until(state: BudgetState, retry_after_s: float, now: float) -> BudgetState:
    """The state after a 429 for writes: nothing starts before its Retry-After, at most five minutes."""
    until = now + min(max(0.0, retry_after_s), MAX_FREEZE_S)
    burst_from = max(state.burst_from, now + NO_BURST_S)
    return replace(state, not_before=max(state.not_before, until), burst_from=burst_from)


def learned(state: BudgetState, limits: BudgetLimits) -> BudgetLimits:
    """The limits, at the rate that the tenant was seen to take."""
    per_s = state.rate.per_s
    return limits if per_s is None or per_s >= limits.rate_per_s else replace(limits, rate_per_s=per_s)


def _has_burst(state: BudgetState, limits: BudgetLimits, n: int, now: float) -> bool:
    """Whether `n` additions may go out at once, for either way of counting: in a window, or in a bucket that drains."""
    if now < max(state.burst_from, state.not_before):
        return False
    level = max(0.0, state.level_until - now) * limits.pace
    most = BURST_SHARE * limits.window_limit
    return max(level, used(state, limits, now)) + n <= most


def _has_units(state: BudgetState, limits: BudgetLimits, n: int, now: float) -> bool:
    """Whether the reads and writes of `n` additions, and of all that started in the last 10 s, stay below the units."""
    recent = sum(_counting(state, limits, now, limits.window_s / 15).values())
    return recent + n <= UNITS_WINDOW_SHARE * limits.window_limit


def _burst(state: BudgetState, limits: BudgetLimits, n: int, now: float) -> BudgetState:
    level_until = max(state.level_until, now) + n / limits.pace
    return replace(_counted(state, limits, now, n), level_until=level_until, burst_at=now)


def _most(state: BudgetState, limits: BudgetLimits, lane: Lane, n: int, now: float) -> float:
    """Writes that the window holds for a lane."""
    if lane is Lane.INTERACTIVE:
        return limits.window_limit
    share = BULK_SHARE_AFTER_BURST if now < state.burst_at + limits.window_s else BULK_SHARE
    return max(n, share * limits.window_limit)


def _earliest(state: BudgetState, limits: BudgetLimits, lane: Lane, n: int, now: float) -> float:
    """The first time at which both limits leave room for `n` writes."""
    slack = max(0, limits.burst - n) / limits.pace
    start = max(now, state.not_before, state.full_until - slack)
    width = limits.window_s / BUCKETS
    while True:
        counting = _counting(state, limits, start)
        if sum(counting.values()) + n <= _most(state, limits, lane, n, start):
            return start
        start = max((min(counting) + 1) * width + limits.window_s, start + width / 1000)


def _charged(state: BudgetState, limits: BudgetLimits, n: int, start: float) -> BudgetState:
    busy_from = state.busy_from if start <= state.full_until else start
    full_until = max(state.full_until, start) + n / limits.pace
    level_until = max(state.level_until, start) + n / limits.pace
    counted = _counted(state, limits, start, n)
    return replace(counted, full_until=full_until, busy_from=busy_from, level_until=level_until)


def _counted(state: BudgetState, limits: BudgetLimits, start: float, n: int) -> BudgetState:
    """With `n` writes more, or less, in the piece of the window in which they start."""
    piece = _piece(limits, start)
    counts = {each: count for each, count in state.counts.items() if each >= piece - BUCKETS - 2}
    counts[piece] = max(0, counts.get(piece, 0) + n)
    return replace(state, counts=counts)


def _piece(limits: BudgetLimits, at: float) -> int:
    return int(at // (limits.window_s / BUCKETS))


def _counting(state: BudgetState, limits: BudgetLimits, at: float, span_s: float | None = None) -> dict[int, int]:
    """The pieces of the window, or of a shorter span, that ends at a time, and of reservations for later."""
    opened, width = at - (span_s or limits.window_s), limits.window_s / BUCKETS
    return {piece: count for piece, count in state.counts.items() if (piece + 1) * width > opened}
