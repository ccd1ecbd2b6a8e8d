"""Which groups HR may write to now: by the setting, or for a while by what was in use before it."""

from __future__ import annotations

from shared.domain.hr_groups import FormerUse, HrGroups, former_use, hr_groups
from shared.handlers.onboarding.needs import Needs


async def writable(world: Needs) -> HrGroups:
    """Groups whose members HR may change at this moment. Raises Unavailable."""
    setting, now = world.policy.onboarding_groups, world.clock.now()
    former = FormerUse(now) if setting is not None else await _former_use(world)
    return hr_groups(setting, former, now)


async def _former_use(world: Needs) -> FormerUse:
    """Found at the first look, before anything can be added to it."""
    found = await world.stores.profiles.former_use()
    if found is not None:
        return found
    return await world.stores.profiles.keep_former_use(former_use(await world.stores.profiles.all(), world.clock.now()))
