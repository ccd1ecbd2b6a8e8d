"""The meaning of a move for one member: a function of one read of the member, so that anybody can compute it again.

To direct: for each product that native licensing has Active for a member, there must be a direct license with the same
plans. Only then does the native one go. To native: the other way round. Nested members get nothing from native
licensing (learn.microsoft.com/entra/fundamentals/concept-group-based-licensing), so they stay direct.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from shared.domain.catalog import Catalog
from shared.domain.directory import AssignedLicense, DirectoryUser, LicenseAssignmentState, LicenseState
from shared.domain.ids import NO_PLANS, GroupId, Plans, SkuId, UserId
from shared.domain.native_handover import is_covered


class MoveVerdict(StrEnum):
    """The meaning of the next step of a move for a member."""

    READY = "ready"
    """Nothing is lost: the other source has every product with the same plans."""
    WAITS = "waits"
    """The other source is not there yet, or the license that ends is still there."""
    BLOCKED = "blocked"
    """The other source cannot assign it, for a reason that a person has to remove."""
    NOTHING_ACTIVE = "nothingActive"
    """The source that ends has nothing Active for the member, so nothing can be lost."""
    NESTED_ONLY = "nestedOnly"
    """The member belongs only to a group inside the licensed one."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts about a member beside the read. `ending`: direct licenses that only this group claims, so that
    they end with its claim. `pending`: those whose removal was already seen to be due. `reason`: why the app cannot
    assign or remove a direct license. `excluded`: the group's options leave the member without direct licenses."""

    ending: frozenset[SkuId] = frozenset()
    pending: frozenset[SkuId] = frozenset()
    reason: str = ""
    excluded: bool = False


NO_FACTS = Facts()


@dataclass(frozen=True, slots=True)
class MemberMove:
    """The verdict about one member. `lacking`: by product, the plans that the source which stays does not have on.
    `more`: the plans that it has on beside those of the source which ends, such as through another group."""

    user_id: UserId
    verdict: MoveVerdict
    reason: str = ""
    lacking: Mapping[SkuId, Plans] = field(default_factory=dict)
    more: Mapping[SkuId, Plans] = field(default_factory=dict)
    by_native: bool = False
    """Blocked by native licensing, which can process the member again."""
    is_new: bool = False
    """Waits, and the app has not seen yet that it is this member's turn."""


OTHER_APPS = "Native licensing still has other apps turned on for this member than the group assigns."
EXCLUDED = "The options of the group leave this member without a direct license, but native licensing assigns one."


def native_rows(user: DirectoryUser, group_id: GroupId) -> dict[SkuId, LicenseAssignmentState]:
    """The licenses that a user has from the group's native licensing, by product."""
    return {row.sku_id: row for row in user.license_assignment_states if row.assigned_by_group == group_id}


def to_direct(
    user: DirectoryUser,
    group_id: GroupId,
    products: Iterable[AssignedLicense],
    catalog: Catalog,
    facts: Facts = NO_FACTS,
) -> MemberMove:
    """The verdict before native licenses of the group are removed. `products`: those that will be removed."""
    rows, direct = native_rows(user, group_id), user.direct
    wanted = {each.sku_id: catalog.on(each) for each in products}
    active = {sku_id: rows[sku_id] for sku_id in wanted if _counts(rows.get(sku_id))}
    if not active:
        return MemberMove(user.id, MoveVerdict.NOTHING_ACTIVE)
    lacking, more = dict[SkuId, Plans](), dict[SkuId, Plans]()
    for sku_id, row in sorted(active.items()):
        other = direct.get(sku_id)
        native_on = catalog.plans(sku_id) - row.disabled_plans
        direct_on = catalog.plans(sku_id) - other.disabled_plans if other else NO_PLANS
        if other is None or native_on - direct_on:
            lacking[sku_id] = native_on - direct_on
        elif direct_on - native_on:
            more[sku_id] = direct_on - native_on
    if not lacking:
        return MemberMove(user.id, MoveVerdict.READY, more=more)
    if any(plans - wanted[sku_id] for sku_id, plans in lacking.items()):
        # An earlier change of the group, which native licensing has not carried out for this member.
        return MemberMove(user.id, MoveVerdict.BLOCKED, OTHER_APPS, lacking, more, by_native=True)
    reason = EXCLUDED if facts.excluded else facts.reason
    return MemberMove(user.id, MoveVerdict.BLOCKED if reason else MoveVerdict.WAITS, reason, lacking, more)


