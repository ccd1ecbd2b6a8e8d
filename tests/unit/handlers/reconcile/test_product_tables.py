"""Microsoft's lists of products only warn: Graph decides for each person, and one product never blocks another."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.assignment import OptionsChange
from shared.domain.catalog_data import EXCLUSIONS
from shared.domain.directory import AssignedLicense, LicenseError, ServicePlan, SubscribedSku
from shared.domain.grant import SourceKind
from shared.domain.ids import GroupId, ServicePlanId, SkuId, UserId
from shared.domain.member_status import MemberState
from shared.domain.operation import LicenseChange, Operation, OperationState, Target
from shared.domain.operation_request import OperationRequest
from shared.handlers.membership.nightly_sync import sync_all
from shared.handlers.operations.accept import accept
from tests.support.fakes_directory import CONFLICT_TEXTS
from tests.support.operations import adds_up
from tests.support.runs import EXTRA, LARGE, MIA, OTHER_TEAM, SMALL, TEAM, Run, product, user

MCOIMP = ServicePlanId("afc06cb0-b4f4-4473-8286-d644f70d8faf")
MCOSTANDARD = ServicePlanId("0feaeb32-d00e-4d66-bd5a-43b5b83db82c")
MCOEV = ServicePlanId("4828c8ec-dc2e-4779-b502-87ac9ce28ab7")
TEAMS1 = ServicePlanId("57ff2da0-773e-42df-b2af-ffb7a2317929")
EXCHANGE_DESKLESS = ServicePlanId("4a82b400-a79f-41a4-b4e2-e94f5787b113")
EXCHANGE_STANDARD = ServicePlanId("9aaf7827-d63c-4b61-89c3-182f06f82e5c")

SUITE = product(11, "SUITE", (20, 21))
"""Has plan 20, which KIOSK's 30 excludes in the tests that say so."""
OFFICE = product(12, "OFFICE", (20, 22))
KIOSK = product(10, "KIOSK", (30, 31))
"""Sorted before the others, since the order of ids must decide nothing."""
LATE_KIOSK = product(19, "LATE_KIOSK", (30, 31))
THIRD = GroupId("00000000-0000-0000-0000-000000000999")
EXCLUSIVE = (frozenset({SUITE.service_plans[0].service_plan_id, KIOSK.service_plans[0].service_plan_id}),)


def named(number: int, name: str, *plans: ServicePlanId) -> SubscribedSku:
    """A product with plans of Microsoft's own ids."""
    services = tuple(ServicePlan(plan, name_of(plan)) for plan in plans)
    return replace(product(number, name, ()), service_plans=services)


def name_of(plan: ServicePlanId) -> str:
    return {MCOIMP: "MCOIMP", MCOSTANDARD: "MCOSTANDARD", MCOEV: "MCOEV"}.get(plan, f"PLAN-{plan[:4]}")


NO_TEAMS_SUITE = named(41, "O365_w/o Teams Bundle_M3", MCOSTANDARD, EXCHANGE_STANDARD)
TEAMS_EEA = named(42, "Microsoft_Teams_EEA_New", MCOIMP, TEAMS1)
FRONTLINE = named(43, "SPE_F1", EXCHANGE_DESKLESS)
EXCHANGE_PLAN_1 = named(44, "EXCHANGESTANDARD", EXCHANGE_STANDARD)
PHONE = named(45, "MCOEV", MCOEV)


def with_products(*skus: SubscribedSku) -> Run:
    run = Run()
    for each in skus:
        run.directory.add_sku(each)
    return run


async def ask(
    run: Run,
    group: GroupId,
    *add: SubscribedSku | AssignedLicense,
    remove: tuple[SubscribedSku, ...] = (),
    options: OptionsChange | None = None,
    preview: bool = False,
) -> Operation:
    """A request on any group, worked off and approved."""
    licenses = tuple(AssignedLicense(each.sku_id) if isinstance(each, SubscribedSku) else each for each in add)
    change = LicenseChange(licenses, tuple(each.sku_id for each in remove))
    request = OperationRequest(Target(group), MIA, change, options=options, preview=preview)
    return await run.finish(await accept(run.world, request))


async def nights(run: Run, count: int) -> None:
    for _ in range(count):
        run.later(hours=24)
        await sync_all(run.world)
        await run.work_off()


