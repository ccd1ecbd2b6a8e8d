"""A preview that assumes changes of other groups shows the result of all of them together."""

from __future__ import annotations

import pytest

from shared.domain.assignment import OptionsChange
from shared.domain.directory import AssignedLicense
from shared.domain.errors import BadRequest
from shared.domain.ids import GroupId
from shared.domain.operation import LicenseChange, Operation, Target
from shared.domain.operation_request import GroupChange, OperationRequest
from shared.handlers.operations.accept import accept
from tests.support.runs import EXTRA, LARGE, MAIL, MIA, OTHER_TEAM, SMALL, TEAM, Run, user

THIRD = GroupId("0f5c1d7e-6c0a-4a52-9b0f-3a4b9c1d2e51")
ADD_SMALL = LicenseChange((AssignedLicense(SMALL.sku_id),))
DROP_SMALL = LicenseChange(remove=(SMALL.sku_id,))


async def run_of_two() -> Run:
    """Three people, of whom the second and third are in both groups, which both assign SMALL."""
    run = Run()
    run.people(3)
    for number in (2, 3):
        run.directory.join(OTHER_TEAM, user(number))
    await run.change([SMALL])
    await run.finish(await accept(run.world, OperationRequest(Target(OTHER_TEAM), MIA, ADD_SMALL)))
    return run


async def preview(run: Run, group: GroupId, change: LicenseChange, *others: GroupChange) -> Operation:
    request = OperationRequest(Target(group), MIA, change, preview=True, other_changes=others)
    return await run.finish(await accept(run.world, request))


async def test_a_product_that_both_groups_end_is_lost_by_their_members() -> None:
    run = await run_of_two()
    alone = await preview(run, OTHER_TEAM, DROP_SMALL)
    together = await preview(run, OTHER_TEAM, DROP_SMALL, GroupChange(TEAM, DROP_SMALL))
    assert (alone.plan.users_losing, together.plan.users_losing) == (0, 2)


async def test_a_product_that_another_group_begins_to_assign_is_not_lost() -> None:
    run = Run()
    run.people(3)
    run.directory.join(OTHER_TEAM, user(2))
    await run.change([SMALL])
    alone = await preview(run, TEAM, DROP_SMALL)
    together = await preview(run, TEAM, DROP_SMALL, GroupChange(OTHER_TEAM, ADD_SMALL))
    assert (alone.plan.users_losing, together.plan.users_losing) == (3, 2)


async def test_an_app_that_another_group_begins_to_turn_on_stays_on() -> None:
    """Of a product that a third group ends: only the reading of all groups shows who else assigns it from now on."""
    run = Run()
    run.people(2)
    third = run.directory.add_group(THIRD, [user(1), user(2)])
    run.directory.join(OTHER_TEAM, user(1))
    await run.finish(await accept(run.world, OperationRequest(Target(third), MIA, ADD_SMALL)))
    without_mail = LicenseChange((AssignedLicense(SMALL.sku_id, frozenset({MAIL})),))
    others = (GroupChange(third, DROP_SMALL), GroupChange(OTHER_TEAM, ADD_SMALL))
    together = await preview(run, TEAM, without_mail, *others)
    assert together.plan.plans_off == 1


async def test_a_product_that_two_other_groups_exchange_is_not_lost() -> None:
    """The group of the preview assigns another product, so nothing about its members but their groups shows this."""
    run = Run()
    run.people(2)
    third = run.directory.add_group(THIRD, [user(1)])
    run.directory.join(OTHER_TEAM, user(1))
    await run.change([EXTRA])
    await run.finish(await accept(run.world, OperationRequest(Target(third), MIA, ADD_SMALL)))
    others = (GroupChange(third, DROP_SMALL), GroupChange(OTHER_TEAM, ADD_SMALL))
    drop_extra = LicenseChange(remove=(EXTRA.sku_id,))
    together = await preview(run, TEAM, drop_extra, *others)
    assert together.plan.removals == {EXTRA.sku_id: 2}


async def test_options_of_the_other_group_count_too() -> None:
    run = await run_of_two()
    keeps_none = OptionsChange({"excluded_groups": frozenset({TEAM})})
    other = GroupChange(OTHER_TEAM, ADD_SMALL, keeps_none)
    together = await preview(run, TEAM, DROP_SMALL, other)
    assert together.plan.users_losing == 3


async def test_the_checksum_says_what_was_assumed() -> None:
    run = await run_of_two()
    alone = await preview(run, OTHER_TEAM, DROP_SMALL)
    together = await preview(run, OTHER_TEAM, DROP_SMALL, GroupChange(TEAM, DROP_SMALL))
    again = await preview(run, OTHER_TEAM, DROP_SMALL, GroupChange(TEAM, DROP_SMALL))
    assert alone.checksum != together.checksum == again.checksum


async def test_a_preview_writes_nothing_of_what_it_assumes() -> None:
    run = await run_of_two()
    await preview(run, OTHER_TEAM, ADD_SMALL, GroupChange(TEAM, DROP_SMALL))
    assert all(run.licenses(user(number)) == {"SMALL"} for number in (1, 2, 3))
    stored = await run.world.stores.assignments.get(TEAM)
    assert stored is not None and stored.assignment.skus


@pytest.mark.parametrize(
    ("other", "is_preview", "code"),
    [
        (GroupChange(OTHER_TEAM, ADD_SMALL), False, "PreviewOnly"),
        (GroupChange(TEAM, ADD_SMALL), True, "GroupTwice"),
        (GroupChange(OTHER_TEAM, LicenseChange(remove=(LARGE.sku_id,))), True, "SkuNotAssigned"),
    ],
)
async def test_assumptions_that_cannot_be_are_rejected(other: GroupChange, code: str, *, is_preview: bool) -> None:
    run = await run_of_two()
    request = OperationRequest(Target(TEAM), MIA, DROP_SMALL, preview=is_preview, other_changes=(other,))
    with pytest.raises(BadRequest) as caught:
        await accept(run.world, request)
    assert caught.value.code == code


async def test_a_preview_knows_who_is_excluded() -> None:
    run = Run()
    run.people(3)
    run.directory.join(OTHER_TEAM, user(2))
    options = OptionsChange({"excluded_groups": frozenset({OTHER_TEAM})})
    request = OperationRequest(Target(TEAM), MIA, ADD_SMALL, preview=True, options=options)
    shown = await run.finish(await accept(run.world, request))
    assert shown.plan.additions == {SMALL.sku_id: 2}
