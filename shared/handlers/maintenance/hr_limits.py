"""Profiles and sources that HR cannot use now, or soon cannot use any more, by the settings that limit HR."""

from __future__ import annotations

from shared.domain.hr_groups import FormerUse, warnings_of
from shared.domain.hr_senders import sender_warnings
from shared.handlers.maintenance.needs import Needs


async def hr_limits(world: Needs) -> tuple[str, ...]:
    """Warnings for administrators; each raises the alert `hr-limited`. Raises Unavailable."""
    now, policy, stored = world.clock.now(), world.policy, world.stores.profiles
    former = await stored.former_use() or FormerUse(now)
    units = (await stored.unit_groups()).of(policy.onboarding_units)
    named = policy.onboarding_groups
    setting = None if named is None else named | units.groups
    read = (units.warning(),) if units.warning() else ()
    is_known = units.read_at is not None or not policy.onboarding_units
    groups = warnings_of(await stored.all(), setting, former, now) if is_known else ()
    return (*read, *groups, *sender_warnings(policy.hr_senders, former, now))
