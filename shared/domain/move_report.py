"""The report of a move, member by member: a pure function of two reads, so that anybody can compute it again.

The first read is stored when the move begins, the second is made when the report is requested. Compared are the
service plans that are on through the products that move, from any source.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from shared.domain.catalog import Catalog
from shared.domain.directory import AssignedLicense, DirectoryUser
from shared.domain.ids import NO_PLANS, GroupId, Plans, SkuId, UserId

NATIVE, DIRECT, OTHER = "native", "direct", "otherGroup"
"""Sources of a license: the group's native licensing, a direct license, native licensing of another group."""


class MoveOutcome(StrEnum):
    KEPT = "kept"
    """Every plan that was on is on."""
    GAINED = "gained"
    """Nothing was lost, and more plans are on than before."""
    LOST = "lost"
    """Plans that were on are off, although the member is still in the group."""
    NOTHING_ACTIVE = "nothingActive"
    """No product was Active before or after."""
    JOINED = "joined"
    """Joined the group during or after the move."""
    LEFT = "left"
    """Left the group, or the account was deleted."""


@dataclass(frozen=True, slots=True)
class Had:
    """One product of a member. `off`: the plans that every source turns off."""

    off: Plans
    sources: frozenset[str]


@dataclass(frozen=True, slots=True)
class MemberBefore:
    """A member when the move began. `products` leaves out what was not Active. `nested`: only in an inner group."""

    user_id: UserId
    nested: bool = False
    products: Mapping[SkuId, Had] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MoveReportRow:
    """One member. `lost` and `gained`: plans by product. `before` and `after`: sources by product."""

    user_id: UserId
    outcome: MoveOutcome
    nested: bool = False
    before: Mapping[SkuId, frozenset[str]] = field(default_factory=dict)
    after: Mapping[SkuId, frozenset[str]] = field(default_factory=dict)
    lost: Mapping[SkuId, Plans] = field(default_factory=dict)
    gained: Mapping[SkuId, Plans] = field(default_factory=dict)
    user_principal_name: str = ""
    display_name: str = ""


def member_now(
    user: DirectoryUser, group_id: GroupId, products: Iterable[AssignedLicense], *, nested: bool = False
) -> MemberBefore:
    """A member, as a read shows the user. Only licenses that count are listed."""
    found: dict[SkuId, Had] = {}
    for sku_id in sorted(each.sku_id for each in products):
        rows = [row for row in user.license_assignment_states if row.sku_id == sku_id and row.state.counts]
        if rows:
            off = frozenset.intersection(*(row.disabled_plans for row in rows))
            found[sku_id] = Had(off, frozenset(_source(row.assigned_by_group, group_id) for row in rows))
    return MemberBefore(user.id, nested, found)


def _source(assigned_by: GroupId | None, group_id: GroupId) -> str:
    if assigned_by is None:
        return DIRECT
    return NATIVE if assigned_by == group_id else OTHER


def report_row(before: MemberBefore | None, now: MemberBefore | None, catalog: Catalog) -> MoveReportRow:
    """The outcome of one member. Raises ValueError if neither read has the member."""
    known = now or before
    if known is None:
        raise ValueError("a report row needs a read")
    was, has = (before.products if before else {}), (now.products if now else {})
    lost = {sku_id: gone for sku_id in was if (gone := _on(was, sku_id, catalog) - _on(has, sku_id, catalog))}
    gained = {sku_id: new for sku_id in has if (new := _on(has, sku_id, catalog) - _on(was, sku_id, catalog))}
    return MoveReportRow(
        known.user_id,
        _outcome(before, now, lost, gained),
        known.nested,
        {sku_id: each.sources for sku_id, each in was.items()},
        {sku_id: each.sources for sku_id, each in has.items()},
        lost,
        gained,
    )


def _on(products: Mapping[SkuId, Had], sku_id: SkuId, catalog: Catalog) -> Plans:
    had = products.get(sku_id)
    return catalog.plans(sku_id) - had.off if had else NO_PLANS


def _outcome(
    before: MemberBefore | None, now: MemberBefore | None, lost: Mapping[SkuId, Plans], gained: Mapping[SkuId, Plans]
) -> MoveOutcome:
    if before is None:
        return MoveOutcome.JOINED
    if now is None:
        return MoveOutcome.LEFT
    if lost:
        return MoveOutcome.LOST
    if gained:
        return MoveOutcome.GAINED
    return MoveOutcome.KEPT if before.products else MoveOutcome.NOTHING_ACTIVE


def outcomes(rows: Sequence[MoveReportRow]) -> dict[MoveOutcome, int]:
    """How many members have each outcome; every outcome is present."""
    counts = Counter(row.outcome for row in rows)
    return {outcome: counts[outcome] for outcome in MoveOutcome}
