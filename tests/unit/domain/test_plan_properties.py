"""What holds of every plan, for generated users, grants, ledgers and permits over a small catalog."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import TypeVar

from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from shared.domain.desired_licenses import desired_licenses
from shared.domain.directory import DirectoryUser, LicenseAssignmentState
from shared.domain.dropped_skus import without
from shared.domain.grant import Grant, Source, SourceKind
from shared.domain.ids import NO_PLANS, Plans, ServicePlanId, SkuId
from shared.domain.keeping_grants import grants_that_count
from shared.domain.ledger import INTENT_LOCK, accepted, new_intent, resolve
from shared.domain.ledger_row import LedgerRow, ManagedLicense
from shared.domain.permit import PERMIT_HOLDS, Permit
from shared.domain.plan import UserPlan, plan_user
from shared.domain.plan_draft import NoteKind, PlanContext
from tests.support.builders import (
    CATALOG,
    DAY,
    E1,
    E3,
    E5,
    F3,
    FROM_A,
    FROM_B,
    LONG_AGO,
    MINUTE,
    NOW,
    PHONE,
    VISIO,
    context,
    direct,
    given,
    ledger,
    native,
    permit,
    person,
    plan_once,
    plans,
    write,
)

SKU_IDS = (E1, E3, E5, F3, VISIO, PHONE)
GIVING = (FROM_A, FROM_B, Source(SourceKind.LIST))
KEEPING = (Source(SourceKind.KEPT, "admin"),)
ENDING = (Source(SourceKind.HELD), Source(SourceKind.GRACE))

T = TypeVar("T")

bounded = settings(max_examples=400, deadline=None)


class Choices:
    """Choices read off bytes, the first of each when they run out: quick to draw, and smaller is simpler."""

    def __init__(self, data: bytes) -> None:
        self._data = iter(data)

    def of(self, options: Sequence[T]) -> T:
        return options[next(self._data, 0) % len(options)]

    def yes(self) -> bool:
        return self.of((False, True))

    def some(self, plans: Plans) -> Plans:
        bits = next(self._data, 0)
        return frozenset(plan for index, plan in enumerate(sorted(plans)) if bits >> index & 1)


SOURCE_BYTES = st.binary(min_size=120, max_size=120)


@dataclass(frozen=True)
class Case:
    user: DirectoryUser
    grants: tuple[Grant, ...]
    row: LedgerRow
    context: PlanContext


def grants_from(choose: Choices, sources: Sequence[Source]) -> tuple[Grant, ...]:
    grants = []
    for _ in range(choose.of(range(6))):
        sku = choose.of(SKU_IDS)
        until = choose.of((None, None, None, NOW, NOW + DAY))
        source = choose.of(sources)
        off, adds = choose.some(CATALOG.plans(sku)), choose.of((True, True, True, False))
        # Only the assignment of a group can be cancelled.
        grants.append(Grant(sku, off, source, until, adds or source.kind is not SourceKind.GROUP))
    return tuple(grants)


def grants_of(sources: Sequence[Source]) -> st.SearchStrategy[tuple[Grant, ...]]:
    return st.binary(min_size=30, max_size=30).map(lambda data: grants_from(Choices(data), sources))


def permits_from(choose: Choices) -> tuple[Permit, ...]:
    ages = (timedelta(0), timedelta(0), timedelta(0), MINUTE, DAY, PERMIT_HOLDS, PERMIT_HOLDS + MINUTE, 60 * DAY)
    permits = [permit(sku) for sku in SKU_IDS] if choose.yes() else []
    for _ in range(choose.of(range(6))):
        sku = choose.of(SKU_IDS)
        disabling = choose.some(CATALOG.plans(sku)) if choose.yes() else NO_PLANS
        permits.append(permit(sku, at=NOW - choose.of(ages), disabling=disabling, by_approval=choose.yes()))
    return tuple(permits)


def licenses_from(choose: Choices) -> tuple[tuple[LicenseAssignmentState, ...], LedgerRow]:
    rows: list[LicenseAssignmentState] = []
    owning: dict[SkuId, ManagedLicense] = {}
    seen: dict[str, datetime] = {}
    for sku in SKU_IDS:
        contents = CATALOG.plans(sku)
        if choose.yes():
            rows.append(direct(sku, choose.some(contents) if choose.yes() else NO_PLANS))
            if choose.of((True, True, False)):
                written = rows[-1].disabled_plans if choose.of(range(4)) else choose.some(contents)
                owning[sku] = ManagedLicense(written, choose.of((LONG_AGO, NOW - DAY)), (FROM_A,))
            for key in (str(sku), *(f"{sku}/{each}" for each in sorted(contents))):
                if choose.of((True, True, False)):
                    seen[key] = choose.of((NOW - DAY, NOW - MINUTE, NOW - MINUTE / 2, NOW))
        if choose.of(range(5)) == 4:
            rows.append(native(sku, choose.some(contents)))
    return tuple(rows), ledger(owning, seen=seen)


def case_from(data: bytes, sources: Sequence[Source], clean: bool) -> Case:
    choose = Choices(data)
    where = context(permits=permits_from(choose))
    location: str | None = "CH"
    if not clean:
        location = choose.of(("CH", "CH", None))
        where = replace(
            where,
            closed_skus=frozenset({choose.of(SKU_IDS)}) if choose.yes() else frozenset(),
            denied=frozenset({choose.of(SKU_IDS)}) if choose.yes() else frozenset(),
            grace={FROM_A: DAY} if choose.yes() else {},
            usage_location=choose.of((None, "CH")),
        )
        # What a permit names was not asked for, and so not denied.
        where = replace(where, permits=tuple(each for each in where.permits if each.sku_id not in where.denied))
    grants = grants_from(choose, sources)
    rows, row = licenses_from(choose)
    return Case(person(*rows, location=location), grants, row, where)


def cases(sources: Sequence[Source] = (*GIVING, *KEEPING, *ENDING), *, clean: bool = False) -> st.SearchStrategy[Case]:
    """Users with foreign, owned and inherited licenses. `clean`: no seats missing, no grace, nothing denied."""
    return SOURCE_BYTES.map(lambda data: case_from(data, sources, clean))


def plan_of(case: Case) -> UserPlan:
    return plan_user(case.user, case.grants, case.row, case.context)


def enabled(user: DirectoryUser) -> dict[SkuId, Plans]:
    return {sku: CATALOG.plans(sku) - row.disabled_plans for sku, row in user.direct.items()}


def effective(user: DirectoryUser) -> Plans:
    return NO_PLANS.union(*enabled(user).values())


def all_plans(user: DirectoryUser) -> Plans:
    """What is on by any license, inherited ones included."""
    inherited = (CATALOG.plans(sku) - row.disabled_plans for sku, rows in user.inherited.items() for row in rows)
    return effective(user).union(*inherited)


def run_to_the_end(case: Case) -> tuple[DirectoryUser, LedgerRow, tuple[Grant, ...], PlanContext]:
    """Looks a minute apart, each with every permit it asks for, until one finds nothing to do; at most eight."""
    user, row, grants, where = case.user, case.row, case.grants, case.context
    for _ in range(8):
        plan, settled = plan_once(user, grants, row, where)
        if plan.wants_permit:
            asked = tuple(
                replace(
                    permit(each.sku_id, at=where.now, disabling=each.plans, by_approval=each.by_person),
                    claims=each.claims,
                )
                for each in plan.wants_permit
            )
            where = replace(where, permits=(*where.permits, *asked))
            plan, settled = plan_once(user, grants, row, where)
        grants = (*(grant for grant in grants if grant not in plan.ended_grants), *plan.new_grants)
        user, row = write(user, plan, settled, where.now)
        if not (plan.writes or plan.check_again or plan.new_grants or plan.ended_grants):
            return user, row, grants, where
        where = replace(where, now=where.now + MINUTE)
    raise AssertionError("eight looks did not come to an end")


@bounded
@for_all(cases())
def test_when_a_plan_is_applied_at_most_one_more_call_follows(case: Case) -> None:
    """One more: what the first call added can keep the plans of another license on, so that these may go off there."""
    user, row, grants = case.user, case.row, case.grants
    for _ in range(2):
        plan, row = plan_once(user, grants, row, case.context)
        user, row = write(user, plan, row, NOW)
        grants = tuple(grant for grant in grants if grant not in plan.ended_grants)
    again, _ = plan_once(user, grants, row, case.context)
    assert (again.add, again.remove) == ((), ())


@bounded
@for_all(cases(clean=True))
def test_with_every_permit_the_user_ends_with_what_the_grants_say_and_what_others_gave(case: Case) -> None:
    user, row, grants, where = run_to_the_end(case)
    desired = desired_licenses(grants, where.now)
    for sku, wanted in desired.items():
        if wanted.adds:
            assert sku in user.direct
        if wanted.adds and sku in row.managed:
            by_hand = case.row.managed[sku].disabled_plans if sku in case.row.managed else NO_PLANS
            now_off = user.direct[sku].disabled_plans
            assert now_off <= wanted.given_disabled
            assert wanted.disabled_plans <= now_off | by_hand
    for sku in row.managed:
        assert sku in desired
    unmanaged = case.user.direct.keys() - case.row.managed.keys()
    assert {sku: case.user.direct[sku] for sku in unmanaged} == {sku: user.direct[sku] for sku in unmanaged}


@bounded
@for_all(cases())
def test_nothing_that_is_not_managed_is_removed_or_changed(case: Case) -> None:
    plan = plan_of(case)
    unmanaged = case.user.direct.keys() - case.row.managed.keys()
    assert set(plan.remove) <= case.row.managed.keys() & case.user.direct.keys()
    assert not unmanaged & {license.sku_id for license in plan.add}
    assert plan.plans_off.keys() <= case.row.managed.keys()


def _permitted(case: Case, sku: SkuId, service_plan: ServicePlanId | None) -> bool:
    managed, direct_row = case.row.managed[sku], case.user.direct[sku]
    valid = [
        each
        for each in case.context.permits
        if each.sku_id == sku and managed.at < each.at and NOW - each.at <= timedelta(days=7)
    ]
    key = str(sku) if service_plan is None else f"{sku}/{service_plan}"
    seen_twice = key in case.row.removal_seen_at and NOW - case.row.removal_seen_at[key] >= MINUTE
    after = all_plans(given(case.user, plan_of(case), NOW))
    if service_plan is None:
        stay_on = CATALOG.plans(sku) - direct_row.disabled_plans <= after
        return seen_twice and (stay_on or any(not each.plans for each in valid))
    assert service_plan not in direct_row.disabled_plans
    if service_plan in managed.disabled_plans:
        return any((not each.plans or service_plan in each.plans) and each.by_approval for each in valid)
    return seen_twice and (service_plan in after or any(not each.plans or service_plan in each.plans for each in valid))


@settings(max_examples=600, deadline=None)
@for_all(cases())
def test_nothing_goes_without_a_valid_permit_and_nothing_at_the_first_read(case: Case) -> None:
    plan = plan_of(case)
    for sku in plan.remove:
        assert _permitted(case, sku, None)
    for license in plan.add:
        row = case.user.direct.get(license.sku_id)
        lost = license.disabled_plans - row.disabled_plans if row else NO_PLANS
        assert lost == plan.plans_off.get(license.sku_id, NO_PLANS)
        for service_plan in lost:
            assert _permitted(case, license.sku_id, service_plan)


@bounded
@for_all(cases())
def test_without_permits_no_plan_of_anybody_goes_off(case: Case) -> None:
    plan = plan_of(replace(case, context=replace(case.context, permits=())))
    assert all_plans(case.user) <= all_plans(given(case.user, plan, NOW))


@settings(max_examples=600, deadline=None)
@for_all(cases(GIVING, clean=True), st.lists(st.sampled_from(SKU_IDS), max_size=6))
def test_after_any_rejections_nobody_has_lost_a_plan_that_was_to_be_replaced(
    case: Case, rejections: list[SkuId]
) -> None:
    plan = plan_of(case)
    add, remove = plan.add, plan.remove
    for dropped in rejections:
        if dropped in remove or dropped in {license.sku_id for license in add}:
            add, remove = without(add, remove, dropped, CATALOG, plan.plans_off)
            assert dropped not in remove
            assert dropped not in {license.sku_id for license in add}
    wished = effective(given(case.user, plan, NOW))
    got = effective(given(case.user, replace(plan, add=add, remove=remove), NOW))
    assert effective(case.user) & wished <= got
    dropped_skus = {license.sku_id for license in plan.add} - {license.sku_id for license in add}
    for old in remove:
        assert not any(CATALOG.overlaps(old, new) for new in dropped_skus)


@bounded
@for_all(cases(GIVING, clean=True), st.frozensets(st.sampled_from(SKU_IDS), max_size=3))
def test_when_seats_are_sold_out_nobody_has_lost_a_plan_that_was_to_be_replaced(
    case: Case, closed: frozenset[SkuId]
) -> None:
    wished = effective(given(case.user, plan_of(case), NOW))
    short = plan_of(replace(case, context=replace(case.context, closed_skus=closed)))
    assert effective(case.user) & wished <= effective(given(case.user, short, NOW))


@bounded
@for_all(grants_of((*GIVING, *KEEPING, *ENDING)), grants_of((*GIVING, *KEEPING)))
def test_one_more_grant_never_takes_a_product_or_a_plan_from_what_is_desired(
    grants: tuple[Grant, ...], more: tuple[Grant, ...]
) -> None:
    before, after = desired_licenses(grants, NOW), desired_licenses((*grants, *more), NOW)
    for sku, wanted in before.items():
        assert after[sku].disabled_plans <= wanted.disabled_plans
        assert after[sku].adds or not wanted.adds
        assert after[sku].given_disabled <= wanted.given_disabled or not wanted.adds


@bounded
@for_all(cases(GIVING, clean=True), grants_of(GIVING))
def test_one_more_grant_never_takes_a_product_or_a_plan_from_a_user(case: Case, more: tuple[Grant, ...]) -> None:
    """What is held, kept or in grace aside: a permit or a successor ends those."""
    less = enabled(run_to_the_end(case)[0])
    greater = enabled(run_to_the_end(replace(case, grants=(*case.grants, *more[:1])))[0])
    for sku, on in less.items():
        assert on <= greater[sku]


@bounded
@for_all(cases(), st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(case: Case, random: Random) -> None:
    def shuffled(items: tuple[T, ...]) -> tuple[T, ...]:
        return tuple(random.sample(items, len(items)))

    user = replace(case.user, license_assignment_states=shuffled(case.user.license_assignment_states))
    where = replace(case.context, permits=shuffled(case.context.permits))
    plan, other = plan_of(case), plan_user(user, shuffled(case.grants), case.row, where)
    assert replace(plan, ended_grants=()) == replace(other, ended_grants=())
    assert set(plan.ended_grants) == set(other.ended_grants)


def _managed_license(row: LedgerRow) -> dict[SkuId, ManagedLicense]:
    """What is ours, without what later reads are compared with."""
    return {sku: replace(license, written=None, seen=None) for sku, license in row.managed.items()}


MEDDLING = ("nothing", "other plans", "same plans long ago", "taken away")
CRASHES = ("intent not written", "not sent", "not recorded", "recorded")


@bounded
@for_all(cases(clean=True), st.sampled_from(CRASHES), st.sampled_from(MEDDLING), st.booleans())
def test_after_a_crash_at_any_point_the_managed_licenses_are_exactly_what_we_wrote(
    case: Case, crash: str, meddling: str, same_cause: bool
) -> None:
    """Somebody else may meddle between; that they give the very same plans in the same minutes is not told apart."""
    plan, before = plan_once(case.user, case.grants, case.row, case.context)
    if not plan.writes:
        return
    user = case.user
    intent = new_intent(user, "c", plan.add, plan.remove, None, plan.sources, NOW)
    sent = crash in ("not recorded", "recorded")
    truth = accepted(replace(before, intent=intent), NOW) if sent else before
    row = {"intent not written": before, "recorded": truth}.get(crash, replace(before, intent=intent))
    user = given(user, plan, NOW) if sent else user
    touched = min(intent.after)
    user = _meddled(user, touched, meddling, intent.after[touched])
    resolution = resolve(row, user, "c" if same_cause else "other", NOW + INTENT_LOCK)
    found = resolution.row
    assert (found.intent, resolution.wait_until) == (None, None)
    assert {**_managed_license(found), touched: None} == {**_managed_license(truth), touched: None}
    if meddling == "nothing":
        assert _managed_license(found) == _managed_license(truth)
        assert (resolution.applied is not None) is (crash == "not recorded")
    elif (touched not in truth.managed and touched not in before.managed) or (
        crash == "not recorded" and _plans(user, touched) not in (None, intent.before[touched])
    ):
        # Of a license of ours, Graph may not have moved the time that was read before.
        is_as_read = meddling == "same plans long ago" and touched in before.managed
        assert is_as_read or touched not in found.managed


def _plans(user: DirectoryUser, sku: SkuId) -> Plans | None:
    return user.direct[sku].disabled_plans if sku in user.direct else None


def _meddled(user: DirectoryUser, sku: SkuId, how: str, mine: Plans | None) -> DirectoryUser:
    """The user after somebody else changed one license."""
    if how == "nothing":
        return user
    others = tuple(row for row in user.license_assignment_states if row.sku_id != sku or row.assigned_by_group)
    if how == "taken away":
        return replace(user, license_assignment_states=others)
    disabled, at = mine or NO_PLANS, LONG_AGO
    if how == "other plans":
        held = _plans(user, sku)
        everything = CATALOG.plans(sku)
        choices = (*map(plans, sorted(everything)), everything, NO_PLANS, plans(ServicePlanId("new")))
        disabled, at = next(each for each in choices if each not in (mine, held)), NOW
    return replace(user, license_assignment_states=(*others, direct(sku, disabled, at=at)))


@bounded
@for_all(cases())
def test_nothing_goes_while_a_license_that_would_replace_it_is_still_to_come(case: Case) -> None:
    plan, _ = plan_once(case.user, case.grants, case.row, case.context)
    there = {note.sku_id for note in plan.notes if note.kind in (NoteKind.NOT_VISIBLE_YET, NoteKind.DEPENDS_ON_NATIVE)}
    there |= case.user.direct.keys() | {license.sku_id for license in plan.add}
    counting = grants_that_count(case.user, case.grants, case.row, case.context)
    desired = desired_licenses(counting, case.context.now)
    to_come = [sku for sku, wanted in desired.items() if wanted.adds and sku not in there]
    assert not [(sku, gone) for sku in to_come for gone in plan.remove if CATALOG.overlaps(sku, gone)]
