"""What an independent count says of removals: how many went without an approval, in any 24 hours.

It shares no code with the product. It knows what was written to the directory, and which lists a person approved.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.domain.ids import Plans, SkuId, UserId
from shared.domain.operation import Operation
from shared.ports.world import World
from tests.support.fakes_directory import WriteEntry

DAY = timedelta(hours=24)
APPROVAL_HOLDS = timedelta(days=7)


PlansAt = Callable[[SkuId, datetime], Plans]
"""The plans that a product of the tenant had at a time."""


@dataclass
class Allowances:
    """`of_groups`: removals that all groups together allow in 24 hours; `of_tenant`: people of the tenant."""

    of_groups: int
    of_tenant: int
    plans_at: PlansAt
    approved: list[tuple[datetime, UserId, SkuId]] = field(default_factory=list)

    async def approve(self, world: World, operation: Operation) -> None:
        """A person approves the list that an operation shows."""
        now = world.clock.now()
        for number in range(operation.pages):
            page = await world.stores.snapshots.page(operation.id, operation.snapshot_id, number)
            for position, person in enumerate(page.user_ids):
                self.approved += [(now, person, sku) for sku in page.action(position).remove]

    def faults(self, log: Iterable[WriteEntry], leavers: Collection[UserId]) -> list[str]:
        """Where more went than was allowed. `leavers`: people whom HR sent away, who have an allowance of their own."""
        alone = [
            each for each in removed(log, self.plans_at) if each[1] not in leavers and not self._is_approved(*each)
        ]
        wrong = []
        for at, *_ in alone:
            day = [each for each in alone if at - DAY < each[0] <= at]
            people = {user_id for _, user_id, _ in day}
            if len(people) > self.of_tenant:
                wrong.append(f"{len(people)} people lost licenses without an approval in the day before {at}")
            if len(day) > self.of_groups:
                wrong.append(f"{len(day)} removals without an approval in the day before {at}")
        return wrong[:1]

    def _is_approved(self, at: datetime, user_id: UserId, sku_id: SkuId) -> bool:
        return any(
            (who, sku) == (user_id, sku_id) and when <= at <= when + APPROVAL_HOLDS for when, who, sku in self.approved
        )


def removed(log: Iterable[WriteEntry], plans_at: PlansAt) -> list[tuple[datetime, UserId, SkuId]]:
    """Licenses that were removed, but for those whose plans all stay on by other licenses."""
    found = []
    for entry in log:
        on = {plan for sku, off in entry.after.items() for plan in plans_at(sku, entry.at) - off}
        for sku in entry.before.keys() - entry.after.keys():
            if not plans_at(sku, entry.at) - entry.before[sku] <= on:
                found.append((entry.at, entry.user_id, sku))
    return found
