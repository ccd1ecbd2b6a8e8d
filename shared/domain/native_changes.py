"""A change of the products of a group that Microsoft's own licensing assigns: what it does to each member, and what may
be called next.

Of a group's products a member gets all or none, and the others show `Other`
(learn.microsoft.com/entra/fundamentals/licensing-groups-resolve-problems). Microsoft does not say whether a member who
has a product of the group keeps it when another one is added that cannot be assigned. Both can happen here: forecasts
and approvals count the product as lost, and members are judged by what they really have afterwards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from shared.domain.bridges import is_bridged
from shared.domain.catalog import Catalog
from shared.domain.directory import AssignedLicense, DirectoryUser, LicenseAssignmentState, LicenseError
from shared.domain.ids import NO_PLANS, GroupId, Plans, SkuId, UserId
from shared.domain.native_members import error_of, from_group
from shared.domain.native_progress import NativeProgress, NativeStage
from shared.domain.operation import LicenseChange
from shared.domain.predicted_errors import PredictedError, predicted_rejections
from shared.domain.snapshot_pages import PlannedAction
from shared.domain.write_results import LicenseCall

Licenses = Sequence[AssignedLicense]


class NextCall(StrEnum):
    """What may be done to the group now."""

    WAIT = "wait"
    """Nothing: there are too few licenses, and a member could lose a product for it."""
    ASK = "ask"
    """Nothing: members would lose a product, and no approval names them."""
    ADD = "add"
    """Add the new products. Others are removed after the members have them."""
    ALL = "all"
    """The whole change in one call."""


@dataclass(frozen=True, slots=True)
class MemberChange:
    """The effect of a change on one member. `needs`: products of which the member takes a license. `errors`: of these
    products, the ones that will probably not be assigned. `has`: a product of the group is active for the member.
    `loses`: products, each with the plans that go off; no plans: the whole product."""

    user_id: UserId
    needs: tuple[SkuId, ...] = ()
    errors: tuple[PredictedError, ...] = ()
    has: bool = False
    loses: tuple[tuple[SkuId, Plans], ...] = ()
    bridged: bool = False
    """Direct licenses stay for the products that are removed from the group."""


@dataclass(frozen=True, slots=True)
class Decision:
    """`short`: licenses that are missing, by product. `unapproved`: members who would lose something without an
    approval."""

    next: NextCall
    short: Mapping[SkuId, int] = field(default_factory=dict)
    unapproved: tuple[UserId, ...] = ()


def products_after(before: Licenses, change: LicenseChange) -> tuple[AssignedLicense, ...]:
    """The products of a group after a change; a product that is added again gets new `disabledPlans`, as in Graph."""
    merged = {each.sku_id: each for each in before if each.sku_id not in change.remove}
    merged.update({each.sku_id: each for each in change.add})
    return tuple(merged[sku_id] for sku_id in sorted(merged))


def target_of(
    change: LicenseChange, progress: NativeProgress, products: Licenses
) -> tuple[tuple[AssignedLicense, ...], frozenset[SkuId]]:
    """The products that a stage makes of those that were read, and which of them it may change."""
    added = frozenset(each.sku_id for each in change.add)
    if progress.stage is NativeStage.ADD:
        return products_after(products, LicenseChange(add=change.add)), added
    if progress.stage is NativeStage.APPLY:
        return products_after(products, change), added.union(change.remove)
    others = [each for each in products if each.sku_id not in added]
    return (*others, *(each for each in progress.before if each.sku_id in added)), added


def call_towards(now: Licenses, wanted: Licenses, catalog: Catalog, *, only: frozenset[SkuId]) -> LicenseCall:
    """The call from the present to the wanted products, for these products alone. Other changes stay. Plans that left
    their product are neither compared nor sent."""
    have, want = ({each.sku_id: each for each in some} for some in (now, wanted))
    add = tuple(
        _current(want[sku_id], catalog)
        for sku_id in sorted(only & want.keys())
        if sku_id not in have or _current(have[sku_id], catalog) != _current(want[sku_id], catalog)
    )
    return LicenseCall(add, tuple(sorted(only & have.keys() - want.keys())))


def _current(license_: AssignedLicense, catalog: Catalog) -> AssignedLicense:
    """Without plans that left the product. A product of unknown contents stays as it is."""
    plans = catalog.plans(license_.sku_id)
    return replace(license_, disabled_plans=license_.disabled_plans & plans) if plans else license_


def takes_away(call: LicenseCall, now: Licenses) -> bool:
    """Whether a call removes a product, or turns plans of one off."""
    off = {each.sku_id: each.disabled_plans for each in now}
    narrows = any(each.sku_id in off and each.disabled_plans - off[each.sku_id] for each in call.add)
    return bool(call.remove) or narrows


@dataclass(slots=True)
class Forecast:
    """Judges members of one group, all by the same products. Equal members are judged once."""

    group_id: GroupId
    before: Licenses
    change: LicenseChange
    catalog: Catalog
    now: datetime
    _errors: dict[tuple[object, ...], tuple[PredictedError, ...]] = field(default_factory=dict)

    def expected(self, user: DirectoryUser) -> MemberChange:
        """The effect of the change on a member whom it has not reached."""
        after = products_after(self.before, self.change)
        others = [row for row in user.license_assignment_states if row.assigned_by_group != self.group_id]
        errors = self._predicted(user, after)
        coming = NO_PLANS.union(*(self.catalog.on(each) for each in after)) if not errors else NO_PLANS
        needs = tuple(each.sku_id for each in after if each.sku_id not in user.assigned_skus)
        return self._judged(user, self._on(others) | coming, needs, errors)

    def reached(self, user: DirectoryUser) -> MemberChange:
        """The effect of the removal alone; only products count that the member has now."""
        kept = {each.sku_id: each.disabled_plans for each in products_after(self.before, self.change)}
        rows = [
            row if row.assigned_by_group != self.group_id else replace(row, disabled_plans=kept[row.sku_id])
            for row in user.license_assignment_states
            if row.assigned_by_group != self.group_id or row.sku_id in kept
        ]
        needs = tuple(each.sku_id for each in self.change.add if each.sku_id not in user.assigned_skus)
        judged = self._judged(user, self._on(rows), needs, ())
        return replace(judged, bridged=is_bridged(user, self.group_id, self.change))

    def _judged(
        self, user: DirectoryUser, on_after: Plans, needs: tuple[SkuId, ...], errors: tuple[PredictedError, ...]
    ) -> MemberChange:
        kept = {each.sku_id: each for each in products_after(self.before, self.change)} if not errors else {}
        own = [row for row in from_group(user, self.group_id) if row.state.counts]
        loses = []
        for row in own:
            lost = self.catalog.on(AssignedLicense(row.sku_id, row.disabled_plans)) - on_after
            if lost or (row.sku_id not in kept and not self.catalog.plans(row.sku_id)):
                loses.append((row.sku_id, lost if row.sku_id in kept else NO_PLANS))
        return MemberChange(user.id, needs, errors, bool(own), tuple(sorted(loses)))

    def _predicted(self, user: DirectoryUser, after: Licenses) -> tuple[PredictedError, ...]:
        """Errors that the member has not already. The group's own rows are replaced as a whole."""
        rows = tuple(row for row in user.license_assignment_states if row.assigned_by_group != self.group_id)
        key = tuple((row.sku_id, row.disabled_plans, row.assigned_by_group, row.state) for row in rows)
        if key not in self._errors:
            bare = replace(user, license_assignment_states=rows)
            known, found = (
                predicted_rejections(bare, LicenseCall(tuple(each), ()), {}, self.catalog, self.now)
                for each in (self.before, after)
            )
            self._errors[key] = tuple(each for each in found if each not in known)
        return self._errors[key]

    def _on(self, rows: Iterable[LicenseAssignmentState]) -> Plans:
        licenses = (AssignedLicense(row.sku_id, row.disabled_plans) for row in rows if row.state.counts)
        return NO_PLANS.union(*map(self.catalog.on, licenses))