async def problems_of(run: Run, user_id: UserId, group: GroupId = TEAM) -> list[tuple[SkuId | None, LicenseError]]:
    rows, _ = await run.world.stores.members.errors(group, 100)
    return [(problem.sku_id, problem.error) for row in rows if row.user_id == user_id for problem in row.problems]


async def grace_of(run: Run, user_id: UserId) -> set[SkuId]:
    grants = (await run.world.stores.grants.of_users([user_id])).get(user_id, ())
    return {grant.sku_id for grant in grants if grant.source.kind is SourceKind.GRACE}


class TestListedAsExclusive:
    @pytest.mark.parametrize(
        ("one", "two"),
        [
            pytest.param(NO_TEAMS_SUITE, TEAMS_EEA, id="a suite without Teams and Teams EEA"),
            pytest.param(FRONTLINE, EXCHANGE_PLAN_1, id="F3 and Exchange Online Plan 1"),
        ],
    )
    async def test_products_that_the_tenant_takes_together_are_assigned_together(
        self, one: SubscribedSku, two: SubscribedSku
    ) -> None:
        run = with_products(one, two)
        people = run.people(2)
        ended = await ask(run, TEAM, one, two)
        assert ended.state is OperationState.COMPLETE
        assert [run.licenses(each) for each in people] == [{one.sku_part_number, two.sku_part_number}] * 2

    async def test_one_added_to_the_other_is_assigned_too(self) -> None:
        run = with_products(FRONTLINE, EXCHANGE_PLAN_1)
        (person,) = run.people(1)
        await ask(run, TEAM, FRONTLINE)
        await ask(run, TEAM, EXCHANGE_PLAN_1)
        assert run.licenses(person) == {"SPE_F1", "EXCHANGESTANDARD"}

    async def test_where_the_tenant_rejects_them_one_is_an_error_and_a_third_is_assigned(self) -> None:
        run = with_products(NO_TEAMS_SUITE, TEAMS_EEA)
        run.directory.exclusions = EXCLUSIONS
        people = run.people(2)
        ended = await ask(run, TEAM, NO_TEAMS_SUITE, TEAMS_EEA, EXTRA)
        assert (ended.state, ended.totals.failed, adds_up(ended)) == (OperationState.COMPLETE, 2, True)
        for each in people:
            assert "EXTRA" in run.licenses(each)
            assert len(run.licenses(each)) == 2
            assert [error for _, error in await problems_of(run, each)] == [LicenseError.MUTUALLY_EXCLUSIVE]

    async def test_an_add_on_whose_base_is_in_another_group_is_assigned(self) -> None:
        run = with_products(PHONE, TEAMS_EEA)
        (person,) = run.people(1)
        run.directory.join(OTHER_TEAM, person)
        await ask(run, OTHER_TEAM, TEAMS_EEA)
        ended = await ask(run, TEAM, PHONE)
        assert ended.totals.failed == 0
        assert run.licenses(person) == {"Microsoft_Teams_EEA_New", "MCOEV"}


