"""A short history of one tenant, for runs at every position of its switches, and what must be right at its end.

The oracle asks the simulated tenant alone: what a member lacks must be something that the tenant rejects for that
member, and the member's row must say so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from local.tenant import clock
from local.tenant.directory.model import AssignedLicense as Assigned
from local.tenant.directory.model import User
from local.tenant.licensing.rules import Change, Licensee, LicenseError, Rejection, apply_change
from local.tenant.quota import TENANT_WRITES_PER_5_MIN
from shared.domain.directory import AssignedLicense
from shared.domain.ids import GroupId, SkuId, UserId
from shared.domain.operation import LicenseChange, Operation, Target
from shared.domain.operation_request import OperationRequest
from shared.handlers.operations.accept import accept
from tests.support.runs import MIA
from tests.support.tenant_run import TenantRun
from tests.support.tenant_stage import guid

E3, E5, F3, EMS, VISIO, PROJECT = (
    SkuId(each)
    for each in (
        "05e9a617-0261-4cee-bb44-138d3ef5d965",
        "06ebc4ee-1bb5-47dd-8120-11324bc54e06",
        "66b55226-6b4f-492c-910c-a3b7a3c9d993",
        "efccb6f7-5641-4e0e-bd10-b4976e1bf68e",
        "c5928f49-12ba-48f7-ada3-0d743a3601d5",
        "53818b1b-4a27-454b-8896-0dba576410e6",
    )
)
ANNA, BEN, CARA, DORA, EMIL, FRED, GINA, HANS, IDA, JOEL, KIM, LEA = (UserId(guid(n)) for n in range(1, 13))
DEVICE, NEW_DEVICE = guid(0x50), UserId(guid(0x51))
TEAM, INNER, NATIVE, CRAFT = (GroupId(guid(0x100 + n)) for n in range(4))
UNMANAGED: dict[UserId, SkuId] = {BEN: E3, DORA: F3, LEA: EMS}
"""Licenses that an administrator assigned by hand."""

MANAGED = (E3, EMS, VISIO, PROJECT)

OBJECTS: dict[str, Any] = {
    "skus": [{"skuId": sku, "enabled": 50} for sku in (E3, E5, F3, EMS, PROJECT)] + [{"skuId": VISIO, "enabled": 2}],
    "devices": [{"id": DEVICE}, {"id": NEW_DEVICE}],
    "users": [
        *({"id": one} for one in (ANNA, EMIL, FRED, GINA, HANS, IDA, JOEL, KIM)),
        *({"id": one, "licenses": [{"skuId": sku}]} for one, sku in UNMANAGED.items()),
        {"id": CARA, "usageLocation": None},
    ],
    "groups": [
        {"id": INNER, "displayName": "Inner", "members": [KIM]},
        {
            "id": TEAM,
            "displayName": "Team",
            "members": [ANNA, BEN, CARA, DORA, EMIL, FRED, HANS, JOEL, LEA, INNER, DEVICE],
        },
        {"id": CRAFT, "displayName": "Craft", "members": [ANNA, CARA]},
        {"id": NATIVE, "displayName": "Native", "members": [EMIL], "assignedLicenses": [{"skuId": EMS}]},
    ],
}


@dataclass
class SwitchHistory:
    """One history. `wrong` holds what was not right on the way."""

    run: TenantRun
    wrong: list[str] = field(default_factory=list)
    asked: dict[GroupId, set[SkuId]] = field(default_factory=dict)
    unmanaged: dict[UserId, set[SkuId]] = field(default_factory=lambda: {who: {sku} for who, sku in UNMANAGED.items()})
    may_set_locations: bool = True
    """Whether the app has the permission to set a usage location; else users without one are in error for that."""

    async def play(self) -> list[str]:
        """Everything that is wrong; empty if all is right."""
        run = self.run
        await run.control("POST", "objects", OBJECTS)
        await run.timers()
        # Other apps have nearly used up the tenant's quota of writes.
        await run.control("POST", "quota", {"othersWrites": TENANT_WRITES_PER_5_MIN - 5})
        await self.ask(TEAM, E3, EMS)
        await self.ask(CRAFT, VISIO, PROJECT)
        run.lose_notifications()
        await run.timers()

        # One comes and one leaves, and Graph notifies; then two others, and it does not; then links end.
        await self.move(add=[(TEAM, GINA), (TEAM, NEW_DEVICE)], remove=[(TEAM, FRED)])
        await run.notify()
        await run.rest()
        await self.move(add=[(TEAM, IDA), (CRAFT, HANS)], remove=[(TEAM, HANS)])
        run.lose_notifications()
        run.later(minutes=5)
        await run.timers()
        await run.control("POST", "delta/expire")
        await self.move(add=[], remove=[(TEAM, LEA), (TEAM, EMIL)])
        await run.control("DELETE", f"users/{JOEL}")
        run.lose_notifications()
        run.later(minutes=5)
        await run.timers()
        await self.settle()
        self.wrong += await self.faults("in the middle")

        # Licenses that were short are bought; one product is gone from the tenant, and one from its group.
        await run.control("POST", "objects", {"skus": [{"skuId": VISIO, "enabled": 9}]})
        await run.timers()
        await run.control("PATCH", "tables", {"withdraw": [{"sku": PROJECT, "keepAssignments": True}]})
        await self.ask(CRAFT, remove=(PROJECT,))
        await self.settle()
        await run.night()
        self.wrong += await self.faults("in the end")
        return self.wrong

    async def settle(self) -> None:
        """Long enough for removals, and for reads that lag by minutes."""
        for _ in range(3):
            self.run.later(minutes=20)
            await self.run.timers()

    async def ask(self, group: GroupId, *add: SkuId, remove: tuple[SkuId, ...] = ()) -> None:
        await self.begin(group, *add, remove=remove)
        await self.run.rest()

    async def begin(self, group: GroupId, *add: SkuId, remove: tuple[SkuId, ...] = ()) -> Operation:
        """Ask, without working on it."""
        change = LicenseChange(tuple(AssignedLicense(sku) for sku in add), remove)
        operation = await accept(self.run.world, OperationRequest(Target(group), MIA, change))
        self.asked[group] = (self.asked.get(group, set()) | set(add)) - set(remove)
        return operation

    async def move(self, *, add: list[tuple[GroupId, UserId]], remove: list[tuple[GroupId, UserId]]) -> None:
        changes = {"add": [list(each) for each in add], "remove": [list(each) for each in remove]}
        await self.run.control("POST", "membership", changes)

    def entitled(self, user: User) -> set[SkuId]:
        """What the groups of a user ask for."""
        lies_in = self.run.state.directory.transitive_groups(user, None)
        return {sku for group, skus in self.asked.items() if group in lies_in for sku in skus}

    async def faults(self, when: str) -> list[str]:
        directory, found = self.run.state.directory, []
        for user in directory.users.values():
            if user.deleted is None:
                found += await self._of_user(user)
        found += self._losses()
        stores = self.run.world.stores
        found += [f"{each.id} {each.state} in {each.phase}" for each in await stores.operations.open()]
        found += [f"dead letter: {each.reason}" for each in (await stores.dead_letters.page(10))[0]]
        # Whether a write to a user in the recycle bin was done is seen when the user is back.
        there = [UserId(user.id) for user in directory.users.values() if user.deleted is None]
        rows = await stores.ledger.rows(there)
        found += [f"{person[-2:]} has an open intent" for person, row in rows.items() if row.intent]
        return [f"{when}: {each}" for each in found]

    async def _of_user(self, user: User) -> list[str]:
        entitled, person = self.entitled(user), UserId(user.id)
        direct = {row.sku_id for row in user.rows if row.group is None}
        names = {E3: "E3", EMS: "EMS", VISIO: "VISIO", PROJECT: "PROJECT", F3: "F3"}
        found, lacking = [], entitled - direct
        shown = await self.run.world.stores.members.of_user(person, tuple(self.asked))
        for sku in lacking:
            why = self._rejection(user, sku)
            errors = {problem.error.value for row in shown for problem in row.problems if problem.sku_id in (sku, None)}
            if why is None:
                found.append(f"{user.id[-2:]} lacks {names[sku]}, which the tenant would assign")
            elif not (self._is_shown(why, errors) or self._is_sold_out(sku, errors)):
                found.append(f"{user.id[-2:]} lacks {names[sku]}, shown as {errors}; the tenant says {why}")
        unmanaged = self.unmanaged.get(person, set())
        found += [f"{user.id[-2:]} lost the unmanaged {names[sku]}" for sku in sorted(unmanaged - direct)]
        gone = {sku for sku in MANAGED if sku not in self.run.state.directory.subscriptions}
        noted = {note for row in shown for note in row.notes}
        for kept in map(SkuId, direct - entitled - unmanaged - gone):
            if not any(self._replaces(sku, kept) for sku in lacking):
                found.append(f"{user.id[-2:]} keeps {names[kept]}")
            elif not noted & {f"keptUntilReplaced {kept}", f"held {kept}"}:
                found.append(f"{user.id[-2:]} keeps {names[kept]}, shown as {sorted(noted)}")
        return found

    def _replaces(self, sku: SkuId, kept: SkuId) -> bool:
        """Whether a license stays until this one is assigned: they share a service plan of users."""
        one, two = (self.run.state.directory.catalog.products[each] for each in (sku, kept))
        return any(plan.applies_to == "User" and plan.id in two.plan_ids for plan in one.plans)

    def _is_shown(self, why: Rejection, errors: set[str]) -> bool:
        """Whether a member's row names the tenant's reason, or that of the app's missing permission."""
        if why.error is LicenseError.LOCATION and not self.may_set_locations:
            return "Permission" in errors
        return bool(errors) and (why.error is LicenseError.OTHER or why.error.value in errors)

    def _is_sold_out(self, sku: SkuId, errors: set[str]) -> bool:
        """Whether a member waits for a license that is sold out. Another reason shows only when there is one."""
        subscription = self.run.state.directory.subscriptions[sku]
        return LicenseError.COUNT.value in errors and subscription.consumed >= subscription.enabled

    def _rejection(self, user: User, sku: SkuId) -> Rejection | None:
        """Why the tenant does not assign a license to a user now; None if it does."""
        licensee = Licensee(user.rows, user.usage_location, True, user.proxy_clash)
        change = Change((Assigned(sku, ()),), ())
        subscriptions = self.run.state.directory.subscriptions
        after = apply_change(change, licensee, subscriptions, self.run.state.rules(), clock.time())
        return after if isinstance(after, Rejection) else None

    def _losses(self) -> list[str]:
        """Licenses that were removed from somebody who has always been entitled to them, or by hand has them."""
        stay = {ANNA: {E3, EMS, VISIO}, CARA: {E3, EMS, VISIO}, KIM: {E3, EMS}, BEN: {E3, EMS}, DORA: {F3, EMS}}
        found = []
        for write in self.run.state.metrics.writes_after(0, 10_000):
            if write["operation"] != "assignLicense" or write["userId"] not in stay:
                continue
            for sku in (write["before"].keys() - write["after"].keys()) & stay[UserId(write["userId"])]:
                found.append(f"{write['userId'][-2:]} lost {sku}")
        return found
