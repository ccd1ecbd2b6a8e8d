"""Unmanaged direct licenses in a move to native licensing: they end only for listed members, after the approval."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.domain.directory import LicenseAssignmentState
from shared.domain.errors import BadRequest
from shared.domain.ids import NO_PLANS, UserId
from shared.domain.move import Direction, MovePhase
from tests.support.moving import PRODUCTS, MovingRun
from tests.support.runs import MAIL, SMALL, TEAM, user

LISTED, UNLISTED, MORE = user(61), user(62), user(63)


async def a_group() -> MovingRun:
    """Six members whom the app licenses, and three whom an administrator licensed before: the last one with more apps
    than the group assigns."""
    run = MovingRun()
    await run.direct_group(6)
    for each, off in ((LISTED, {MAIL}), (UNLISTED, {MAIL}), (MORE, NO_PLANS)):
        run.directory.add_user(each)
        rows = [LicenseAssignmentState(license.sku_id, license.disabled_plans) for license in PRODUCTS]
        rows[0] = replace(rows[0], disabled_plans=frozenset(off))
        run.directory.change_user(replace(run.directory.truth(each), license_assignment_states=tuple(rows)))
        run.directory.join(TEAM, each)
    await run.reconcile(LISTED, UNLISTED, MORE)
    return run


def direct(run: MovingRun, user_id: UserId) -> bool:
    return SMALL.sku_id in run.directory.licenses(user_id)


async def test_a_preview_lists_members_with_unmanaged_licenses_and_changes_nothing() -> None:
    run = await a_group()
    await run.begin(Direction.TO_NATIVE, preview=True, convert=(LISTED,))
    await run.work_off()
    move = await run.move()
    assert (move.phase, move.unmanaged, move.convert) == (MovePhase.PREVIEW, (LISTED, UNLISTED, MORE), (LISTED,))
    assert all(direct(run, each) for each in (LISTED, UNLISTED, MORE))


async def test_only_listed_members_are_converted_and_only_after_the_approval() -> None:
    run = await a_group()
    await run.begin(Direction.TO_NATIVE, convert=(LISTED, MORE))
    for _ in range(60):
        await run.work_off()
        move = await run.move()
        if move.phase is MovePhase.APPROVE:
            break
        if move.paused:
            await run.act("resume")
        else:
            run.later(minutes=11)
    assert move.phase is MovePhase.APPROVE
    assert all(direct(run, each) for each in (LISTED, UNLISTED, MORE))
    move = await run.complete()
    assert move.phase is MovePhase.DONE
    assert not run.gaps
    # Of the last one the native license would turn an app off, so it stays.
    assert {each: direct(run, each) for each in (LISTED, UNLISTED, MORE)} == {LISTED: False, UNLISTED: True, MORE: True}
    assert {LISTED, UNLISTED, MORE} <= run.still_native()
    assert not any(direct(run, user(number)) for number in range(1, 7))


async def test_without_a_list_every_unmanaged_license_stays() -> None:
    run = await a_group()
    await run.begin(Direction.TO_NATIVE)
    assert (await run.complete()).phase is MovePhase.DONE
    assert all(direct(run, each) for each in (LISTED, UNLISTED, MORE))


async def test_a_move_that_is_undone_converts_nobody() -> None:
    run = await a_group()
    await run.begin(Direction.TO_NATIVE, convert=(LISTED,))
    done = run.done
    await run.work_off(lambda: run.done > done + 40)
    assert await run.act("undo") is not None
    assert (await run.complete()).phase is MovePhase.UNDONE
    assert all(direct(run, each) for each in (LISTED, UNLISTED, MORE))


async def test_the_approval_names_the_members_to_convert() -> None:
    checksums = []
    for convert in ((), (LISTED,)):
        run = await a_group()
        await run.begin(Direction.TO_NATIVE, convert=convert)
        for _ in range(60):
            await run.work_off()
            move = await run.move()
            if move.phase is MovePhase.APPROVE:
                break
            if move.paused:
                await run.act("resume")
            else:
                run.later(minutes=11)
        checksums.append(move.checksum)
    assert checksums[0] != checksums[1]


async def test_who_has_no_unmanaged_license_cannot_be_listed() -> None:
    run = await a_group()
    await run.begin(Direction.TO_NATIVE, convert=(user(1),))
    await run.work_off()
    move = await run.move()
    assert "no unmanaged direct license" in move.paused
    with pytest.raises(BadRequest, match="move to native"):
        await run.begin(Direction.TO_DIRECT, convert=(LISTED,))
