"""Random histories of products: pairs that only this tenant rejects or allows, retired plans, lost products.

The tenant's rules and what must be right in the end are written down here again, without the product's decisions.
"""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from shared.domain.assignment import OptionsChange
from shared.domain.catalog_data import EXCLUSIONS
from shared.domain.directory import AssignedLicense, LicenseAssignmentState, ServicePlan, SubscribedSku
from shared.domain.errors import BadRequest
from shared.domain.ids import NO_PLANS, GroupId, Plans, ServicePlanId, SkuId, UserId
from shared.domain.operation import LicenseChange, OperationState, Target, is_collecting
from shared.domain.operation_request import OperationRequest
from shared.handlers.membership.nightly_sync import sync_all
from shared.handlers.operations import approvals
from shared.handlers.operations.accept import accept
from shared.handlers.reconcile.grant_expiry import reconcile_due_users
from tests.support.fakes_directory import CONFLICT_TEXTS
from tests.support.runs import MIA, NOA, Run, user

HISTORIES = 40
ACTS = 22
PEOPLE = 5
GROUPS = tuple(GroupId(str(UUID(int=950 + number))) for number in range(3))
GRACE = 10
COMPANY = ServicePlan(ServicePlanId(str(UUID(int=3999))), "FOUNDATION", "Company")
LISTED = [sorted(group)[:3] for group in sorted(EXCLUSIONS, key=min)[:3]]
"""Plans that the product's own table lists as exclusive; whether this tenant agrees is up to the seed."""
FREE = [ServicePlanId(str(UUID(int=3000 + number))) for number in range(6)]


