"""Diagnose one member and keep Graph's reason; process all members in error again, within licenses and write budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from shared.domain.change_messages import ReprocessErrors, decode_change
from shared.domain.directory import LicenseError
from shared.domain.errors import BadRequest, NotFound, Unavailable
from shared.domain.ids import GroupId, UserId
from shared.domain.initiator import SYSTEM
from shared.domain.member_status import MemberState
from shared.domain.read_models import AuditEntry, AuditFilter, MemberRow
from shared.domain.write_results import Accepted, Contended, Rejected, Throttled, Unanswered, WriteResult
from shared.domain.writing import WritingSetting
from shared.handlers.membership.notifications_queue import process_notifications
from shared.handlers.membership.watching import watch_all
from shared.handlers.operations.native_members import FINISH, NOT_PERMITTED, START, diagnose, reprocess_errors
from shared.handlers.reconcile.write_limiter import Pacer
from tests.support.fakes_directory import FakeLicenseWriter
from tests.support.narrow import leases, narrow
from tests.support.runs import LARGE, MIA, SMALL
from tests.support.worlds import Fakes, fake_world

TEAM = GroupId(str(UUID(int=21)))
REASON = "License assignment failed because service plans a, b are mutually exclusive"


def user(number: int) -> UserId:
    return UserId(str(UUID(int=1000 + number)))


async def a_world(count: int = 4, error: str = "CountViolation", seats: int = 0) -> Fakes:
    """A watched group of LARGE and SMALL, every member in error by LARGE, the first the longest."""
    fakes = fake_world()
    fakes.directory.add_sku(replace(LARGE, enabled=seats))
    fakes.directory.add_sku(replace(SMALL, enabled=1000))
    members = [fakes.directory.add_user(user(number)) for number in range(count)]
    fakes.native.license(TEAM, LARGE.sku_id, SMALL.sku_id, members=())
    for each in members:
        fakes.directory.join(TEAM, each)
        fakes.native.give(each, TEAM, error, LARGE.sku_id)
        fakes.clock.move(timedelta(minutes=1))
    await watch_all(fakes.world)
    await work(fakes)
    return fakes


async def work(fakes: Fakes, most: int = 50) -> None:
    for _ in range(most):
        if not fakes.queue.messages:
            return
        message = fakes.queue.messages.pop(0)
        if message.at is not None and message.at > fakes.clock.now():
            fakes.clock.move(message.at - fakes.clock.now())
        await process_notifications(fakes.world, message.body)
    raise AssertionError("the work does not end")


async def row(fakes: Fakes, user_id: UserId) -> MemberRow:
    (found,) = await fakes.world.stores.members.of_user(user_id, [TEAM])
    return found


async def entries(fakes: Fakes, activity: str) -> list[AuditEntry]:
    now = fakes.clock.now()
    found, _ = await fakes.world.stores.audit.search(
        AuditFilter(activity=activity), now - timedelta(days=1), now + timedelta(minutes=1), 100
    )
    return list(found)


def rejecting(user_id: UserId) -> WriteResult:
    return Rejected(400, "Request_BadRequest", REASON)


async def test_a_diagnosis_keeps_the_whole_reason_of_graph_at_the_member() -> None:
    fakes = await a_world(2, "MutuallyExclusiveViolation")
    fakes.native.answer = rejecting
    found = await diagnose(fakes.world, TEAM, user(0), MIA)
    assert found.diagnosis is not None
    assert (found.diagnosis.text, found.state) == (REASON, MemberState.ERROR)
    assert fakes.native.reprocessed == [user(0)]
    assert (await row(fakes, user(1))).diagnosis is None
    (entry,) = await entries(fakes, "Reprocess user license")
    assert (entry.initiator, entry.result, entry.detail, entry.user_id) == (MIA, "failure", REASON, user(0))
    fakes.clock.move(timedelta(hours=5))
    await watch_all(fakes.world)
    await work(fakes)
    assert (await row(fakes, user(0))).diagnosis == found.diagnosis


async def test_a_diagnosis_that_helps_leaves_a_member_without_an_error() -> None:
    fakes = await a_world(2, "UniquenessViolation", seats=5)
    found = await diagnose(fakes.world, TEAM, user(0), MIA)
    assert (found.state, found.problems, found.diagnosis) == (MemberState.ACTIVE, (), None)


async def test_only_recorded_members_of_watched_groups_can_be_diagnosed() -> None:
    fakes = await a_world(1)
    fakes.directory.add_user(user(99))
    for group_id, user_id in ((TEAM, user(99)), (GroupId(str(UUID(int=5))), user(0))):
        with pytest.raises(NotFound):
            await diagnose(fakes.world, group_id, user_id, MIA)
    assert fakes.native.reprocessed == []


async def test_without_a_permission_to_write_nothing_is_called_and_it_says_so() -> None:
    fakes = await a_world(2)
    fakes.permissions.append(frozenset({"LicenseAssignment.Read.All", "User.Read.All", "Group.Read.All"}))
    with pytest.raises(BadRequest, match="read permissions only"):
        await diagnose(fakes.world, TEAM, user(0), MIA)
    with pytest.raises(BadRequest, match="read permissions only"):
        await reprocess_errors(fakes.world, TEAM, None, None, MIA)
    await watch_all(fakes.world)
    await work(fakes)
    assert fakes.native.reprocessed == []


async def test_while_writing_is_off_nothing_begins_and_an_open_run_waits() -> None:
    fakes = await a_world(2, seats=5)
    run = await reprocess_errors(fakes.world, TEAM, None, None, MIA)
    off = replace(fakes.world, policy=replace(fakes.world.policy, writing=WritingSetting.OFF))
    with pytest.raises(BadRequest):
        await reprocess_errors(off, TEAM, None, None, MIA)
    fakes.queue.messages.clear()
    await process_notifications(off, run.encode())
    assert fakes.native.reprocessed == []
    (again,) = fakes.queue.messages
    assert again.at is not None
    await work(fakes)
    assert set(fakes.native.reprocessed) == {user(0), user(1)}


async def test_of_members_without_a_license_each_round_takes_as_many_as_there_are_and_the_oldest_first() -> None:
    fakes = await a_world(5, seats=2)
    await reprocess_errors(fakes.world, TEAM, LicenseError.COUNT_VIOLATION, LARGE.sku_id, MIA)
    await work(fakes)
    assert fakes.native.reprocessed == [user(0), user(1)]
    states = [(await row(fakes, user(number))).state for number in range(5)]
    assert states == [MemberState.ACTIVE] * 2 + [MemberState.ERROR] * 3
    fakes.directory.add_sku(replace(LARGE, enabled=3))
    await reprocess_errors(fakes.world, TEAM, None, None, MIA)
    await work(fakes)
    assert fakes.native.reprocessed[2:] == [user(2)]


async def test_no_member_is_processed_twice_in_a_run_and_the_log_names_the_result() -> None:
    fakes = await a_world(45, "MutuallyExclusiveViolation", seats=100)
    failing = {user(3), user(4)}
    fakes.native.answer = lambda user_id: rejecting(user_id) if user_id in failing else Accepted()
    await reprocess_errors(fakes.world, TEAM, LicenseError.MUTUALLY_EXCLUSIVE, None, MIA)
    await work(fakes)
    assert len(fakes.native.reprocessed) == len(set(fakes.native.reprocessed)) == 45
    (start,), (finish,) = await entries(fakes, START), await entries(fakes, FINISH)
    assert (start.initiator, finish.initiator) == (MIA, SYSTEM)
    assert "successfully assigned licenses: 43, " in finish.detail
    assert "assignment failed: 2." in finish.detail


async def test_a_death_at_any_write_of_a_run_leaves_no_member_out() -> None:
    for writes in range(100):
        fakes = await a_world(4, seats=2)
        run = await reprocess_errors(fakes.world, TEAM, None, None, MIA)
        fakes.queue.messages.clear()
        fakes.tables.dies_after = writes
        try:
            await process_notifications(fakes.world, run.encode())
        except Unavailable:
            fakes.tables.dies_after = None
            await process_notifications(fakes.world, run.encode())
        else:
            break
        await work(fakes)
        states = [(await row(fakes, user(number))).state for number in range(4)]
        assert states == [MemberState.ACTIVE] * 2 + [MemberState.ERROR] * 2
        assert set(fakes.native.reprocessed) == {user(0), user(1)}
    assert 1 < writes < 99


async def test_only_members_with_the_named_error_are_processed() -> None:
    fakes = await a_world(3, seats=5)
    fakes.native.give(user(1), TEAM, "UniquenessViolation", LARGE.sku_id)
    await watch_all(fakes.world)
    await work(fakes)
    await reprocess_errors(fakes.world, TEAM, LicenseError.UNIQUENESS, None, MIA)
    await work(fakes)
    assert fakes.native.reprocessed == [user(1)]


async def test_throttling_pauses_the_run_and_loses_no_member() -> None:
    fakes = await a_world(3, "UniquenessViolation", seats=9)
    answers = iter(list[WriteResult]([Throttled(30.0, "Tenant_Application/Write"), Unanswered("lost")]))
    fakes.native.answer = lambda user_id: next(answers, Accepted())
    began = fakes.clock.now()
    await reprocess_errors(fakes.world, TEAM, None, None, MIA)
    await work(fakes)
    assert fakes.clock.now() - began >= timedelta(seconds=30)
    assert (await row(fakes, user(0))).state is MemberState.ACTIVE
    lost = await row(fakes, user(1))
    assert lost.diagnosis is not None
    assert "did not answer" in lost.diagnosis.text


async def test_a_rejection_beside_other_writes_is_tried_again() -> None:
    fakes = await a_world(2, "UniquenessViolation", seats=9)
    answers = iter(list[WriteResult]([Contended("concurrent requests"), Accepted()]))
    fakes.native.answer = lambda user_id: next(answers, Accepted())
    await reprocess_errors(fakes.world, TEAM, None, None, MIA)
    await work(fakes)
    rows = [await row(fakes, user(number)) for number in range(2)]
    assert [each.state for each in rows] == [MemberState.ACTIVE, MemberState.ACTIVE]


async def test_a_member_who_is_rejected_beside_other_writes_for_a_day_ends_with_that_text() -> None:
    fakes = await a_world(2, "UniquenessViolation", seats=9)
    fakes.native.answer = lambda user_id: Contended("concurrent requests", 7200.0) if user_id == user(0) else Accepted()
    await reprocess_errors(fakes.world, TEAM, None, None, MIA)
    await work(fakes)
    stuck = (await row(fakes, user(0))).diagnosis
    assert stuck is not None
    assert stuck.text == "concurrent requests"
    assert (await row(fakes, user(1))).state is MemberState.ACTIVE


async def test_a_missing_permission_ends_the_run_with_one_reason() -> None:
    fakes = await a_world(30, "UniquenessViolation", seats=99)
    fakes.native.answer = lambda user_id: Rejected(403, "Authorization_RequestDenied", "Insufficient privileges")
    await reprocess_errors(fakes.world, TEAM, None, None, MIA)
    await work(fakes)
    assert len(fakes.native.reprocessed) == 20
    (finish,) = await entries(fakes, FINISH)
    assert (finish.result, NOT_PERMITTED in finish.detail) == ("failure", True)


async def test_a_throttled_diagnosis_is_tried_again_by_the_person() -> None:
    fakes = await a_world(1)
    fakes.native.answer = lambda user_id: Throttled(12.0)
    with pytest.raises(Unavailable) as fault:
        await diagnose(fakes.world, TEAM, user(0), MIA)
    assert fault.value.retry_after_s == 12.0


async def test_no_license_is_written_directly_and_a_run_on_a_group_that_ended_stops() -> None:
    fakes = await a_world(2, seats=5)
    run = await reprocess_errors(fakes.world, TEAM, None, None, MIA)
    assert decode_change(run.encode()) == run
    fakes.native.license(TEAM)
    await watch_all(fakes.world)
    await work(fakes)
    assert fakes.native.reprocessed == []
    writer = fakes.world.licenses
    assert isinstance(writer, FakeLicenseWriter)
    assert writer.calls_made == 0
    assert isinstance(run, ReprocessErrors)


async def test_a_run_has_no_more_calls_in_flight_than_the_tenant_takes() -> None:
    fakes = await a_world(12, "UniquenessViolation", seats=50)
    await narrow(fakes, 5)
    in_flight: list[tuple[int, int]] = []
    reprocess = fakes.native.reprocess

    async def counted(user_ids: Sequence[UserId], *, urgent: bool) -> Mapping[UserId, WriteResult]:
        in_flight.append((len(user_ids), await leases(fakes)))
        return await reprocess(user_ids, urgent=urgent)

    native: Any = SimpleNamespace(reprocess=counted, in_error=fakes.native.in_error, members=fakes.native.members)
    fakes = replace(fakes, world=replace(fakes.world, native=native))
    await reprocess_errors(fakes.world, TEAM, None, None, MIA)
    await work(fakes)
    assert in_flight == [(5, 5), (5, 5), (2, 2)]
    assert await leases(fakes) == 0
    assert sorted(fakes.native.reprocessed) == sorted(user(number) for number in range(12))


async def test_while_another_license_write_is_in_flight_a_diagnosis_and_a_run_wait() -> None:
    fakes = await a_world(1, "UniquenessViolation", seats=5)
    await narrow(fakes, 1)
    other = Pacer(fakes.world)
    grant, _ = await other.take([1], urgent=False)
    assert grant.lease is not None
    with pytest.raises(Unavailable):
        await diagnose(fakes.world, TEAM, user(0), MIA)
    await reprocess_errors(fakes.world, TEAM, None, None, MIA)
    await process_notifications(fakes.world, fakes.queue.messages.pop(0).body)
    assert fakes.native.reprocessed == []
    await other.report(grant.lease, {})
    await work(fakes)
    assert fakes.native.reprocessed == [user(0)]


async def test_a_call_that_fails_keeps_no_lease() -> None:
    fakes = await a_world(1)
    fakes.native.away = True
    with pytest.raises(Unavailable):
        await diagnose(fakes.world, TEAM, user(0), MIA)
    assert await leases(fakes) == 0