def to_native(
    user: DirectoryUser,
    group_id: GroupId,
    products: Iterable[AssignedLicense],
    catalog: Catalog,
    facts: Facts = NO_FACTS,
) -> MemberMove:
    """The verdict before the group's direct claim ends. `products`: what the claim assigns."""
    products = tuple(products)
    rows, direct = native_rows(user, group_id), user.direct
    open_ones = [each for each in products if not is_covered(user, group_id, each)]
    needed = [each for each in open_ones if each.sku_id in direct]
    if not open_ones:
        still = {each.sku_id for each in products} & direct.keys() & facts.ending
        if not still:
            return MemberMove(user.id, MoveVerdict.READY)
        verdict = MoveVerdict.BLOCKED if facts.reason else MoveVerdict.WAITS
        return MemberMove(user.id, verdict, facts.reason, is_new=not still <= facts.pending)
    if not needed:
        return MemberMove(user.id, MoveVerdict.NOTHING_ACTIVE)
    lacking = {each.sku_id: _lacking(each, direct[each.sku_id], rows.get(each.sku_id), catalog) for each in needed}
    reason = "; ".join(filter(None, (_native_fault(each, rows.get(each.sku_id), catalog) for each in needed)))
    verdict = MoveVerdict.BLOCKED if reason else MoveVerdict.WAITS
    return MemberMove(user.id, verdict, reason, lacking, by_native=bool(reason))


def _counts(row: LicenseAssignmentState | None) -> bool:
    return row is not None and row.state.counts


def _lacking(
    license: AssignedLicense,
    direct: LicenseAssignmentState,
    native: LicenseAssignmentState | None,
    catalog: Catalog,
) -> Plans:
    on = catalog.plans(license.sku_id) - direct.disabled_plans
    return on - (catalog.plans(license.sku_id) - native.disabled_plans if native and native.state.counts else NO_PLANS)


def _native_fault(license: AssignedLicense, row: LicenseAssignmentState | None, catalog: Catalog) -> str:
    """Why native licensing does not cover a product of a member; empty while it has not processed the member."""
    name = catalog.name(license.sku_id)
    if row is None:
        return ""
    if row.state is not LicenseState.ACTIVE or (row.error and row.error != "None"):
        return f"{name}: native licensing reports state {row.state}, error {row.error or 'None'}"
    return f"{name}: native licensing has other apps turned off"


@dataclass(frozen=True, slots=True)
class Needed:
    """Licenses that a move consumes on its way, by product: one for each member who has the product from no source.
    `available`: what the tenant has left of each."""

    licenses: Mapping[SkuId, int]
    available: Mapping[SkuId, int]

    @property
    def short(self) -> tuple[SkuId, ...]:
        """Products of which there are not enough; their members wait, and lose nothing."""
        return tuple(sorted(sku for sku, count in self.licenses.items() if count > self.available.get(sku, 0)))


def licenses_needed(
    users: Iterable[DirectoryUser], products: Iterable[AssignedLicense], available: Mapping[SkuId, int]
) -> Needed:
    """The licenses that a move consumes. A user takes one license of a product, however many sources assign it
    (learn.microsoft.com/entra/fundamentals/concept-group-based-licensing)."""
    skus = [each.sku_id for each in products]
    counts: Counter[SkuId] = Counter({sku_id: 0 for sku_id in skus})
    for user in users:
        has = {row.sku_id for row in user.license_assignment_states if row.state.counts}
        counts.update(sku_id for sku_id in skus if sku_id not in has)
    return Needed(dict(counts), {sku_id: available.get(sku_id, 0) for sku_id in skus})


def count_verdicts(members: Iterable[MemberMove]) -> dict[MoveVerdict, int]:
    """How many members have each verdict; every verdict is present."""
    counts = Counter(each.verdict for each in members)
    return {verdict: counts[verdict] for verdict in MoveVerdict}


def first_reasons(members: Sequence[MemberMove], most: int = 3) -> str:
    """The first different reasons of blocked members, for a person."""
    return "; ".join(list(dict.fromkeys(each.reason for each in members if each.reason))[:most])