class History:
    """One seed: products, the tenant's rules, groups, people, and what administrators asked."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.run = Run()
        self.skus = [self._product(number) for number in range(6)]
        for sku in self.skus:
            self.run.directory.add_sku(sku)
        pool = [plan for group in LISTED for plan in group] + FREE
        wrong_pairs = [frozenset(self.chance.sample(pool, 2)) for _ in range(self.chance.randrange(3))]
        right_pairs = [frozenset(group) for group in LISTED if self.chance.random() < 0.5]
        # No product excludes itself.
        self.run.directory.exclusions = tuple(
            pair for pair in wrong_pairs + right_pairs if all(len(pair & sku.plan_ids) < 2 for sku in self.skus)
        )
        self.run.directory.conflict_text = self.chance.choice(CONFLICT_TEXTS)
        self.people = [self.run.directory.add_user(user(number)) for number in range(1, PEOPLE + 1)]
        for group in GROUPS:
            self.run.directory.add_group(group)
        self.asked: dict[GroupId, dict[SkuId, Plans]] = defaultdict(dict)
        self.by_hand: dict[UserId, set[SkuId]] = defaultdict(set)
        self.retired: dict[SkuId, Plans] = {}
        self.is_forgotten = self.chance.random() < 0.5

    def _product(self, number: int) -> SubscribedSku:
        """One plan of each of some listed sets at most, since no product excludes itself."""
        plans = [self.chance.choice(group) for group in LISTED if self.chance.random() < 0.5]
        plans += self.chance.sample(FREE, self.chance.randrange(1, 4))
        services = tuple(ServicePlan(plan, plan[-4:]) for plan in plans)
        return SubscribedSku(SkuId(str(UUID(int=3100 + number))), f"P{number}", (*services, COMPANY), enabled=100)

    async def play(self) -> None:
        acts = [
            self.join,
            self.leave,
            self.assign,
            self.assign,
            self.remove,
            self.hand,
            self.lose,
            self.retire,
            self.night,
        ]
        for _ in range(ACTS):
            await self.chance.choice(acts)()
            await self.rest()
        for sku in self.skus:
            await self.back(sku)
        for _ in range(GRACE + 4):
            await self.night()
        for group in GROUPS:
            if self.asked[group]:
                await self.ask(group, reprocess=True)
        await self.night()

    async def join(self) -> None:
        self.run.directory.join(self.chance.choice(GROUPS), who := self.chance.choice(self.people))
        await self.event(who)

    async def leave(self) -> None:
        who = self.chance.choice(self.people)
        mine = [group for group in GROUPS if who in self.run.directory.direct_members(group)]
        if mine:
            self.run.directory.leave(self.chance.choice(mine), who)
            await self.event(who)

    async def event(self, who: UserId) -> None:
        self.run.later(hours=2)
        await self.run.reconcile(who, cause=f"event-{self.run.done}")

    async def assign(self) -> None:
        group, sku = self.chance.choice(GROUPS), self.chance.choice(self.skus)
        plans = sorted(sku.plan_ids - {COMPANY.service_plan_id})
        off = frozenset(self.chance.sample(plans, self.chance.randrange(len(plans))))
        options = OptionsChange({"grace": timedelta(days=GRACE)}) if self.chance.random() < 0.5 else None
        if await self.ask(group, add=(AssignedLicense(sku.sku_id, off),), options=options):
            self.asked[group][sku.sku_id] = off

    async def remove(self) -> None:
        group = self.chance.choice(GROUPS)
        if self.asked[group]:
            sku_id = self.chance.choice(sorted(self.asked[group]))
            if await self.ask(group, remove=(sku_id,)):
                del self.asked[group][sku_id]

    async def ask(
        self,
        group: GroupId,
        add: tuple[AssignedLicense, ...] = (),
        remove: tuple[SkuId, ...] = (),
        options: OptionsChange | None = None,
        *,
        reprocess: bool = False,
    ) -> bool:
        change = LicenseChange(add, remove)
        try:
            await accept(
                self.run.world, OperationRequest(Target(group), MIA, change, options=options, reprocess=reprocess)
            )
        except BadRequest:
            gone = any(self.run.directory.sku(each.sku_id) is None for each in add)
            assert gone or any(each.disabled_plans & self.retired.get(each.sku_id, NO_PLANS) for each in add)
            return False
        return True

    async def hand(self) -> None:
        """An administrator assigns a product that nothing else gives or excludes."""
        who, sku = self.chance.choice(self.people), self.chance.choice(self.skus)
        truth = self.run.directory.truth(who)
        if sku.sku_id not in truth.assigned and not self._excluded(sku.plan_ids, self._on(who, truth.direct)):
            row = LicenseAssignmentState(sku.sku_id, last_updated=self.run.world.clock.now())
            rows = (*truth.license_assignment_states, row)
            self.run.directory.change_user(replace(truth, license_assignment_states=rows))
            self.by_hand[who].add(sku.sku_id)

    async def lose(self) -> None:
        """The tenant loses a product, or has it again."""
        sku = self.chance.choice(self.skus)
        if self.run.directory.sku(sku.sku_id) is None:
            await self.back(sku)
        else:
            self.run.directory.remove_sku(sku.sku_id)

    async def retire(self) -> None:
        sku = self.chance.choice(self.skus)
        present = self.run.directory.sku(sku.sku_id)
        plans = sorted(present.plan_ids - {COMPANY.service_plan_id}) if present else []
        if len(plans) > 1 and sku.sku_id not in self.retired:
            plan = self.chance.choice(plans)
            self.run.directory.retire_plan(sku.sku_id, plan, is_forgotten=self.is_forgotten)
            self.retired[sku.sku_id] = frozenset({plan})
        elif sku.sku_id in self.retired:
            await self.back(sku)

    async def back(self, sku: SubscribedSku) -> None:
        """The product is whole again. A plan that was away for less than two nights was never seen to be away."""
        if gone := self.retired.get(sku.sku_id):
            left = tuple(plan for plan in sku.service_plans if plan.service_plan_id not in gone)
            self.run.directory.add_sku(replace(sku, service_plans=left))
            await self.night()
            await self.night()
        self.retired.pop(sku.sku_id, None)
        self.run.directory.add_sku(sku)

    async def night(self) -> None:
        self.run.later(hours=24)
        await reconcile_due_users(self.run.world)
        await sync_all(self.run.world)
        await self.rest()

    async def rest(self) -> None:
        for _ in range(100):
            await self.run.work_off()
            waiting = [
                each
                for each in await self.run.world.stores.operations.open()
                if each.state is OperationState.AWAITING_APPROVAL
            ]
            if not waiting:
                return
            for each in waiting[:1]:
                if is_collecting(each):
                    await approvals.review(self.run.world, each.id, MIA)
                else:
                    await approvals.approve(self.run.world, each.id, each.checksum, NOA)
        raise AssertionError("the work does not end")

    def desired(self, who: UserId) -> dict[SkuId, Plans]:
        found: dict[SkuId, Plans] = {}
        for group in GROUPS:
            if who in self.run.directory.direct_members(group):
                for sku_id, off in self.asked[group].items():
                    found[sku_id] = found[sku_id] & off if sku_id in found else off
        return found

    def _plans(self, sku_id: SkuId) -> Plans:
        return next(sku.plan_ids for sku in self.skus if sku.sku_id == sku_id)

    def _on(self, who: UserId, skus: object) -> Plans:
        rows = self.run.directory.truth(who).direct
        return NO_PLANS.union(*(self._plans(each) - rows[each].disabled_plans for each in rows))

    def _excluded(self, one: Plans, two: Plans) -> bool:
        return any(
            first != second
            for group in self.run.directory.exclusions
            for first, second in itertools.product(group & one, group & two)
        )

    def wrong(self) -> list[str]:
        """What is not as it must be, in words."""
        found = []
        for who in self.people:
            desired, has = self.desired(who), self.run.directory.licenses(who)
            name = {sku.sku_id: sku.sku_part_number for sku in self.skus}
            for sku_id in self.by_hand[who]:
                if has.get(sku_id) != NO_PLANS:
                    found.append(f"{who[-1]}: the administrator's {name[sku_id]} was changed")
            missing = [sku_id for sku_id in desired if sku_id not in has]
            for sku_id in missing:
                on = self._plans(sku_id) - desired[sku_id]
                if not any(self._excluded(on, self._plans(each) - has[each]) for each in has):
                    found.append(f"{who[-1]}: {name[sku_id]} is missing")
            for sku_id in has.keys() - desired.keys() - self.by_hand[who]:
                waits = any(
                    (self._plans(sku_id) & self._plans(each) - {COMPANY.service_plan_id})
                    or self._excluded(self._plans(each) - desired[each], self._plans(sku_id) - has[sku_id])
                    for each in missing
                )
                if not waits:
                    found.append(f"{who[-1]}: {name[sku_id]} was not removed")
            for sku_id in desired.keys() & has.keys() - self.by_hand[who]:
                others = NO_PLANS.union(*(self._plans(each) - has[each] for each in has if each != sku_id))
                waits = any((desired[sku_id] - has[sku_id]) & self._plans(each) for each in missing)
                excused = waits or self._excluded(has[sku_id] - desired[sku_id], others)
                if has[sku_id] != desired[sku_id] and not excused:
                    found.append(f"{who[-1]}: {name[sku_id]} has {has[sku_id]} off, must be {desired[sku_id]}")
        return found


@pytest.mark.parametrize("first", range(0, HISTORIES, 10))
async def test_in_the_end_everybody_has_what_the_tenant_allows(first: int) -> None:
    for seed in range(first, first + 10):
        history = History(seed)
        await history.play()
        assert history.wrong() == [], f"seed {seed}"