class TestOneConflict:
    @pytest.mark.parametrize("text", CONFLICT_TEXTS)
    @pytest.mark.parametrize("kiosk", [KIOSK, LATE_KIOSK], ids=["first id", "last id"])
    async def test_does_not_block_a_third_product(self, kiosk: SubscribedSku, text: str) -> None:
        run = with_products(SUITE, OFFICE, kiosk)
        run.directory.exclusions, run.directory.conflict_text = EXCLUSIVE, text
        both, only_one = run.people(2)
        run.directory.add_group(THIRD)
        await ask(run, TEAM, SUITE)
        await ask(run, OTHER_TEAM, OFFICE)
        await ask(run, THIRD, kiosk)
        run.directory.join(OTHER_TEAM, both)
        run.directory.join(THIRD, both)
        run.later(hours=1)
        calls = run.writer.calls_made
        await run.reconcile(both, only_one)
        assert run.licenses(both) == {"SUITE", "OFFICE"}
        assert run.licenses(only_one) == {"SUITE"}
        assert await problems_of(run, both, THIRD) == [(kiosk.sku_id, LicenseError.MUTUALLY_EXCLUSIVE)]
        assert run.writer.calls_made - calls <= 3

    async def test_does_not_block_a_later_change_of_plans(self) -> None:
        run = with_products(SUITE, LATE_KIOSK)
        run.directory.exclusions = EXCLUSIVE
        people = run.people(2)
        await ask(run, TEAM, SUITE)
        await ask(run, TEAM, LATE_KIOSK)
        off = SUITE.service_plans[1].service_plan_id
        await ask(run, TEAM, AssignedLicense(SUITE.sku_id, frozenset({off})))
        for each in people:
            assert run.directory.licenses(each) == {SUITE.sku_id: {off}}
            assert await problems_of(run, each) == [(LATE_KIOSK.sku_id, LicenseError.MUTUALLY_EXCLUSIVE)]

    async def test_is_not_tried_again_when_an_unrelated_product_comes_and_is_when_the_other_goes(self) -> None:
        run = with_products(SUITE, KIOSK)
        run.directory.exclusions = EXCLUSIVE
        first, second = run.people(2)
        await ask(run, TEAM, SUITE)
        await ask(run, TEAM, KIOSK)
        calls = run.writer.calls_made
        await ask(run, TEAM, EXTRA)
        assert run.writer.calls_made == calls + 2
        await ask(run, TEAM, remove=(SUITE,))
        assert [run.licenses(each) for each in (first, second)] == [{"KIOSK", "EXTRA"}] * 2


class TestAProductThatCannotBeAssigned:
    @pytest.mark.parametrize("state", ["gone", "LockedOut", "Suspended", "Deleted"])
    async def test_is_the_error_of_that_product_and_the_others_are_assigned(self, state: str) -> None:
        run = Run()
        people = run.people(45)
        operation = await run.ask([SMALL, EXTRA])
        if state == "gone":
            run.directory.remove_sku(EXTRA.sku_id)
        else:
            run.directory.add_sku(replace(EXTRA, enabled=0, suspended=1000, capability_status=state))
        ended = await run.finish(operation)
        assert (ended.state, ended.totals.failed, adds_up(ended)) == (OperationState.COMPLETE, 45, True)
        assert all(run.licenses(each) == {"SMALL"} for each in people)
        assert await problems_of(run, people[44]) == [(EXTRA.sku_id, LicenseError.INVALID_LICENSE)]

    async def test_also_if_only_graph_says_so(self) -> None:
        run = Run()
        people = run.people(45)
        text = f"License {EXTRA.sku_id} does not correspond to a valid company License."
        for each in people:
            run.writer.reject(each, text)
        ended = await run.change([SMALL, EXTRA])
        assert (ended.state, ended.totals.failed, adds_up(ended)) == (OperationState.COMPLETE, 45, True)
        assert all(run.licenses(each) == {"SMALL"} for each in people)

    async def test_it_is_assigned_when_the_subscription_is_back(self) -> None:
        run = Run()
        first, second = run.people(2)
        operation = await run.ask([SMALL, EXTRA])
        run.directory.remove_sku(EXTRA.sku_id)
        await run.finish(operation)
        run.directory.add_sku(EXTRA)
        await nights(run, 1)
        assert [run.licenses(each) for each in (first, second)] == [{"SMALL", "EXTRA"}] * 2

    async def test_licenses_that_left_with_it_right_after_they_were_assigned_are_not_waited_for(self) -> None:
        run = Run()
        people = run.people(2)
        await run.change([SMALL, EXTRA])
        run.directory.remove_sku(EXTRA.sku_id, licenses=True)
        began = run.world.clock.now()
        await run.reconcile(*people)
        assert run.world.clock.now() - began < timedelta(minutes=1)
        rows = [row for each in people for row in await run.world.stores.members.of_user(each, [TEAM])]
        assert [row.state for row in rows] == [MemberState.ACTIVE_WITH_ERROR] * 2
        assert [problem.sku_id for row in rows for problem in row.problems] == [EXTRA.sku_id] * 2

    async def test_what_it_was_to_replace_stays(self) -> None:
        run = Run()
        people = run.people(2)
        await run.change([SMALL])
        await nights(run, 1)
        operation = await run.ask([LARGE], [SMALL])
        run.directory.remove_sku(LARGE.sku_id)
        ended = await run.finish(operation)
        assert ended.totals.failed == 2
        assert [run.licenses(each) for each in people] == [{"SMALL"}] * 2

    async def test_a_request_for_another_product_is_accepted(self) -> None:
        run = Run()
        people = run.people(2)
        await run.change([SMALL])
        run.directory.remove_sku(SMALL.sku_id)
        await run.change([EXTRA])
        assert all("EXTRA" in run.licenses(each) for each in people)


