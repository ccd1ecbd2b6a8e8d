"""One event of HR for every place at which its process can die: it ends as if nothing had happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from shared.domain.directory import AssignedLicense
from shared.domain.ids import UserId
from shared.domain.initiator import Initiator
from shared.handlers.onboarding import administration
from shared.handlers.onboarding.onboarding_queue import Onboarding
from shared.handlers.operations.members_queue import Members
from shared.ports.messaging import Outgoing
from tests.support.hires import Hires, event
from tests.support.kills import KilledError, Killer, killable
from tests.support.runs import EXTRA, LARGE, OTHER_TEAM, SMALL, TEAM, user

WITHOUT_END = 10**9


class DyingHires(Hires):
    """A run whose process dies once; what it worked on is delivered again to a new process."""

    def arm(self, killer: Killer) -> None:
        self.world = killable(self.fakes.world, killer)
        self._restart()

    def _restart(self) -> None:
        self.workers = [Members(self.world), Members(self.world)]
        self.onboarders = [Onboarding(self.world), Onboarding(self.world)]

    async def deliver(self, message: Outgoing) -> None:
        try:
            await super().deliver(message)
        except KilledError:
            self._restart()
            await super().deliver(message)


async def _prepared() -> tuple[DyingHires, UserId]:
    run = DyingHires()
    await run.licensed_team(SMALL)
    await run.license_other(LARGE)
    await run.profile("labs", match={"department": ("Labs",)}, groups=(OTHER_TEAM,))
    sales = {"groups": (TEAM,), "licenses": (AssignedLicense(EXTRA.sku_id),), "usage_location": "FR"}
    await run.profile("sales", match={"department": ("Sales",)}, **sales)
    return run, run.directory.add_user(user(1), location=None)


async def _joined(run: DyingHires, ann: UserId, killer: Killer) -> set[str]:
    joiner = event("joiner", "1", ann, attributes={"department": "Sales"})
    run.arm(killer)
    await run.notify(joiner, joiner)
    return {"SMALL", "EXTRA"}


async def _moved(run: DyingHires, ann: UserId, killer: Killer) -> set[str]:
    await run.notify(event("joiner", "1", ann, attributes={"department": "Sales"}))
    mover = event("mover", "2", ann, on="2026-01-02", attributes={"department": "Labs"})
    run.arm(killer)
    await run.notify(mover)
    return {"LARGE"}


async def _left(run: DyingHires, ann: UserId, killer: Killer) -> set[str]:
    await run.notify(event("joiner", "1", ann, attributes={"department": "Sales"}))
    leaver = event("leaver", "2", ann, on="2026-01-02", removal="P0D")
    run.arm(killer)
    await run.notify(leaver)
    return set()


async def _taken_back(run: DyingHires, ann: UserId, killer: Killer) -> set[str]:
    await run.notify(event("joiner", "1", ann, attributes={"department": "Sales"}))
    await run.send(event("leaver", "2", ann, on="2026-01-02", removal="P0D"))
    await run.work_off(lambda: not run.licenses(ann))
    run.arm(killer)
    await administration.cancel(run.fakes.world, (await run.record("2")).key, Initiator("mia", "Mia"))
    await run.work_off()
    return {"SMALL", "EXTRA"}


Scenario = Callable[[DyingHires, UserId, Killer], Awaitable[set[str]]]


@pytest.mark.parametrize("scenario", [_joined, _moved, _left, _taken_back])
async def test_a_kill_at_any_change_loses_and_doubles_nothing(scenario: Scenario) -> None:
    run, ann = await _prepared()
    quiet = Killer(WITHOUT_END)
    await scenario(run, ann, quiet)
    assert quiet.changes > 15
    for at in range(1, quiet.changes + 1):
        run, ann = await _prepared()
        killer = Killer(at)
        wanted = await scenario(run, ann, killer)
        for _ in range(3):
            await run.wait(minutes=15)
            await run.reconcile(ann, cause=f"later-{run.done}")
        assert killer.died_in, at
        assert run.licenses(ann) == wanted, (at, killer.died_in)
        states = {name: await run.state(name) for name in ("1", "2") if name == "1" or scenario is not _joined}
        ends = {"Done", "Cancelled"} if scenario is _taken_back else {"Done"}
        assert set(states.values()) == ends, (at, killer.died_in, states)
        most = 2 if scenario is _taken_back else 1
        doubled = [change for change, count in Counter(run.memberships.log).items() if count > most]
        assert not doubled, (at, killer.died_in, doubled)
        observed = Counter(result["id"] for result in run.results)
        assert len(observed) == len(states), (at, killer.died_in, observed)
