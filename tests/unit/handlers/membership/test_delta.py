"""Delta queries find the changes that no notification reported, also after a lost token or a failed round."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import replace

import pytest

from shared.domain.change_messages import ReadDelta
from shared.domain.delta_slices import SHOWN_AFTER
from shared.domain.errors import PermissionDenied
from shared.domain.membership_changes import GroupChange
from shared.domain.messages import NOTIFICATIONS
from shared.domain.operation import Operation
from shared.handlers.membership.delta import MAX_PAGES, query_deltas, read_delta
from shared.handlers.views import queries
from shared.ports.messaging import Outgoing
from tests.support.notifications import accept_on, managed
from tests.support.runs import EXTRA, OTHER_TEAM, SMALL, TEAM, Run, user


async def test_delta_finds_what_no_notification_told_once() -> None:
    run, (leaves, *_) = await managed()
    await query_deltas(run.world)
    await run.work_off()
    joins = run.directory.add_user(user(50), groups=[TEAM])
    run.directory.leave(TEAM, leaves)
    for member, there in ((joins, True), (leaves, False)):
        run.fakes.changes.happened(TEAM, member, came=there)
    for number in range(8):
        run.fakes.changes.happened(OTHER_TEAM, user(200 + number), came=True)
    for _ in range(2):
        await query_deltas(run.world)
        await run.work_off()
    assert (run.licenses(joins), run.licenses(leaves)) == ({"SMALL"}, set())
    assert run.writes_of(joins) == 1


async def test_when_the_token_is_forgotten_the_groups_are_read_whole() -> None:
    run, _ = await managed()
    await query_deltas(run.world)
    await run.work_off()
    joins = run.directory.add_user(user(50), groups=[TEAM])
    run.fakes.changes.happened(TEAM, joins, came=True)
    run.fakes.changes.forget_tokens()
    run.later(minutes=5)
    await query_deltas(run.world)
    await run.work_off()
    assert run.licenses(joins) == {"SMALL"}


async def test_a_round_of_delta_that_dies_before_it_is_kept_is_read_again() -> None:
    run, _ = await managed()
    await query_deltas(run.world)
    await run.work_off()
    joins = run.directory.add_user(user(50), groups=[TEAM])
    run.fakes.changes.happened(TEAM, joins, came=True)
    run.fakes.queue_away(times=4)
    await run.deliver(Outgoing(NOTIFICATIONS, ReadDelta(0).encode()))
    await run.work_off()
    assert run.licenses(joins) == {"SMALL"}


async def rounds(run: Run, minutes: int) -> None:
    """The timer, every five minutes for so long, its messages worked off."""
    for _ in range(0, minutes, 5):
        run.later(minutes=5)
        await query_deltas(run.world)
        await run.work_off()


async def syncs(run: Run, cause: str = "delta") -> list[Operation]:
    found, _ = await run.world.stores.operations.newest(1000)
    return [each for each in found if each.cause == cause]


REJECTIONS = (
    "Graph answered 404 to /groups/delta: UnknownError: ",
    "400 Request_UnsupportedQuery: DeltaLink older than 30 days is not supported.",
    "400 Request_BadRequest: Badly formed token.",
)


@pytest.mark.parametrize("answer", REJECTIONS)
async def test_links_that_are_always_rejected_read_groups_ever_less_often_and_leave_no_messages(
    answer: str,
) -> None:
    run, _ = await managed()
    await rounds(run, 5)
    before = len(await syncs(run))
    run.fakes.changes.rejects, run.fakes.changes.rejects_with = (lambda link: ":all:" not in link), answer
    await rounds(run, 24 * 60)
    assert len(await syncs(run)) - before < 12
    assert run.fakes.sent() == []
    (shown,) = (await queries.change_feed(run.world)).rejected
    assert (shown.number, shown.rejected_because, shown.rejections >= SHOWN_AFTER) == (0, answer, True)


async def test_a_link_that_alone_is_denied_is_replaced() -> None:
    run, _ = await managed()
    await rounds(run, 5)
    (known,) = await run.world.stores.deltas.all()
    run.fakes.changes.denies = lambda link: link == known.link
    run.fakes.changes.happened(OTHER_TEAM, user(1), came=True)  # so that the next link is another one
    joins = run.directory.add_user(user(50), groups=[TEAM])
    await rounds(run, 30)
    assert run.licenses(joins) == {"SMALL"}
    assert (await queries.change_feed(run.world)).rejected == ()


async def test_without_the_permission_a_link_is_kept_and_followed_when_it_is_granted() -> None:
    run, _ = await managed()
    await rounds(run, 5)
    before, (known,) = len(await syncs(run)), await run.world.stores.deltas.all()
    run.fakes.changes.denies = lambda link: True
    for _ in range(10):
        run.later(minutes=5)
        with pytest.raises(PermissionDenied):
            await read_delta(run.world, 0)
    assert (await run.world.stores.deltas.all())[0].link == known.link
    run.fakes.changes.denies = None
    joins = run.directory.add_user(user(50), groups=[TEAM])
    run.fakes.changes.happened(TEAM, joins, came=True)
    await rounds(run, 5)
    assert run.licenses(joins) == {"SMALL"}
    assert len(await syncs(run)) == before


async def test_a_slice_recovers_by_itself_and_another_one_is_read_meanwhile(caplog: pytest.LogCaptureFixture) -> None:
    run, _ = await managed()
    await rounds(run, 5)
    (known,) = await run.world.stores.deltas.all()
    other = replace(known, number=1, group_ids=(OTHER_TEAM,), link=f"0:{OTHER_TEAM}")
    await run.world.stores.deltas.save(other)
    await run.change([SMALL])
    await run.finish(await accept_on(run, OTHER_TEAM))
    run.fakes.changes.rejects = lambda link: TEAM in link
    await rounds(run, 24 * 60)
    joins = run.directory.add_user(user(50), groups=[OTHER_TEAM])
    run.fakes.changes.happened(OTHER_TEAM, joins, came=True)
    await rounds(run, 5)
    assert run.licenses(joins) == {"SMALL"}
    assert any(record.levelno == logging.ERROR and "slice=0" in record.message for record in caplog.records)
    run.fakes.changes.rejects = None
    late = run.directory.add_user(user(51), groups=[TEAM])
    run.fakes.changes.happened(TEAM, late, came=True)
    await rounds(run, 7 * 60)
    assert run.licenses(late) == {"SMALL"}
    assert (await queries.change_feed(run.world)).rejected == ()


async def test_while_an_operation_is_open_on_the_group_one_read_waits_however_often_links_are_rejected() -> None:
    run, (member, *_) = await managed()
    await rounds(run, 5)
    await run.ask([EXTRA])
    first_step = run.fakes.queue.messages.pop()
    before = len(await syncs(run))
    run.fakes.changes.rejects = lambda link: ":all:" not in link
    await rounds(run, 12 * 60)
    (known,) = await run.world.stores.deltas.all()
    assert (known.unread, run.fakes.sent(), len(await syncs(run)) - before) == (frozenset({TEAM}), [], 0)
    run.fakes.changes.rejects = None
    await run.world.queue.send([first_step])
    await run.work_off()
    await rounds(run, 5)
    (known,) = await run.world.stores.deltas.all()
    assert (known.unread, len(await syncs(run)) - before) == (frozenset(), 1)
    assert run.licenses(member) == {"SMALL", "EXTRA"}


async def test_a_change_during_an_enumeration_of_many_rounds_is_found() -> None:
    """The link of the former groups is followed until the new one is there, and once more then."""
    run, (leaves, *_) = await managed()
    await rounds(run, 5)
    run.fakes.changes.enumeration_pages = 2 * MAX_PAGES + 2
    await run.finish(await accept_on(run, OTHER_TEAM))
    joins = run.directory.add_user(user(50), groups=[OTHER_TEAM])
    await rounds(run, 5)
    run.directory.leave(TEAM, leaves)
    run.fakes.changes.happened(TEAM, leaves, came=False)
    await rounds(run, 5)
    assert run.licenses(leaves) == set()
    await rounds(run, 5)
    (known,) = await run.world.stores.deltas.all()
    assert (set(known.group_ids), known.enumeration) == ({TEAM, OTHER_TEAM}, "")
    assert run.licenses(joins) == {"SMALL"}


async def test_members_of_an_enumeration_are_not_reconciled_one_by_one() -> None:
    run, people = await managed()
    run.fakes.changes.members = (GroupChange(TEAM, dict.fromkeys(people, True)),)
    run.directory.reads.clear()
    await rounds(run, 5)
    assert run.directory.reads == []


async def test_changes_that_delta_reports_many_times_cost_one_read_each_round() -> None:
    """Graph repeats each change up to ten times (gromedev/Mgx: 172,740 rows, 17,467 distinct)."""
    run, _ = await managed()
    await rounds(run, 5)
    joins = [run.directory.add_user(user(50 + number), groups=[TEAM]) for number in range(2)]
    for each in joins * 10:
        run.fakes.changes.happened(TEAM, each, came=True)
    run.directory.reads.clear()
    await rounds(run, 5)
    assert [run.licenses(each) for each in joins] == [{"SMALL"}, {"SMALL"}]
    assert Counter(user_id for ids in run.directory.reads for user_id in ids) == dict.fromkeys(joins, 1)
    assert [run.writes_of(each) for each in joins] == [1, 1]
