"""What HR may do now: which groups it writes to, and who sends which source.

By the settings, or for a while by what was in use before they were known.
"""

from __future__ import annotations

from shared.domain.hr_groups import FormerUse, HrGroups, former_groups, hr_groups
from shared.domain.hr_senders import HrSenders, former_senders, hr_senders
from shared.domain.initiator import Initiator
from shared.handlers.onboarding.needs import Needs

LOOKED_AT, PAGE = 5000, 1000
"""Events that are read to find out who sends which source, the newest first."""


async def writable(world: Needs) -> HrGroups:
    """Groups whose members HR may change at this moment. Raises Unavailable."""
    setting, now = world.policy.onboarding_groups, world.clock.now()
    return hr_groups(setting, FormerUse(now) if setting is not None else await former_use(world), now)


async def senders(world: Needs) -> HrSenders:
    """Who may send HR events at this moment. Raises Unavailable."""
    setting, now = world.policy.hr_senders, world.clock.now()
    return hr_senders(setting, FormerUse(now) if setting is not None else await former_use(world), now)


async def former_use(world: Needs) -> FormerUse:
    """Found at the first look, before anything can be added to it."""
    found = await world.stores.profiles.former_use()
    if found is not None:
        return found
    now, groups = world.clock.now(), former_groups(await world.stores.profiles.all())
    return await world.stores.profiles.keep_former_use(FormerUse(now, groups, former_senders(await _senders(world))))


async def _senders(world: Needs) -> list[Initiator]:
    found: list[Initiator] = []
    after: str | None = None
    while len(found) < LOOKED_AT:
        page, after = await world.stores.onboarding.newest(PAGE, after)
        found += [record.sender for record in page]
        if after is None:
            break
    return found