def shortage(members: Iterable[MemberChange], catalog: Catalog) -> dict[SkuId, int]:
    """Licenses that are missing, by product."""
    needed = Counter(sku_id for member in members for sku_id in member.needs)
    available = {sku_id: sku.available for sku_id, sku in catalog.skus.items()}
    return {sku_id: n - available.get(sku_id, 0) for sku_id, n in needed.items() if n > available.get(sku_id, 0)}


def decide(
    members: Sequence[MemberChange],
    before: Licenses,
    change: LicenseChange,
    catalog: Catalog,
    approved: Mapping[UserId, PlannedAction],
) -> Decision:
    """What may be called for a change that has not begun. `approved`: members whose losses were decided about."""
    unapproved = tuple(each.user_id for each in members if not is_approved(each, approved))
    if unapproved:
        return Decision(NextCall.ASK, unapproved=unapproved)
    short = shortage(members, catalog)
    # Members with an expected error are named by the approval. Nobody has approved that others get an error too.
    if any(each.has and not each.errors and short.keys() & set(each.needs) for each in members):
        return Decision(NextCall.WAIT, short)
    call = LicenseCall(change.add, change.remove)
    in_steps = bool(change.add and takes_away(call, before)) and not _exclude_each_other(before, change, catalog)
    if in_steps and (short or any(each.errors for each in members)):
        return Decision(NextCall.ADD, short)
    return Decision(NextCall.ALL, short)


