"""Pending removals: what is due to be removed waits, counts with everything else that waits, and is decided with it.

A removal that is due becomes a pending removal when it is first seen. After the removal window it is decided with all
other pending removals of its group, however young. If these and the removals that the allowance let go in the last 24
hours exceed the allowance, none goes: all are held for one approval. The tenant as a whole has an allowance too,
counted in people.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain.allowance import limit
from shared.domain.grant import Source, SourceKind
from shared.domain.ids import NO_PLANS, GroupId, OperationId, Plans, SkuId, UserId, What
from shared.domain.permit import Claim

DAY = timedelta(hours=24)
"""How long a removal counts against the allowance, and how long its decision holds if the removal did not go out."""

WAITS_AT_MOST = timedelta(days=7)
"""How long an undecided pending removal counts. After an outage all of them count, at any age; a row that is older than
any outage is the remainder of a crash."""

COUNT_MEMBERS_FROM = 3
"""From this many pending removals on, the members of the group are read. Those that are missing count too, although no
notification has reported them yet."""

HELD_WITHOUT_APPROVAL = timedelta(minutes=15)
"""How long a hold counts before its approval is open. The approval opens at the end of the same message. A hold that
has none after this long was left by a crash, and the group is decided again."""

GROUP_GONE = "The group was deleted."


class HoldKind(StrEnum):
    """Why removals wait for a person, for programs; the text beside it can change."""

    GROUP_DELETED = "groupDeleted"
    GROUP_EMPTY = "groupEmpty"
    RULE_LOST = "ruleLost"
    ALLOWANCE = "allowance"
    """More removals than the group, or another source, is allowed without an approval."""
    TENANT_ALLOWANCE = "tenantAllowance"
    OTHER = "other"
    """An approval of the group is open for another reason, such as protected people."""


TENANT = "tenant"
"""The scope of the allowance of the whole tenant; a group's scope is its source as text."""

HELD = "-held"
HELD_BY_TENANT = f"{TENANT}{HELD}"
"""The scope that lists whose removals wait for the approval of the tenant; it decides nothing."""


def held_scope(group_id: GroupId | None) -> str:
    """The scope that lists whose removals wait for the approval of a group; None: of the tenant."""
    return f"{Source(SourceKind.GROUP, group_id)}{HELD}" if group_id else HELD_BY_TENANT


@dataclass(frozen=True, slots=True)
class PendingRemoval:
    """One row per (source, user, SKU, first seen). `plans`: service plans to turn off; none: the whole SKU.

    `since`: when the removal was first seen to be due. `allowed_at`: when the allowance let it go; None: undecided.
    """

    claim: Claim
    user_id: UserId
    sku_id: SkuId
    since: datetime
    plans: Plans = NO_PLANS
    allowed_at: datetime | None = None

    @property
    def what(self) -> What:
        """The unit of counting: a removal that is recorded twice counts once."""
        return self.user_id, self.sku_id

    def counts_at(self, now: datetime) -> bool:
        """Whether it was let go in the last 24 hours, or still waits."""
        return now - self.allowed_at < DAY if self.allowed_at else now - self.since < WAITS_AT_MOST


@dataclass(frozen=True, slots=True)
class Hold:
    """Removals of a scope wait for a person. `reason`: what happened, for the approval."""

    at: datetime
    reason: str
    kind: HoldKind = HoldKind.OTHER


@dataclass(frozen=True, slots=True)
class ScopeState:
    """The stored state of a scope beside its pending removals. Each decision replaces it under its ETag.

    `missing`: recorded members that the last reading of the group did not show, read at `counted_at`. `approvals`:
    operations that wait for a person to decide about removals of named users, or of the tenant; the one of a group is
    named by its assignment.
    """

    hold: Hold | None = None
    counted_at: datetime | None = None
    missing: frozenset[UserId] = frozenset()
    approvals: frozenset[OperationId] = frozenset()

    def held_because(self, now: datetime) -> str:
        """Why removals of the scope wait for a person; empty: they do not."""
        if self.approvals:
            return self.hold.reason if self.hold else "Removals of this kind wait for an approval."
        return self.hold.reason if self.hold and now - self.hold.at < HELD_WITHOUT_APPROVAL else ""

    def held_kind(self, now: datetime) -> HoldKind | None:
        """The kind of `held_because`; None if removals do not wait for a person."""
        if not self.held_because(now):
            return None
        return self.hold.kind if self.hold else HoldKind.OTHER

    def is_held(self, now: datetime) -> bool:
        """Whether an allowance holds all removals of the scope. An approval of named users in the tenant's state has no
        such hold: only licenses that no group assigned wait for it."""
        return self.hold is not None and bool(self.held_because(now))


@dataclass(frozen=True, slots=True)
class GroupNow:
    """A group as the directory shows it before a decision. `members`: as last recorded."""

    exists: bool = True
    is_empty: bool = False
    lost_its_rule: bool = False
    members: int = 0
    others: int = 0
    """Members just read who keep their licenses; 0: the group was not read for this decision."""

    @property
    def alarm(self) -> tuple[HoldKind, str] | None:
        """Why everything is held at once, as a kind and a text; None: nothing is wrong with the group itself."""
        if not self.exists:
            return HoldKind.GROUP_DELETED, GROUP_GONE
        if self.is_empty:
            left = f"{self.members:,} of {self.members:,} members left: the group reads as empty."
            return HoldKind.GROUP_EMPTY, left if self.members else "The group reads as empty."
        return (HoldKind.RULE_LOST, "The group lost its membership rule.") if self.lost_its_rule else None


