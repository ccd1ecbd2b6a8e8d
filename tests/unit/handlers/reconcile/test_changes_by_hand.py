"""Licenses that an administrator changes by hand while the app works on the same user."""

from __future__ import annotations

from dataclasses import replace

from shared.domain.ids import UserId
from shared.domain.operation import OperationState
from tests.support.changes_by_hand import give_by_hand, take_by_hand
from tests.support.runs import EXTRA, LARGE, SMALL, TEAM, Run


async def test_a_license_taken_by_hand_during_a_swap_counts_as_removed_and_the_new_one_is_given() -> None:
    run = Run()
    taken, fine = run.people(2)
    await run.change([SMALL])
    run.writer.on_call = lambda user_id: take_by_hand(run, taken) if not run.writes_of(taken) > 1 else None
    ended = await run.change([LARGE], [SMALL])
    assert (run.licenses(taken), run.licenses(fine)) == ({"LARGE"}, {"LARGE"})
    assert (ended.totals.applied, ended.totals.remaining) == (2, 0)


async def test_a_license_of_ours_that_was_taken_by_hand_and_given_again_is_not_ours_any_more() -> None:
    run = Run()
    taken, fine = run.people(2)
    await run.change([SMALL])
    run.later(hours=1)
    take_by_hand(run, taken)
    run.directory.leave(TEAM, taken)
    for number in range(2):
        await run.look_at(taken, fine, cause=f"event-{number}")
        run.later(minutes=20)
    give_by_hand(run, taken)
    for number in range(2, 4):
        await run.look_at(taken, fine, cause=f"event-{number}")
        run.later(minutes=20)
    assert (run.licenses(taken), run.licenses(fine)) == ({"SMALL"}, {"SMALL"})


async def test_who_was_refused_definitely_keeps_no_intent_and_what_is_given_by_hand_stays() -> None:
    run = Run()
    refused, fine = run.people(2)
    run.writer.refuse(refused, "Something nobody knows.", times=5)
    await run.change([SMALL])
    give_by_hand(run, refused)
    for each in (refused, fine):
        run.directory.leave(TEAM, each)
    for number in range(2):
        await run.look_at(refused, fine, cause=f"event-{number}")
        run.later(minutes=20)
    assert (run.licenses(refused), run.licenses(fine)) == ({"SMALL"}, set())


async def test_of_two_removals_the_one_that_a_person_was_quicker_with_does_not_keep_the_other() -> None:
    run = Run()
    leaver, stays = run.people(2)
    await run.change([SMALL, EXTRA])
    run.directory.leave(TEAM, leaver)

    def by_hand(user_id: UserId) -> None:
        person = run.directory.truth(user_id)
        left = tuple(row for row in person.license_assignment_states if row.sku_id != SMALL.sku_id)
        run.directory.change_user(replace(person, license_assignment_states=left))

    run.writer.on_call = by_hand
    await run.look_at(leaver, stays)
    assert (run.licenses(leaver), run.licenses(stays)) == (set(), {"SMALL", "EXTRA"})
    row = (await run.world.stores.ledger.rows([leaver]))[leaver]
    assert not row.owned


async def test_of_two_licenses_to_remove_one_that_was_taken_by_hand_does_not_hide_the_other() -> None:
    run = Run()
    first, second, other = run.people(3)
    await run.change([SMALL, EXTRA])
    for each, taken in ((first, SMALL), (second, EXTRA)):
        run.directory.make_stale(each)
        held = run.directory.truth(each)
        rest = tuple(row for row in held.license_assignment_states if row.sku_id != taken.sku_id)
        run.directory.change_user(replace(held, license_assignment_states=rest))
    ended = await run.change(remove=[SMALL, EXTRA])
    assert ended.state is OperationState.COMPLETE
    assert [run.licenses(each) for each in (first, second, other)] == [set(), set(), set()]
