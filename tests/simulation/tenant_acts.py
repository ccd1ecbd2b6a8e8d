"""What only the tenant does in a history: its tables differ from the product's, plans and products go, an administrator
changes licenses between two reads, delta links are rejected.

It also says what follows from the tenant's own tables: which license somebody rightly lacks or keeps.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import product

from shared.domain.directory import LicenseAssignmentState, SubscribedSku
from shared.domain.ids import NO_PLANS, Plans, ServicePlanId, SkuId, UserId
from tests.support.runs import EXTRA, LARGE, SMALL, Run

PRODUCTS = (SMALL, LARGE, EXTRA)
KINDS = ("tables", "retiredPlans", "missingProducts", "handBetweenReads", "deltaForgotten", "deltaRejected")
"""`tables`: plans exclude each other that no list names. `retiredPlans`: requests turn plans off, and plans leave their
product and return. `missingProducts`: products leave the tenant. `handBetweenReads`: an administrator assigns a
license, or assigns a managed one anew. `deltaForgotten`: old links are rejected. `deltaRejected`: new ones are too."""


@dataclass
class TenantTables:
    """The pairs of plans that exclude each other here."""

    pairs: frozenset[frozenset[ServicePlanId]] = frozenset()

    def conflict(self, plans: Plans, /) -> bool:
        return any(pair <= plans for pair in self.pairs)


WHOLE = {sku.sku_id: sku.plan_ids for sku in PRODUCTS}
"""The plans of each product, whatever the tenant made of it."""


@dataclass
class TenantActs:
    """The acts of the chosen kinds. `unmanaged` is the history's own: what administrators assigned, by user."""

    run: Run
    chance: random.Random
    kinds: frozenset[str]
    unmanaged: dict[UserId, set[SkuId]]
    note: Callable[[str], None]
    tables: TenantTables = field(default_factory=TenantTables)
    contents: list[tuple[datetime, SkuId, Plans]] = field(default_factory=list)
    """What a product had from then on, each time that plans left it or came back."""

    def begin(self) -> None:
        """Lay the tenant's tables."""
        if "tables" in self.kinds:
            found = [frozenset(pair) for pair in product(SMALL.plan_ids | LARGE.plan_ids, EXTRA.plan_ids)]
            chosen = self.chance.sample(sorted(found, key=sorted), self.chance.randint(1, 2))
            self.tables.pairs = frozenset(chosen)
            self.note(f"plans exclude each other: {sorted(sorted(each[-3:] for each in pair) for pair in chosen)}")
        self.run.directory.exclusions = tuple(self.tables.pairs)

    @property
    def is_quiet(self) -> bool:
        """Whether these acts can make room for a license without any event, so that only a sync finds it."""
        return bool(self.kinds & {"retiredPlans", "missingProducts"})

    def acts(self) -> tuple[Callable[[], Awaitable[None]], ...]:
        by_kind = {
            "retiredPlans": self._retire,
            "missingProducts": self._withdraw,
            "handBetweenReads": self._by_hand,
            "deltaForgotten": self._forget_links,
            "deltaRejected": self._reject_links,
        }
        return tuple(act for kind, act in by_kind.items() if kind in self.kinds)

    def plans_off(self, sku: SubscribedSku) -> Plans:
        """The plans that a request turns off: of a product with several, sometimes one or two."""
        plans = sorted(sku.plan_ids)
        if "retiredPlans" not in self.kinds or len(plans) < 3:
            return NO_PLANS
        return frozenset(self.chance.sample(plans, self.chance.choice((0, 0, 1, 2))))

    def end(self) -> None:
        """Delta links are taken again."""
        self.run.fakes.changes.rejecting = False

    def on(self, sku_id: SkuId, off: Plans) -> Plans:
        """Plans that are on with a license; none of a product that is gone."""
        sku = self.run.directory.sku(sku_id)
        return sku.plan_ids - off if sku else NO_PLANS

    def plans_at(self, sku_id: SkuId, at: datetime) -> Plans:
        """The plans that a product had at a time."""
        changed = [plans for since, sku, plans in self.contents if sku == sku_id and since <= at]
        return changed[-1] if changed else WHOLE[sku_id]

    def may_lack(self, sku_id: SkuId, off: Plans, held: Iterable[tuple[SkuId, Plans]]) -> bool:
        """Whether Graph rejects the license beside what somebody holds."""
        if self.run.directory.sku(sku_id) is None:
            return True
        beside = NO_PLANS.union(*(self.on(each, plans) for each, plans in held if each != sku_id))
        return self.tables.conflict(self.on(sku_id, off) | beside)

    def may_keep(self, mine: Plans, lacking: Iterable[SkuId]) -> bool:
        """Whether plans may stay on because a product that could replace them is lacking, also one that the tenant
        lost."""
        for other in lacking:
            theirs = WHOLE[other]
            if mine & theirs or any(pair & mine and pair & theirs for pair in self.tables.pairs):
                return True
        return False

    async def _retire(self) -> None:
        """Microsoft takes a plan out of a product, or puts all of its plans in again."""
        whole = self.chance.choice((SMALL, LARGE))
        now = self.run.directory.sku(whole.sku_id)
        if now is None:
            return
        if len(now.service_plans) < len(whole.service_plans) and self.chance.random() < 0.5:
            self.run.directory.add_sku(whole)
            self.contents.append((self.run.world.clock.now(), whole.sku_id, whole.plan_ids))
            self.note(f"{whole.sku_part_number} has all of its plans again")
            return
        if len(now.service_plans) < 2:
            return
        gone = self.chance.choice(now.service_plans[1:])
        rest = tuple(plan for plan in now.service_plans if plan != gone)
        self.run.directory.add_sku(replace(whole, service_plans=rest))
        plans = frozenset(plan.service_plan_id for plan in rest)
        self.contents.append((self.run.world.clock.now(), whole.sku_id, plans))
        self.note(f"{gone.service_plan_name} is retired from {whole.sku_part_number}")

    async def _withdraw(self) -> None:
        """The tenant no longer has a product, and nobody has it."""
        sku = self.chance.choice(PRODUCTS)
        if self.run.directory.sku(sku.sku_id) is None:
            return
        self.run.directory.remove_sku(sku.sku_id, licenses=True)
        for skus in self.unmanaged.values():
            skus.discard(sku.sku_id)
        self.note(f"{sku.sku_part_number} is gone from the tenant")

    async def _by_hand(self) -> None:
        """An administrator assigns a product: one that the user does not have, or one that he has from this app.

        Not while a write of this app is under way or reads of the person lag, and not in the second of a write: whose
        the license is, nobody can know.
        """
        directory = self.run.directory
        person = self.chance.choice(sorted(self.unmanaged))
        self.run.fakes.clock.move(timedelta(seconds=1))
        ledger = (await self.run.world.stores.ledger.rows([person])).get(person)
        if directory.is_stale(person) or (ledger is not None and ledger.intent):
            return
        sku, user = self.chance.choice(PRODUCTS), directory.truth(person)
        rest = tuple(row for row in user.license_assignment_states if row.sku_id != sku.sku_id)
        held = [(row.sku_id, row.disabled_plans) for row in rest]
        if not user.usage_location or self.may_lack(sku.sku_id, NO_PLANS, held):
            return
        given = LicenseAssignmentState(sku.sku_id, last_updated=self.run.world.clock.now())
        directory.change_user(replace(user, license_assignment_states=(*rest, given)))
        self.unmanaged[person].add(sku.sku_id)
        self.note(f"{sku.sku_part_number} is assigned to {person[-2:]} by hand")

    async def _forget_links(self) -> None:
        self.run.fakes.changes.forget_tokens()
        self.note("old delta links are rejected")

    async def _reject_links(self) -> None:
        feed = self.run.fakes.changes
        feed.rejecting = not feed.rejecting
        self.note(f"delta links are {'rejected' if feed.rejecting else 'taken again'}")
