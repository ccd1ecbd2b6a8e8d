"""Reads the protected people once a day. A failed or incomplete read keeps the last list and stores the reason."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from shared.domain.errors import NotFound, PermissionDenied, Unavailable
from shared.domain.ids import GroupId, UserId
from shared.domain.protected_people import ProtectedList
from shared.handlers.maintenance.needs import Needs

GROUP, USER = "group", "user"


async def read_protected_people(world: Needs) -> ProtectedList | None:
    """Read the list if it is time. Returns it as it is stored now; None if there was nothing to read."""
    policy, now = world.policy, world.clock.now()
    if not policy.protected_list_required:
        return None
    before = await world.stores.protected_people.load()
    if not before.is_due(now):
        return None
    try:
        found = before.refreshed(await _found(world), now)
    except (PermissionDenied, NotFound, Unavailable) as fault:
        found = replace(before, fault=str(fault))
    if found != before:
        await world.stores.protected_people.save(found)
    return found


async def _found(world: Needs) -> dict[UserId, tuple[str, ...]]:
    """All protected people, by the roles and by the named groups. Raises the error of an incomplete read."""
    reasons: dict[UserId, set[str]] = defaultdict(set)
    if world.policy.protected_roles:
        await _add_role_holders(world, reasons)
    for group_id in sorted(world.policy.protected_groups):
        for user_id in await _members(world, group_id):
            reasons[user_id].add(f"member of group {group_id}")
    return {user_id: tuple(sorted(each)) for user_id, each in reasons.items()}


async def _add_role_holders(world: Needs, reasons: dict[UserId, set[str]]) -> None:
    """People with a role, and those who are or can become members of a group with one, through further groups too."""
    holders = {principal: {role: role for role in roles} for principal, roles in (await world.roles.holders()).items()}
    done: set[tuple[str, str]] = set()
    while holders:
        kinds = await world.directory.kinds(sorted(holders))
        further: dict[str, dict[str, str]] = defaultdict(dict)
        for principal, why in holders.items():
            kind = kinds.get(principal)
            roles = [role for role in sorted(why) if (principal, role) not in done]
            if kind == GROUP and roles:
                done.update((principal, role) for role in roles)
                group_id, by_group = GroupId(principal), {role: f"{role}, by group {principal}" for role in roles}
                for user_id in await _members(world, group_id):
                    reasons[user_id].update(by_group.values())
                for each in await world.roles.eligible_members(group_id):
                    further[each].update(by_group)
            elif kind in (USER, None):
                # A principal of unknown kind may be a person, who must stay protected.
                reasons[UserId(principal)].update(why.values())
        holders = further


async def _members(world: Needs, group_id: GroupId) -> list[UserId]:
    return [user_id async for page in world.directory.member_ids(group_id) for user_id in page]
