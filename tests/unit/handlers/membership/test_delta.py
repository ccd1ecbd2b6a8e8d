"""Delta queries find the changes that no notification reported, also after a lost token or a failed round."""

from __future__ import annotations

from shared.domain.change_messages import ReadDelta
from shared.domain.messages import NOTIFICATIONS
from shared.handlers.membership.delta import ask_for_deltas
from shared.ports.messaging import Outgoing
from tests.support.notifications import managed
from tests.support.runs import OTHER_TEAM, TEAM, user


async def test_delta_finds_what_no_notification_told_once() -> None:
    run, (leaves, *_) = await managed()
    await ask_for_deltas(run.world)
    await run.work_off()
    joins = run.directory.add_user(user(50), groups=[TEAM])
    run.directory.leave(TEAM, leaves)
    for member, there in ((joins, True), (leaves, False)):
        run.fakes.changes.happened(TEAM, member, came=there)
    for number in range(8):
        run.fakes.changes.happened(OTHER_TEAM, user(200 + number), came=True)
    for _ in range(2):
        await ask_for_deltas(run.world)
        await run.work_off()
    assert (run.licenses(joins), run.licenses(leaves)) == ({"SMALL"}, set())
    assert run.writes_of(joins) == 1


async def test_when_the_token_is_forgotten_the_groups_are_read_whole() -> None:
    run, _ = await managed()
    await ask_for_deltas(run.world)
    await run.work_off()
    joins = run.directory.add_user(user(50), groups=[TEAM])
    run.fakes.changes.happened(TEAM, joins, came=True)
    run.fakes.changes.forget_tokens()
    await ask_for_deltas(run.world)
    await run.work_off()
    assert run.licenses(joins) == {"SMALL"}


async def test_a_round_of_delta_that_dies_before_it_is_kept_is_read_again() -> None:
    run, _ = await managed()
    await ask_for_deltas(run.world)
    await run.work_off()
    joins = run.directory.add_user(user(50), groups=[TEAM])
    run.fakes.changes.happened(TEAM, joins, came=True)
    run.fakes.queue_away(times=4)
    await run.deliver(Outgoing(NOTIFICATIONS, ReadDelta(0).encode()))
    await run.work_off()
    assert run.licenses(joins) == {"SMALL"}
