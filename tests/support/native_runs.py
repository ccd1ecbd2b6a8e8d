"""A natively licensed group that the app manages, with operations worked off in memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta

from shared.domain.directory import AssignedLicense, SubscribedSku
from shared.domain.ids import UserId
from shared.domain.member_status import MemberState
from shared.domain.operation import LicenseChange, Operation, Target
from shared.domain.operation_request import OperationRequest
from shared.domain.read_models import AuditEntry, AuditFilter
from shared.handlers.membership.native_engine import manage_natively
from shared.handlers.operations.accept import accept
from shared.ports.messaging import Outgoing
from tests.support.fakes_native import FakeNativeLicensing
from tests.support.runs import EXTRA, LARGE, MIA, SMALL, TEAM, Run, user


@dataclass
class NativeRun(Run):
    """The team has SMALL natively, and every member has it. LARGE has all plans of SMALL and one more."""

    members: list[UserId] = field(default_factory=list)

    @property
    def native(self) -> FakeNativeLicensing:
        return self.fakes.native

    @classmethod
    async def of(cls, members: int = 4, products: Iterable[SubscribedSku] = (SMALL,)) -> NativeRun:
        run = cls()
        run.members = [run.directory.add_user(user(n)) for n in range(1, members + 1)]
        run.native.license(TEAM, *(sku.sku_id for sku in products), members=run.members)
        await manage_natively(run.world, TEAM, MIA)
        await run.work_off()
        run.native.group_calls.clear()
        return run

    async def ask_for(self, license_: AssignedLicense) -> Operation:
        """Accept a request to assign a product with apps that are off."""
        change = LicenseChange((license_,))
        return await accept(self.world, OperationRequest(Target(TEAM), MIA, change))

    async def step(self) -> None:
        """Deliver one message."""
        count = self.done
        await self.work_off(lambda: self.done > count)

    def stock(self, sku: SubscribedSku, available: int) -> None:
        """As many licenses of a product as are taken, and so many more."""
        found = self.directory.sku(sku.sku_id)
        assert found is not None
        self.directory.add_sku(replace(sku, enabled=found.consumed_units + available))

    def active(self, user_id: UserId) -> set[str]:
        """Part numbers of the products that the user really has, from any source."""
        rows = self.directory.truth(user_id).license_assignment_states
        found = [self.directory.sku(row.sku_id) for row in rows if row.state.counts]
        return {sku.sku_part_number for sku in found if sku is not None}

    @property
    def calls(self) -> list[tuple[list[str], list[str]]]:
        """Group calls: part numbers added and removed."""
        names = {sku.sku_id: sku.sku_part_number for sku in (SMALL, LARGE, EXTRA)}
        return [([names[s] for s in add], [names[s] for s in remove]) for _, add, remove in self.native.group_calls]

    async def states(self) -> dict[MemberState, int]:
        """How many recorded members are in each state."""
        found = await self.world.stores.members.states(TEAM)
        return {state: list(found.values()).count(state) for state in set(found.values())}

    async def audit(self, operation: Operation) -> list[AuditEntry]:
        now, day = self.world.clock.now(), timedelta(days=1)
        entries, _ = await self.world.stores.audit.search(AuditFilter(group_id=TEAM), now - day, now + day, 99)
        return [each for each in entries if operation.id in each.id]

    def kill_after(self, writes: int) -> None:
        """The process dies at a write of a table; the next message finds a new one."""
        self.fakes.tables.dies_after = writes
        inner = self.before

        def revive(message: Outgoing) -> None:
            if self.fakes.tables.dies_after == 0:
                self.fakes.tables.dies_after = None
            inner(message)

        self.before = revive