def is_approved(member: MemberChange, approved: Mapping[UserId, PlannedAction]) -> bool:
    """Whether everything that the member loses was decided about. To lose a product to its replacement, and to lose it
    by an error, are two decisions."""
    action = approved.get(member.user_id)
    if member.errors and member.loses and not (action and action.errors):
        return False
    for sku_id, plans in member.loses:
        named = action.plans_losing(sku_id) if action else None
        if named is None or (named and (not plans or plans - named)):
            return False
    return True


def _exclude_each_other(before: Licenses, change: LicenseChange, catalog: Catalog) -> bool:
    """Whether a new and a former product cannot be in the group together, so that they change places in one call."""
    leaving = [each for each in before if each.sku_id in change.remove]
    return any(
        catalog.conflict(new, old) is not None or catalog.listed_exclusive(catalog.on(new), catalog.on(old)) is not None
        for new in change.add
        for old in leaving
    )


def uncovered(
    members: Iterable[MemberChange], approved: Mapping[UserId, PlannedAction], *, swap: bool
) -> tuple[UserId, ...]:
    """Members for whom a removal must wait: their loss was not approved. Of a `swap` also those who have a product of
    the group, and neither its replacement nor a bridge license."""
    failing = expected_to_fail(approved)
    return tuple(
        each.user_id
        for each in members
        if not is_approved(each, approved)
        or (swap and each.has and each.needs and not each.bridged and each.user_id not in failing)
    )


def expected_to_fail(approved: Mapping[UserId, PlannedAction]) -> frozenset[UserId]:
    """Members for whom it was decided that they lose their products by an error."""
    return frozenset(user_id for user_id, action in approved.items() if action.errors)


def is_processed(user: DirectoryUser, group_id: GroupId, wanted: Licenses, catalog: Catalog, *, complete: bool) -> bool:
    """Whether Microsoft's licensing has processed a member with these products. `complete`: the group's
    `licenseProcessingState` says so, so that a product which could not be removed stays."""
    want = {each.sku_id: _current(each, catalog) for each in wanted}
    own = from_group(user, group_id)
    if want.keys() - {row.sku_id for row in own}:
        return False
    for row in own:
        has = _current(AssignedLicense(row.sku_id, row.disabled_plans), catalog)
        if row.sku_id in want and row.state.counts and not row.error and has != want[row.sku_id]:
            return False
        stuck = bool(row.error) and (complete or error_of(row) is LicenseError.DEPENDENCY)
        if row.sku_id not in want and not stuck:
            return False
    return True


def is_hurt(user: DirectoryUser, group_id: GroupId, before: Licenses) -> bool:
    """Whether a member who had a product of the group has none any more, as none of its products can be assigned."""
    own = from_group(user, group_id)
    lost = bool(own) and not any(row.state.counts for row in own)
    return lost and not any(each.sku_id in user.assigned_skus for each in before)