def removal_limit(size: int, minimum: int, percent: float, maximum: int) -> int:
    """Removals that a group of `size` members is allowed in 24 hours: the larger of a minimum and a share of its size,
    but at most a maximum."""
    return min(maximum, limit(size, minimum, percent))


@dataclass(frozen=True, slots=True)
class Decision:
    """What one decision comes to: the state to store, and the removals that it lets go and no earlier one did."""

    state: ScopeState
    allowed: tuple[PendingRemoval, ...] = ()
    reason: str = ""
    """Why the others are held; empty: nothing is held."""


def undecided(rows: Iterable[PendingRemoval], now: datetime) -> tuple[PendingRemoval, ...]:
    """The pending removals that are not decided, without those that were noted again and have gone since."""
    rows = tuple(rows)
    gone: dict[What, datetime] = {}
    for row in rows:
        if row.allowed_at is not None:
            gone[row.what] = max(row.allowed_at, gone.get(row.what, row.allowed_at))
    return tuple(
        row
        for row in rows
        if row.allowed_at is None and row.counts_at(now) and (row.what not in gone or row.since > gone[row.what])
    )


def let_go(rows: Iterable[PendingRemoval], now: datetime) -> tuple[PendingRemoval, ...]:
    """The removals that the allowance let go in the last 24 hours."""
    return tuple(row for row in rows if row.allowed_at is not None and row.counts_at(now))


def used(rows: Iterable[PendingRemoval], now: datetime) -> int:
    """How many removals the allowance let go in the last 24 hours."""
    return len({row.what for row in let_go(rows, now)})


def decide(
    state: ScopeState,
    rows: Sequence[PendingRemoval],
    asked: Sequence[PendingRemoval],
    maximum: int,
    group: GroupNow,
    now: datetime,
) -> Decision:
    """Decide about removals of a group (or another source) whose window is over: all go, or none.

    Every pending removal counts, `asked` or not, and every removal that the allowance let go in the last 24 hours. An
    earlier decision to let go stays, unless the group is held.
    """
    if state.held_because(now):
        return Decision(state, reason=state.held_because(now))
    if group.alarm:
        kind, text = group.alarm
        return _held(state, text, kind, now)
    waiting, gone = undecided(rows, now), let_go(rows, now)
    fresh = _without_repeats(asked, gone)
    removals = {row.what for row in (*waiting, *gone, *fresh)}
    missing = state.missing - {row.user_id for row in (*waiting, *gone, *asked)}
    if fresh and len(removals) + len(missing) > maximum:
        text = _what_happened(waiting, fresh, missing, group, maximum, used(gone, now))
        return _held(state, text, HoldKind.ALLOWANCE, now)
    return Decision(state, tuple(replace(each, allowed_at=now) for each in fresh))


def decide_for_tenant(
    state: ScopeState, rows: Sequence[PendingRemoval], asked: Sequence[PendingRemoval], maximum: int, now: datetime
) -> Decision:
    """The same for the tenant as a whole, which counts people: a user who loses two licenses counts once."""
    if state.is_held(now):
        return Decision(state, reason=state.held_because(now))
    waiting, before = (*undecided(rows, now), *asked), let_go(rows, now)
    people, gone = {row.user_id for row in waiting}, {row.user_id for row in before}
    if not {each.user_id for each in asked} <= gone and len(people | gone) > maximum:
        groups = {row.claim.source for row in waiting}
        text = f"{_number(people - gone, 'person', 'people')} of {_number(groups, 'group', 'groups')} would lose "
        text += f"licenses, and {len(gone):,} lost some in the last 24 hours. The tenant allows {maximum:,} in a day."
        return _held(state, text, HoldKind.TENANT_ALLOWANCE, now)
    return Decision(state, tuple(replace(each, allowed_at=now) for each in _without_repeats(asked, before)))


def _without_repeats(asked: Iterable[PendingRemoval], gone: Iterable[PendingRemoval]) -> list[PendingRemoval]:
    """Without removals that an earlier decision released, and whose process died before they were sent. These have the
    same claim in the same version, the same plans, and the same due time. A user who returned and left again has a
    later due time."""
    known = {replace(row, allowed_at=None) for row in gone}
    return [each for each in asked if each not in known]


def _held(state: ScopeState, reason: str, kind: HoldKind, now: datetime) -> Decision:
    return Decision(replace(state, hold=Hold(now, reason, kind)), reason=reason)


def _what_happened(
    waiting: Sequence[PendingRemoval],
    fresh: Sequence[PendingRemoval],
    missing: Collection[UserId],
    group: GroupNow,
    maximum: int,
    gone: int,
) -> str:
    times = [row.since for row in (*waiting, *fresh)]
    people = {row.user_id for row in (*waiting, *fresh)} | set(missing)
    source = fresh[0].claim.source
    # As many as before: the recorded number is the present one if the group was read again since they left.
    whole = f" of {max(group.members, group.others + len(people)):,} members" if source.kind is SourceKind.GROUP else ""
    text = f"{len(people):,}{whole} left within {span(max(times) - min(times))}. " if whole else ""
    text = text or f"{_number(people, 'person', 'people')} would lose a license. "
    before = f", and {gone:,} were used in the last 24 hours" if gone else ""
    return f"{text}{_number(range(maximum), 'removal', 'removals')} in a day need no approval{before}."


def _number(things: Collection[object], one: str, many: str) -> str:
    return f"{len(things):,} {one if len(things) == 1 else many}"


def span(time: timedelta) -> str:
    """A duration for people: "40 s", "12 min", "3 h"."""
    seconds = max(1, round(time.total_seconds()))
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"
