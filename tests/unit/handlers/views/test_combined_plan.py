"""Several previews together: each user counts once for a product, and one checksum is over all of them."""

from __future__ import annotations

import pytest

from shared.domain.directory import AssignedLicense
from shared.domain.errors import BadRequest, NotFound
from shared.domain.ids import GroupId, OperationId
from shared.domain.operation import LicenseChange, Operation, Target
from shared.domain.operation_request import GroupChange, OperationRequest
from shared.handlers.operations.accept import accept
from shared.handlers.views.combined_plan import combined_plan
from shared.handlers.views.queries import planned_members
from tests.support.runs import LARGE, MIA, OTHER_TEAM, SMALL, TEAM, Run, user


async def preview(run: Run, group: GroupId, change: LicenseChange, *others: GroupChange) -> Operation:
    request = OperationRequest(Target(group), MIA, change, preview=True, other_changes=others)
    return await run.finish(await accept(run.world, request))


async def two_previews(run: Run) -> list[Operation]:
    """Five people in one group and the last two of them in another one; both groups get SMALL, one also LARGE."""
    run.people(5)
    for number in (4, 5):
        run.directory.join(OTHER_TEAM, user(number))
    small = LicenseChange((AssignedLicense(SMALL.sku_id),))
    both = LicenseChange((AssignedLicense(SMALL.sku_id), AssignedLicense(LARGE.sku_id)))
    return [
        await preview(run, TEAM, small, GroupChange(OTHER_TEAM, both)),
        await preview(run, OTHER_TEAM, both, GroupChange(TEAM, small)),
    ]


async def test_a_user_of_two_groups_counts_once() -> None:
    run = Run()
    found = await two_previews(run)
    together = await combined_plan(run.world, [each.id for each in found])
    assert dict(together.additions) == {SMALL.sku_id: 5, LARGE.sku_id: 2}
    assert (dict(together.removals), together.users_losing, together.members) == ({}, 0, [])


async def test_the_checksum_is_that_of_all_previews_in_any_order() -> None:
    run = Run()
    one, other = [each.id for each in await two_previews(run)]
    whole = await combined_plan(run.world, [one, other])
    assert (await combined_plan(run.world, [other, one, other])).checksum == whole.checksum
    assert (await combined_plan(run.world, [one])).checksum != whole.checksum
    run.directory.leave(OTHER_TEAM, user(5))
    changed = await preview(run, OTHER_TEAM, LicenseChange((AssignedLicense(SMALL.sku_id),)))
    assert (await combined_plan(run.world, [one, changed.id])).checksum != whole.checksum


async def test_named_users_are_shown_with_the_plan_of_each_preview() -> None:
    run = Run()
    one, other = [each.id for each in await two_previews(run)]
    found = (await combined_plan(run.world, [one, other], [user(1), user(5), user(99)])).members
    assert [(each, member.user_id) for each, member in found] == [(one, user(1)), (one, user(5)), (other, user(5))]
    assert {license.sku_id for license in found[0][1].action.add} == {SMALL.sku_id}


async def test_people_who_lose_something_count_once_and_can_be_listed_alone() -> None:
    run = Run()
    run.people(5)
    await run.change([SMALL])
    run.directory.join(OTHER_TEAM, user(2))
    drop = LicenseChange(remove=(SMALL.sku_id,))
    add = LicenseChange((AssignedLicense(SMALL.sku_id),))
    shown = await preview(run, TEAM, drop, GroupChange(OTHER_TEAM, add))
    together = await combined_plan(run.world, [shown.id, shown.id])
    assert (dict(together.removals), together.users_losing) == ({SMALL.sku_id: 4}, 4)
    listed, after = [], None
    for _ in range(9):
        page, after = await planned_members(run.world, shown.id, 3, after, losing=True)
        listed += [each.user_id for each in page]
        if after is None:
            break
    assert listed == [user(1), user(3), user(4), user(5)]


async def test_only_complete_previews_are_combined() -> None:
    run = Run()
    run.people(1)
    done = await run.change([SMALL])
    with pytest.raises(BadRequest, match="not a complete preview"):
        await combined_plan(run.world, [done.id])
    request = OperationRequest(Target(TEAM), MIA, LicenseChange((AssignedLicense(LARGE.sku_id),)), preview=True)
    begun = await accept(run.world, request)
    with pytest.raises(BadRequest, match="not a complete preview"):
        await combined_plan(run.world, [begun.id])
    with pytest.raises(NotFound):
        await combined_plan(run.world, [OperationId("f" * 32)])