@pytest.mark.parametrize("text", ["User does not have a corresponding license.", "No license changes provided"])
async def test_an_answer_about_removals_to_a_call_without_any_is_an_error_and_not_repeated(text: str) -> None:
    run = Run()
    odd, fine = run.people(2)
    run.writer.reject(odd, text, times=50)
    ended = await run.change([SMALL])
    assert run.writer.calls_made <= 3
    assert (ended.totals.failed, run.licenses(fine)) == (1, {"SMALL"})


class TestGrace:
    async def swapped(self, run: Run, old: SubscribedSku, new: SubscribedSku) -> tuple[UserId, UserId]:
        """Two of four people move from a group with a month of grace to another group."""
        people = run.people(4)
        await ask(run, TEAM, old, options=OptionsChange({"grace": timedelta(days=30)}))
        await ask(run, OTHER_TEAM, new)
        for each in people[:2]:
            run.directory.leave(TEAM, each)
            run.directory.join(OTHER_TEAM, each)
        run.later(hours=1)
        await run.reconcile(*people)
        return people[0], people[1]

    async def test_is_kept_beside_a_product_that_is_only_listed_as_exclusive(self) -> None:
        run = with_products(FRONTLINE, EXCHANGE_PLAN_1)
        people = await self.swapped(run, FRONTLINE, EXCHANGE_PLAN_1)
        for each in people:
            assert run.licenses(each) == {"SPE_F1", "EXCHANGESTANDARD"}
            assert await grace_of(run, each) == {FRONTLINE.sku_id}
        await nights(run, 2)
        assert run.licenses(people[0]) == {"SPE_F1", "EXCHANGESTANDARD"}

    async def test_is_kept_beside_a_product_with_the_same_plans(self) -> None:
        run = Run()
        people = await self.swapped(run, SMALL, LARGE)
        assert [run.licenses(each) for each in people] == [{"SMALL", "LARGE"}] * 2

    async def test_ends_early_in_the_call_that_swaps_and_only_after_graph_rejected_the_addition(self) -> None:
        run = with_products(SUITE, KIOSK)
        run.directory.exclusions = EXCLUSIVE
        people = await self.swapped(run, SUITE, KIOSK)
        for each in people:
            assert run.licenses(each) == {"KIOSK"}
            mine = [entry for entry in run.writer.log if entry.user_id == each]
            assert [set(entry.after) for entry in mine] == [{SUITE.sku_id}, {KIOSK.sku_id}]
            assert await grace_of(run, each) == set()

    async def test_does_not_end_while_no_seat_is_free_for_the_swap(self) -> None:
        run = with_products(SUITE, KIOSK)
        run.directory.exclusions = EXCLUSIVE
        people = await self.swapped(run, SUITE, KIOSK)
        run.directory.add_sku(replace(KIOSK, enabled=2))
        later = run.directory.add_user(user(77), groups=[TEAM])
        await run.reconcile(later, cause="joined")
        run.directory.leave(TEAM, later)
        run.directory.join(OTHER_TEAM, later)
        await run.reconcile(later, cause="moved")
        assert [run.licenses(each) for each in (*people, later)] == [{"KIOSK"}, {"KIOSK"}, {"SUITE"}]
        assert await grace_of(run, later) == {SUITE.sku_id}

    async def test_an_expired_conflict_is_tried_with_one_person_first(self) -> None:
        run = with_products(SUITE, KIOSK)
        run.directory.exclusions = EXCLUSIVE
        await self.swapped(run, SUITE, KIOSK)
        run.later(days=31)
        many = [run.directory.add_user(user(100 + number), groups=[TEAM]) for number in range(16)]
        await run.reconcile(*many[:8], cause="joined-1")
        await run.reconcile(*many[8:], cause="joined-2")
        for each in many:
            run.directory.leave(TEAM, each)
            run.directory.join(OTHER_TEAM, each)
        alone: list[UserId] = []
        calls = len(run.writer.calls)
        await run.reconcile(*many[:8], cause="moved-1")
        await run.reconcile(*many[8:], cause="moved-2")
        for call in run.writer.calls[calls:]:
            alone += [user_id for user_id, each in call.items() if each.add and not each.remove]
        assert len(alone) == 1
        assert all(run.licenses(each) == {"KIOSK"} for each in many)

    async def test_a_conflict_that_is_gone_ends_nobodys_grace(self) -> None:
        run = with_products(SUITE, KIOSK)
        run.directory.exclusions = EXCLUSIVE
        await self.swapped(run, SUITE, KIOSK)
        run.directory.exclusions = ()
        run.later(days=31)
        many = [run.directory.add_user(user(100 + number), groups=[TEAM]) for number in range(16)]
        await run.reconcile(*many, cause="joined")
        for each in many:
            run.directory.leave(TEAM, each)
            run.directory.join(OTHER_TEAM, each)
        await run.reconcile(*many, cause="moved")
        assert all(run.licenses(each) == {"SUITE", "KIOSK"} for each in many)


