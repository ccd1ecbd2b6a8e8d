"""The groups of a preview's members. They come from the members of the groups that matter, or from each user.

Only groups with an assignment and excluded groups matter to a plan. Graph takes 4 units for a page of 999 members, and
1 and 2 units for the properties and the groups of a user (learn.microsoft.com/graph/throttling-limits, with $select).
A plan of 200 groups with 100,000 members would take 300,000 units by user, and an application has 800 a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from math import ceil

from shared.domain.directory import DirectoryUser
from shared.domain.errors import NotFound
from shared.domain.ids import GroupId, UserId
from shared.domain.operation import Operation
from shared.handlers.operations.forecast import Intents
from shared.handlers.operations.needs import Needs

MAX_AGE_S = 30.0
"""How old the member list of another group can be. The members of the preview's own group are read for it alone."""

LISTS_AT_ONCE = 8
UNITS_OF_PAGE, UNITS_OF_USER = 4, 3
PAGE = 999

SHARING = 10
"""Previews of one plan that share the lists, at least; a plan can have more in the age of a list."""

Users = Mapping[UserId, DirectoryUser | None]


async def with_groups(world: Needs, operation: Operation, assignments: Intents, users: Users) -> Users | None:
    """The users with their groups. None if reading each user costs less."""
    own = operation.target.group_id
    wanted = sorted(relevant_groups(assignments) - {own})
    if not await _is_cheaper(world, operation, wanted, len(users)):
        return None
    gate = asyncio.Semaphore(LISTS_AT_ONCE)

    async def members(group_id: GroupId) -> frozenset[UserId]:
        async with gate:
            try:
                return await world.directory.member_list(group_id, MAX_AGE_S)
            except NotFound:  # a deleted group has no members, as in the groups of a user
                return frozenset()

    found: dict[UserId, set[GroupId]] = {user_id: set() for user_id in users}
    for group_id, ids in zip(wanted, await asyncio.gather(*map(members, wanted)), strict=True):
        for user_id in ids & found.keys():
            found[user_id].add(group_id)
    return {
        user_id: replace(user, group_ids=user.group_ids | found[user_id]) if user else None
        for user_id, user in users.items()
    }


def relevant_groups(assignments: Intents) -> frozenset[GroupId]:
    """Every group whose membership can change a plan: those with an assignment, and those that are excluded."""
    excluded = (each.options.excluded_groups for each in assignments.values())
    return frozenset(assignments).union(*excluded)


async def _is_cheaper(world: Needs, operation: Operation, wanted: list[GroupId], users: int) -> bool:
    """Whether the lists cost fewer units than the users. A group of unknown size counts as one page."""
    sizes = {each.group_id: each.members for each in await world.stores.group_status.all()}
    pages = sum(max(1, ceil(sizes.get(group_id, 0) / PAGE)) for group_id in wanted)
    sharing = min(SHARING, 1 + len(operation.other_changes))
    return pages * UNITS_OF_PAGE <= users * UNITS_OF_USER * sharing
