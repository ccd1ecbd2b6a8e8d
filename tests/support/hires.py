"""Events of HR for tests, and a run that takes them from the queue to their end."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, timedelta, tzinfo
from typing import Any, Self

from shared.domain.directory import AssignedLicense, SubscribedSku
from shared.domain.hr_events import SourceRules
from shared.domain.ids import GroupId, UserId
from shared.domain.messages import ONBOARDING
from shared.domain.onboarding import OnboardingRecord, SourceOrder, event_key
from shared.domain.profiles import Profile
from shared.handlers.onboarding.onboarding_queue import Onboarding, resume_due_events
from shared.ports.messaging import Outgoing
from tests.support.fakes_onboarding import FakeAccounts, FakeMemberships
from tests.support.runs import LARGE, OTHER_TEAM, SMALL, TEAM, Run, user

SOURCE = "urn:hr:test"
DAY = timedelta(days=1)


def event(kind: str, name: str, person: object, *, on: str = "2026-01-01", **data: object) -> dict[str, Any]:
    """A CloudEvent of HR. `person`: a user id, or the whole `user` object."""
    who = {"id": person} if isinstance(person, str) else person
    return {
        "specversion": "1.0",
        "type": f"hr.{kind}.v1",
        "source": SOURCE,
        "id": name,
        "time": "2026-01-01T00:00:00Z",
        "data": {"user": who, "effectiveDate": on, **data},
    }


@dataclass
class Hires(Run):
    """A run with a queue of HR events."""

    def __post_init__(self) -> None:
        super().__post_init__()
        accounts, memberships = self.world.accounts, self.world.memberships
        assert isinstance(accounts, FakeAccounts)
        assert isinstance(memberships, FakeMemberships)
        self.accounts, self.memberships = accounts, memberships

    async def licensed_team(self, *skus: SubscribedSku, team: GroupId = TEAM) -> None:
        """A managed group, which events can name by its profile."""
        await self.name_by_events(team)
        if team == TEAM:
            await self.change(skus or (SMALL,))
        else:
            await self.license_other(*skus)

    async def license_other(self, *skus: SubscribedSku) -> None:
        """The other team managed too."""
        await self.name_by_events(OTHER_TEAM)
        from shared.domain.operation import LicenseChange, Target
        from shared.domain.operation_request import OperationRequest
        from shared.handlers.operations.accept import accept
        from tests.support.runs import MIA

        change = LicenseChange(tuple(AssignedLicense(sku.sku_id) for sku in skus), ())
        await self.finish(await accept(self.world, OperationRequest(Target(OTHER_TEAM), MIA, change)))

    async def name_by_events(self, group: GroupId) -> None:
        """Events can name the group: a selectable profile has it."""
        name = f"of-{group}"
        if name not in {each.name for each in await self.world.stores.profiles.all()}:
            await self.profile(name, groups=(group,), selectable=True)

    def order_by(self, order: SourceOrder, zone: tzinfo = UTC) -> None:
        """How the HR system's events are ordered and dated from now on."""
        self.set_policy(hr_sources={"*": SourceRules(order, zone)})

    def set_policy(self, **settings: Any) -> None:
        """The app is started again with other settings."""
        self.world = replace(self.world, policy=replace(self.world.policy, **settings))
        self.fakes = replace(self.fakes, world=self.world)
        self.onboarders = [Onboarding(self.world), Onboarding(self.world)]

    @classmethod
    async def of_two_teams(cls) -> Self:
        """Both groups managed: SMALL for the team, LARGE for the other."""
        run = cls()
        await run.licensed_team(SMALL)
        await run.license_other(LARGE)
        return run

    async def profile(self, name: str, **values: Any) -> None:
        await self.world.stores.profiles.save(Profile(name, **values))

    async def send(self, *events: object) -> None:
        """Events on the queue, not worked on."""
        await self.fakes.world.queue.send([Outgoing(ONBOARDING, json.dumps(each).encode()) for each in events])

    async def notify(self, *events: object) -> None:
        """Events worked off until nothing is left to do."""
        await self.send(*events)
        await self.work_off()

    async def deliver(self, message: Outgoing) -> None:
        """No two events arrive at the same moment."""
        if message.queue == ONBOARDING:
            self.later(milliseconds=1)
        await super().deliver(message)

    async def record(self, name: str) -> OnboardingRecord:
        found = await self.world.stores.onboarding.get(event_key(SOURCE, name))
        assert found is not None, name
        return found

    async def state(self, name: str) -> str:
        return str((await self.record(name)).state)

    async def wait(self, **by: float) -> None:
        """Time passes, and the timer of onboarding is fired and worked off."""
        self.later(**by)
        await resume_due_events(self.fakes.world)
        await self.work_off()

    def member(self, user_id: UserId, group: GroupId = TEAM) -> bool:
        return user_id in self.directory.direct_members(group)


async def held_leavers() -> Hires:
    """25 leavers of one day, of whom five are over the allowance."""
    run = Hires()
    for number in range(1, 26):
        run.directory.add_user(user(number), groups=[TEAM])
    await run.licensed_team(SMALL)
    leavers = (event("leaver", f"l{n}", user(n), on="2026-01-01", removal="P0D") for n in range(1, 26))
    await run.send(*leavers)
    start = run.fakes.clock.now()
    await run.work_off(lambda: (run.fakes.clock.now() - start).total_seconds() > 3600)
    return run


def outcomes(items: Any) -> dict[str, str]:
    """The outcome of each group or license of a record, by its id."""
    return {getattr(each, "group_id", None) or each.sku_id: str(each.outcome) for each in items}


async def team(*, size: int = 0) -> Hires:
    """A managed team of `size` people."""
    run = Hires()
    for number in range(1, size + 1):
        run.directory.add_user(user(number), groups=[TEAM])
    await run.licensed_team(SMALL)
    return run