class TestRetiredPlan:
    PLAN = SMALL.service_plans[1].service_plan_id

    async def with_plan_off(self, run: Run) -> tuple[UserId, UserId]:
        people = run.people(2)
        await ask(run, TEAM, AssignedLicense(SMALL.sku_id, frozenset({self.PLAN})))
        await nights(run, 1)
        return people[0], people[1]

    @pytest.mark.parametrize("is_forgotten", [True, False])
    async def test_a_new_member_is_licensed_although_the_group_turns_it_off(self, is_forgotten: bool) -> None:
        run = Run()
        await self.with_plan_off(run)
        run.directory.retire_plan(SMALL.sku_id, self.PLAN, is_forgotten=is_forgotten)
        new = run.directory.add_user(user(50), groups=[TEAM])
        await run.reconcile(new)
        assert run.directory.licenses(new) == {SMALL.sku_id: frozenset()}
        calls = run.writer.calls_made
        newer = run.directory.add_user(user(51), groups=[TEAM])
        await run.reconcile(newer)
        assert run.directory.licenses(newer) == {SMALL.sku_id: frozenset()}
        assert run.writer.calls_made == calls + 1

    @pytest.mark.parametrize("names_sku", [True, False])
    @pytest.mark.parametrize("is_listed", [True, False])
    async def test_another_product_of_the_call_keeps_the_plan_off(self, names_sku: bool, is_listed: bool) -> None:
        run = Run()
        off = frozenset({self.PLAN})
        people = run.people(2)
        for sku in (SMALL, LARGE):
            await ask(run, TEAM, AssignedLicense(sku.sku_id, off))
        assert [run.licenses(each) for each in people] == [{"SMALL", "LARGE"}] * 2
        run.directory.retire_plan(LARGE.sku_id, self.PLAN)
        if not names_sku:
            run.directory.plan_text = "Service plan {plan} does not belong to the subscription."
        if is_listed:
            run.directory.stale_skus = {LARGE.sku_id: LARGE}
        new = run.directory.add_user(user(50), groups=[TEAM])
        await run.reconcile(new)
        assert run.directory.licenses(new) == {SMALL.sku_id: off, LARGE.sku_id: frozenset()}
        row = (await run.world.stores.ledger.rows([new]))[new]
        assert {sku_id: managed.disabled_plans for sku_id, managed in row.managed.items()} == {
            SMALL.sku_id: off,
            LARGE.sku_id: off,
        }

    @pytest.mark.parametrize("is_forgotten", [True, False])
    async def test_after_two_nights_it_is_in_no_call_and_nobody_is_written_for_it(self, is_forgotten: bool) -> None:
        run = Run()
        people = await self.with_plan_off(run)
        run.directory.retire_plan(SMALL.sku_id, self.PLAN, is_forgotten=is_forgotten)
        calls = run.writer.calls_made
        await nights(run, 2)
        new = run.directory.add_user(user(50), groups=[TEAM])
        await run.reconcile(new, *people)
        assert run.writer.calls_made == calls + 1
        assert run.directory.licenses(new) == {SMALL.sku_id: frozenset()}
        counts = (await run.world.stores.member_counts.count(TEAM)).states
        assert counts == {MemberState.ACTIVE: 3}

    async def test_when_it_is_back_it_is_off_again_for_everybody_and_no_person_is_asked(self) -> None:
        run = Run()
        people = await self.with_plan_off(run)
        run.directory.retire_plan(SMALL.sku_id, self.PLAN)
        await nights(run, 2)
        new = run.directory.add_user(user(50), groups=[TEAM])
        await run.reconcile(new)
        run.directory.add_sku(SMALL)
        newer = run.directory.add_user(user(51), groups=[TEAM])
        await run.reconcile(newer)
        assert run.directory.licenses(newer) == {SMALL.sku_id: {self.PLAN}}
        await nights(run, 1)
        assert [run.directory.licenses(each) for each in (*people, new)] == [{SMALL.sku_id: {self.PLAN}}] * 3

    async def test_it_is_off_again_after_less_than_a_night_although_a_worker_had_an_old_list(
        self,
    ) -> None:
        run = Run()
        await self.with_plan_off(run)
        await nights(run, 1)
        run.directory.cached_skus = {SMALL.sku_id: SMALL}
        run.directory.retire_plan(SMALL.sku_id, self.PLAN)
        new = run.directory.add_user(user(50), groups=[TEAM])
        await run.reconcile(new)
        assert run.directory.licenses(new) == {SMALL.sku_id: frozenset()}
        run.directory.add_sku(SMALL)
        run.directory.cached_skus = {}
        await nights(run, 1)
        assert run.directory.licenses(new) == {SMALL.sku_id: {self.PLAN}}

    async def test_a_license_without_it_is_still_managed_after_a_lost_answer(self) -> None:
        run = Run()
        await self.with_plan_off(run)
        run.directory.retire_plan(SMALL.sku_id, self.PLAN)
        await nights(run, 2)
        new = run.directory.add_user(user(50), groups=[TEAM])
        run.writer.lose_answer(new)
        await run.reconcile(new)
        row = (await run.world.stores.ledger.rows([new]))[new]
        assert row.managed[SMALL.sku_id].disabled_plans == {self.PLAN}

    async def test_where_graph_ignores_it_a_license_is_managed_before_any_night_and_after_a_lost_answer(self) -> None:
        run = Run()
        run.directory.plan_text = ""
        people = await self.with_plan_off(run)
        run.directory.retire_plan(SMALL.sku_id, self.PLAN)
        run.later(minutes=1)
        new = run.directory.add_user(user(50), groups=[TEAM])
        run.writer.lose_answer(new)
        await run.reconcile(new)
        calls = run.writer.calls_made
        await run.reconcile(new, *people, cause="event-2")
        assert run.writer.calls_made == calls
        rows = await run.world.stores.ledger.rows([new, *people])
        assert all(row.managed[SMALL.sku_id].disabled_plans == {self.PLAN} for row in rows.values())
        assert (await run.world.stores.member_counts.count(TEAM)).states == {MemberState.ACTIVE: 3}

    async def test_a_request_may_repeat_it_and_a_request_for_another_product_does_not_meet_it(self) -> None:
        run = Run()
        people = await self.with_plan_off(run)
        run.directory.retire_plan(SMALL.sku_id, self.PLAN)
        await ask(run, TEAM, EXTRA)
        await ask(run, TEAM, AssignedLicense(SMALL.sku_id, frozenset({self.PLAN})))
        assert [run.licenses(each) for each in people] == [{"SMALL", "EXTRA"}] * 2


class TestPlansOfTheCompany:
    async def test_products_that_share_only_those_do_not_replace_each_other(self) -> None:
        foundation = replace(product(0, "", (99,)).service_plans[0], applies_to="Company")
        visio = product(51, "VISIO", (60,))
        power_bi = product(52, "POWER_BI", (61,))
        visio = replace(visio, service_plans=(*visio.service_plans, foundation))
        power_bi = replace(power_bi, service_plans=(*power_bi.service_plans, foundation))
        run = with_products(visio, power_bi)
        people = run.people(2)
        await ask(run, TEAM, visio)
        run.directory.add_sku(replace(power_bi, enabled=0))
        ended = await ask(run, TEAM, power_bi, remove=(visio,))
        assert ended.totals.waiting == 2
        assert [run.licenses(each) for each in people] == [set(), set()]
