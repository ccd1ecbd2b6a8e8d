"""Ended operations, their lists, permits and dead letters go when they are old; what something still names stays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from shared.domain.directory import AssignedLicense
from shared.domain.grant import Source, SourceKind
from shared.domain.ids import OperationId
from shared.domain.operation import LicenseChange, Operation, OperationState, Target
from shared.domain.operation_request import OperationRequest
from shared.domain.permit import Claim, Permit
from shared.handlers.maintenance.retention import AT_ONCE, LONGEST, Forgotten, forget_old
from shared.handlers.messaging.settlement import dead_letter_message
from shared.handlers.operations import control
from shared.handlers.operations.accept import accept
from shared.handlers.views import queries
from shared.ports.world import World
from tests.support.kills import KilledError, Killer, killable
from tests.support.runs import EXTRA, LARGE, MIA, OTHER_TEAM, SMALL, TEAM, Run, user

WITHOUT_END = 10**9
OTHERS = range(101, 151)


async def listed(run: Run) -> list[Operation]:
    found, _ = await run.world.stores.operations.newest(100)
    return list(found)


async def others(run: Run, change: LicenseChange) -> Operation:
    """What is asked of the other team, worked off without a decision."""
    operation = await accept(run.world, OperationRequest(Target(OTHER_TEAM), MIA, change))
    await run.work_off()
    return await run.read(operation)


async def a_year_ago(run: Run) -> dict[str, Operation]:
    """Operations of long ago: of one team two that ended and that nothing names, the one that is its intent, and one
    that is paused; of the other the first, and a removal that waits for approval."""
    run.people(5)
    for number in OTHERS:
        run.directory.add_user(user(number), groups=[OTHER_TEAM])
    ended = await run.change([SMALL], idempotency_key="same")
    preview = await run.change([LARGE], preview=True)
    intent = await run.change([LARGE])
    first = await others(run, LicenseChange((AssignedLicense(EXTRA.sku_id),)))
    waiting = await others(run, LicenseChange((), (EXTRA.sku_id,)))
    assert waiting.state is OperationState.AWAITING_APPROVAL
    paused = await run.ask(reprocess=True)
    await control.pause(run.world, paused.id, MIA)
    await run.work_off()
    run.later(days=400)
    return {"ended": ended, "preview": preview, "intent": intent, "first": first, "waiting": waiting, "paused": paused}


async def test_an_ended_operation_goes_with_its_lists_and_its_key_and_one_that_is_open_stays_whole() -> None:
    run = Run()
    known = await a_year_ago(run)
    recent = await run.change([EXTRA], preview=True)
    found = await forget_old(run.world)
    assert found.operations == 3
    left = {each.id for each in await listed(run)}
    assert left == {known[name].id for name in ("intent", "paused", "waiting")} | {recent.id}
    for name in ("ended", "preview", "first"):
        assert run.fakes.tables.rows("sealed", known[name].id) == run.fakes.tables.rows("chunks", known[name].id) == 0
    members, _ = await queries.planned_members(run.world, known["waiting"].id, 100, None)
    assert len(members) == len(OTHERS)
    again = await run.ask([SMALL], idempotency_key="same")
    assert again.id != known["ended"].id
    assert await forget_old(run.world) == Forgotten()


async def test_the_operation_that_a_group_s_intent_names_stays_without_its_list_of_people() -> None:
    run = Run()
    intent = (await a_year_ago(run))["intent"]
    assert run.fakes.tables.rows("sealed", intent.id)
    await forget_old(run.world)
    assert run.fakes.tables.rows("sealed", intent.id) == run.fakes.tables.rows("chunks", intent.id) == 0
    kept = await run.read(intent)
    assert (kept.state, kept.totals) == (OperationState.COMPLETE, intent.totals)
    assert await queries.planned_members(run.world, intent.id, 10, None) == ((), None)


def long_approvals() -> Run:
    """Approvals that wait longer than records are kept."""
    run = Run()
    run.world = replace(run.world, policy=replace(run.world.policy, approval_expires_s=800 * 86400.0))
    return run


async def test_what_is_approved_after_its_retention_is_done_all_the_same() -> None:
    run = long_approvals()
    waiting = (await a_year_ago(run))["waiting"]
    await forget_old(run.world)
    ended = await run.finish(waiting)
    assert ended.state is OperationState.COMPLETE
    assert {sku for number in OTHERS for sku in run.licenses(user(number))} == set()
    assert run.licenses(user(1)) == {"SMALL", "LARGE"}


async def test_a_preview_stays_as_long_as_an_open_operation_may_remove_what_it_showed() -> None:
    run = long_approvals()
    run.people(50)
    await run.change([SMALL])
    preview = await run.change(remove=[SMALL], preview=True)
    open_one = await run.ask(remove=[SMALL], preview_id=preview.id)
    await control.pause(run.world, open_one.id, MIA)
    run.later(days=400)
    await forget_old(run.world)
    assert await run.world.stores.operations.get(preview.id) is not None
    assert run.fakes.tables.rows("sealed", preview.id)
    await control.resume(run.world, open_one.id, MIA)
    assert (await run.finish(open_one, approve=False)).state is OperationState.COMPLETE
    assert {sku for number in range(1, 51) for sku in run.licenses(user(number))} == set()


async def test_dead_letters_and_permits_of_long_ago_go_and_later_ones_stay() -> None:
    run = Run()
    source = Source(SourceKind.GROUP, TEAM)
    permit = Permit(user(1), SMALL.sku_id, source, run.fakes.clock.now(), "Mia", frozenset({Claim(source)}))
    await run.world.stores.permits.put([permit, replace(permit, user_id=user(2))])
    await dead_letter_message(run.world, "jobs", b"old", "unreadable")
    run.later(days=366)
    await dead_letter_message(run.world, "jobs", b"new", "unreadable")
    await run.world.stores.permits.put([replace(permit, user_id=user(2), at=run.fakes.clock.now())])
    nights = [await forget_old(run.world)]
    for _ in range(15):
        run.later(days=1)
        nights.append(await forget_old(run.world))
    assert sum(night.dead_letters for night in nights) == sum(night.permits for night in nights) == 1
    assert [dead_letter.body for dead_letter in (await run.world.stores.dead_letters.page(9))[0]] == [b"new"]
    kept = await run.world.stores.permits.of_users([user(1), user(2)])
    assert (kept[user(1)], len(kept[user(2)])) == ((), 1)


async def test_the_ledger_forgets_who_has_had_no_managed_license_for_the_retention_and_nobody_else() -> None:
    run = Run()
    gone, stays, waits = run.people(3)
    await run.change([SMALL])
    run.directory.leave(TEAM, gone)
    await run.reconcile(gone)
    assert run.licenses(gone) == set()
    ledger = run.world.stores.ledger
    rows = await ledger.rows([waits])
    await ledger.write([replace(rows[waits], managed={}, waiting_since={EXTRA.sku_id: run.fakes.clock.now()})])
    run.later(days=300)
    recent = run.directory.add_user(user(4), groups=[TEAM])
    await run.reconcile(recent)
    run.directory.leave(TEAM, recent)
    await run.reconcile(recent)
    run.later(days=100)
    nights = []
    for _ in range(16):
        nights.append(await forget_old(run.world))
        run.later(days=1)
    assert sum(night.people for night in nights) == 1
    kept = await ledger.rows([gone, stays, waits, recent])
    assert {person for person, row in kept.items() if row.version is None} == {gone}
    assert run.licenses(stays) == {"SMALL"}
    run.directory.join(TEAM, gone)
    await run.reconcile(gone)
    assert run.licenses(gone) == {"SMALL"}


async def test_a_night_that_is_too_short_is_gone_on_with_in_the_next() -> None:
    run = Run()
    run.people(3)
    for _ in range(4 * AT_ONCE):
        await run.change([SMALL], preview=True)
    run.later(days=400)
    chunks: Any = run.world.stores.chunks
    slow_chunks: Any = Slow(chunks, run)
    slow: World = replace(run.world, stores=replace(run.world.stores, chunks=slow_chunks))
    first = await forget_old(slow)
    assert (first.operations, first.done) == (2 * AT_ONCE, False)
    second = await forget_old(slow)
    assert (second.operations, second.done) == (2 * AT_ONCE, False)
    assert await listed(run) == []
    assert (await forget_old(slow)).done


class Slow:
    """Chunks that take so long to forget that two batches of operations fill a night."""

    def __init__(self, chunks: Any, run: Run) -> None:
        self._chunks, self._run = chunks, run

    async def forget(self, operation_id: OperationId) -> int:
        self._run.fakes.clock.move(LONGEST / 2 / AT_ONCE)
        forgotten: int = await self._chunks.forget(operation_id)
        return forgotten


async def _left_after_a_night(killer: Killer) -> tuple[list[int], int, int]:
    """Pages that the operations left say they have, newest first, and how many rows of lists there are."""
    run = Run()
    await a_year_ago(run)
    try:
        await forget_old(killable(run.world, killer))
    except KilledError:
        await forget_old(run.world)
    rows = run.fakes.tables.rows
    return [each.pages for each in await listed(run)], rows("sealed"), rows("chunks")


async def test_a_night_that_dies_anywhere_is_made_up_for_by_the_next() -> None:
    whole = Killer(WITHOUT_END)
    wanted = await _left_after_a_night(whole)
    assert whole.changes > 8
    for at in range(1, whole.changes + 1):
        assert await _left_after_a_night(Killer(at)) == wanted, at
