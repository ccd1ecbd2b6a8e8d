"""The current scope of HR: the groups that it can change, and the senders of each source.

It comes from the settings, or for a while from the groups and senders in use before the settings existed.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from shared.domain.errors import NotFound, PermissionDenied, Unavailable
from shared.domain.hr_groups import UNITS_TRIED_EVERY, FormerUse, HrGroups, UnitGroups, former_groups, hr_groups
from shared.domain.hr_senders import HrSenders, former_senders, hr_senders
from shared.domain.ids import GroupId
from shared.domain.initiator import Initiator
from shared.handlers.onboarding.needs import Needs

log = logging.getLogger(__name__)

READ_AT_MOST, PAGE = 5000, 1000
"""Events that are read to find out who sends which source, the newest first."""


async def writable(world: Needs) -> HrGroups:
    """Groups whose members HR may change at this moment. Raises Unavailable."""
    setting, now = world.policy.onboarding_groups, world.clock.now()
    if setting is None:
        return hr_groups(None, await former_use(world), now)
    return HrGroups(setting | await _groups_of_units(world))


async def _groups_of_units(world: Needs) -> frozenset[GroupId]:
    """Read again if it is time; a failed read keeps the last list. Raises Unavailable if there is none yet."""
    units, now = world.policy.onboarding_units, world.clock.now()
    if not units:
        return frozenset()
    stored = await world.stores.profiles.unit_groups()
    listed = stored.of(units)
    if listed.is_due(now):
        try:
            found = [await world.directory.groups_of_unit(each) for each in sorted(units)]
            listed = UnitGroups(units, frozenset().union(*found), now, now)
        except (PermissionDenied, NotFound, Unavailable) as fault:
            listed = replace(listed, tried_at=now, fault=str(fault))
            log.warning("%s", listed.warning())
        await world.stores.profiles.keep_unit_groups(listed)
    if listed.read_at is None:
        raise Unavailable(UNITS_TRIED_EVERY.total_seconds(), listed.warning())
    return listed.groups


async def senders(world: Needs) -> HrSenders:
    """The permitted senders of HR events now. Raises Unavailable."""
    setting, now = world.policy.hr_senders, world.clock.now()
    return hr_senders(setting, FormerUse(now) if setting is not None else await former_use(world), now)


async def former_use(world: Needs) -> FormerUse:
    """Found at the first read, before anything can be added to it."""
    found = await world.stores.profiles.former_use()
    if found is not None:
        return found
    now, groups = world.clock.now(), former_groups(await world.stores.profiles.all())
    return await world.stores.profiles.keep_former_use(FormerUse(now, groups, former_senders(await _senders(world))))


async def _senders(world: Needs) -> list[Initiator]:
    found: list[Initiator] = []
    after: str | None = None
    while len(found) < READ_AT_MOST:
        page, after = await world.stores.onboarding.newest(PAGE, after)
        found += [record.sender for record in page]
        if after is None:
            break
    return found
