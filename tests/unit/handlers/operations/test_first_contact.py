"""Runs of the first-contact check on the fake: their order, limits, kills, and the test user whom no worker touches."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.budget import BudgetState, used
from shared.domain.errors import BadRequest, Conflict, Unavailable
from shared.domain.first_contact import LEASE, Answer, Level, Run, RunState, Verdict
from shared.domain.ids import UserId
from shared.domain.initiator import SYSTEM, Initiator
from shared.domain.messages import ProcessUsers
from shared.domain.read_models import AuditFilter
from shared.domain.writing import Switch
from shared.handlers.operations.first_contact import (
    RunObjects,
    continue_runs,
    must_not_be_in_use,
    start,
    start_daily,
)
from shared.handlers.operations.members_queue import Members
from shared.handlers.reconcile.write_limiter import Pacer, limits_of
from shared.ports.world import World
from tests.support.fakes_first_contact import FakeProbes
from tests.support.tenant_stage import E3, guid
from tests.support.worlds import Fakes, fake_world

TEST = RunObjects(guid(0x700), guid(0x701), E3)
NO_MORE = Answer(400, {}, {"error": {"code": "Request_BadRequest", "message": "No."}})


def probes(fakes: Fakes) -> FakeProbes:
    found = fakes.world.probes
    assert isinstance(found, FakeProbes)
    return found


async def run_of(fakes: Fakes, level: Level = Level.BASIC) -> Run:
    begun = await start(fakes.world, level, TEST if level is Level.BASIC else RunObjects(), SYSTEM)
    await continue_runs(fakes.world)
    return await stored(fakes.world, begun.id)


async def stored(world: World, run_id: str) -> Run:
    run, _ = await world.stores.first_contact.load(run_id)
    return run


async def test_a_read_only_run_ends_within_its_requests_and_writes_nothing() -> None:
    fakes = fake_world()
    run = await run_of(fakes, Level.READ_ONLY)
    assert (run.state, run.writes, run.fault) == (RunState.COMPLETED, 0, "")
    assert run.requests == len(probes(fakes).asked) <= 60
    assert await fakes.world.stores.first_contact.open() == []


async def test_answers_that_say_nothing_are_asked_for_again_within_the_limit() -> None:
    fakes = fake_world()
    names = ("organization", "subscribedSkus", "users", "search", "roles", "badId", "countFilter", "anyFilter")
    probes(fakes).answers = {name: Answer(503) for name in (*names, "licensedGroups", "laterDependency", "otherCase")}
    run = await run_of(fakes, Level.READ_ONLY)
    assert run.state is RunState.COMPLETED
    assert probes(fakes).asked.count("organization") == 3
    assert len(probes(fakes).asked) <= 60
    assert run.finding(8) is not None
    assert run.finding(8).verdict is Verdict.UNKNOWN  # type: ignore[union-attr]  # asserted above


async def test_a_basic_run_restores_everything_within_twelve_writes() -> None:
    fakes = fake_world()
    run = await run_of(fakes)
    fake = probes(fakes)
    assert (run.state, run.fault, run.dirty) == (RunState.COMPLETED, "", False)
    assert run.writes <= Level.BASIC.most_writes
    assert (fake.licensed, fake.location, fake.member) == (False, "DE", False)
    assert (run.subject.test_user_id, run.subject.user_id) == ("", "")
    now = fakes.clock.now()
    wanted = AuditFilter(user_id=TEST.user_id)
    (entry,), _ = await fakes.world.stores.audit.search(wanted, now - timedelta(hours=1), now + timedelta(hours=1), 10)
    assert (entry.activity, entry.detail) == ("Start first-contact check", "level basic")


WRITES = ("partial", "unknownPlan", "assign", "assignAgain", "removeUnknown", "remove", "join", "leave", "locationUk")
READS = ("organization", "users", "testUser", "testGroup", "latest", "changesLatest", "afterPartial")


@pytest.mark.parametrize("name", [*WRITES, *READS, "restoreLocation", "groupUnknownSku", "restoreGroup"])
async def test_a_run_that_was_killed_at_any_request_resumes_and_restores(name: str) -> None:
    fakes = fake_world()
    fake = probes(fakes)
    fake.takes_unknown = True
    fake.dies_at = name
    begun = await start(fakes.world, Level.BASIC, TEST, SYSTEM)
    with pytest.raises(KeyboardInterrupt):
        await continue_runs(fakes.world)
    await continue_runs(fakes.world)  # the dead process still holds the run
    assert (await stored(fakes.world, begun.id)).state is RunState.RUNNING
    fakes.clock.move(LEASE + timedelta(seconds=1))
    await continue_runs(fakes.world)
    run = await stored(fakes.world, begun.id)
    assert (run.state, run.dirty) == (RunState.COMPLETED, False)
    assert (fake.licensed, fake.location, fake.member, fake.group_licensed) == (False, "DE", False, False)
    assert run.writes <= Level.BASIC.most_writes


async def test_a_resumed_run_restores_before_it_goes_on() -> None:
    fakes = fake_world()
    fake = probes(fakes)
    fake.dies_at = "assign"
    await start(fakes.world, Level.BASIC, TEST, SYSTEM)
    with pytest.raises(KeyboardInterrupt):
        await continue_runs(fakes.world)
    before = len(fake.asked)
    fakes.clock.move(LEASE + timedelta(seconds=1))
    await continue_runs(fakes.world)
    after = [each for each in fake.asked[before:] if each in WRITES]
    assert after[:2] == ["remove", "join"]


async def test_steps_before_a_kill_are_not_repeated() -> None:
    fakes = fake_world()
    probes(fakes).dies_at = "search"
    await start(fakes.world, Level.READ_ONLY, RunObjects(), SYSTEM)
    with pytest.raises(KeyboardInterrupt):
        await continue_runs(fakes.world)
    fakes.clock.move(LEASE + timedelta(seconds=1))
    await continue_runs(fakes.world)
    asked = probes(fakes).asked
    assert (asked.count("organization"), asked.count("search")) == (1, 2)


async def test_a_run_that_cannot_restore_stays_open_and_fails_after_a_day() -> None:
    fakes = fake_world()
    fake = probes(fakes)
    fake.answers["testUser"] = Answer(503)
    begun = await start(fakes.world, Level.BASIC, TEST, SYSTEM)
    await continue_runs(fakes.world)
    waiting = await stored(fakes.world, begun.id)
    assert waiting.state is RunState.RUNNING
    assert "cannot read testUser" in waiting.fault
    fakes.clock.move(timedelta(hours=25))
    await continue_runs(fakes.world)
    assert (await stored(fakes.world, begun.id)).state is RunState.FAILED


LICENSED = {"id": TEST.user_id, "usageLocation": "DE", "licenseAssignmentStates": [{"skuId": E3}]}
UNFIT: tuple[tuple[str, object, str], ...] = (
    ("testUser", LICENSED, "has licenses"),
    ("testUser", {"id": TEST.user_id, "usageLocation": None, "licenseAssignmentStates": []}, "no usage location"),
    ("testGroups", {"value": [{"id": guid(1)}]}, "in a group or role"),
    ("testRoles", {"value": [{"principalId": TEST.user_id.upper()}]}, "has a directory role"),
    ("testGroup", {"id": TEST.group_id, "assignedLicenses": [{}], "securityEnabled": True}, "group has licenses"),
    ("testGroup", {"id": TEST.group_id, "assignedLicenses": []}, "not security-enabled"),
    ("testGroup", {"id": TEST.group_id, "securityEnabled": True, "isAssignableToRole": True}, "can have a role"),
    ("testGroupMembers", {"value": [{"id": guid(1)}]}, "group has members"),
    ("testGroupParents", {"value": [{"id": guid(1)}]}, "group is in another group"),
    ("subscribedSkus", {"value": []}, "no available license"),
)


@pytest.mark.parametrize(("name", "body", "reason"), UNFIT)
async def test_test_objects_that_are_in_use_end_the_run_before_any_write(name: str, body: object, reason: str) -> None:
    fakes = fake_world()
    probes(fakes).answers[name] = Answer(200, {}, body)
    run = await run_of(fakes)
    assert run.state is RunState.FAILED
    assert reason in run.fault
    assert (run.writes, set(probes(fakes).asked) & set(WRITES)) == (0, set())


async def test_a_rejected_read_of_the_test_user_ends_the_run() -> None:
    fakes = fake_world()
    probes(fakes).answers["testRoles"] = Answer(403)
    run = await run_of(fakes)
    assert run.state is RunState.FAILED
    assert "403" in run.fault


async def test_one_run_at_a_time() -> None:
    fakes = fake_world()
    await start(fakes.world, Level.READ_ONLY, RunObjects(), SYSTEM)
    with pytest.raises(Conflict, match="is open"):
        await start(fakes.world, Level.READ_ONLY, RunObjects(), SYSTEM)
    assert await start_daily(fakes.world) is None


WRONG = (
    (Level.READ_ONLY, TEST, "not belong to the level readOnly"),
    (Level.BASIC, RunObjects(), "must be a GUID"),
    (Level.BASIC, replace(TEST, sku_id="E3"), "testSkuId must be a GUID"),
)


@pytest.mark.parametrize(("level", "objects", "reason"), WRONG)
async def test_wrong_requests_are_rejected(level: Level, objects: RunObjects, reason: str) -> None:
    with pytest.raises(BadRequest, match=reason):
        await start(fake_world().world, level, objects, SYSTEM)


async def test_nobody_is_their_own_test_user_and_no_protected_person_is_one() -> None:
    fakes = fake_world()
    with pytest.raises(BadRequest, match="your own account"):
        await start(fakes.world, Level.BASIC, TEST, Initiator(TEST.user_id, "Mia"))
    body = '{"reasons": ["Global Administrator"], "until": null}'
    fakes.tables.place("protectedpeople", "person", TEST.user_id, body=body)
    fakes.clock.move(timedelta(minutes=2))
    with pytest.raises(BadRequest, match="protected"):
        await start(fakes.world, Level.BASIC, TEST, SYSTEM)
    assert await fakes.world.stores.first_contact.open() == []


async def test_until_the_protected_people_were_read_there_is_no_basic_run() -> None:
    with pytest.raises(BadRequest, match="have not been read"):
        await start(fake_world(protected_list_read=False).world, Level.BASIC, TEST, SYSTEM)


async def test_a_basic_run_needs_writing_to_be_on() -> None:
    fakes = fake_world()
    fakes.permissions.append(frozenset({"User.Read.All"}))
    with pytest.raises(BadRequest, match="Turn writing on"):
        await start(fakes.world, Level.BASIC, TEST, SYSTEM)
    assert (await run_of(fakes, Level.READ_ONLY)).state is RunState.COMPLETED


async def test_no_worker_processes_the_test_user_during_a_basic_run() -> None:
    fakes = fake_world()
    await start(fakes.world, Level.BASIC, TEST, SYSTEM)
    message = ProcessUsers((UserId(TEST.user_id),), "test", bulk=False)
    with pytest.raises(Unavailable, match="first-contact run"):
        await Members(fakes.world).process(message.encode())
    await must_not_be_in_use(fakes.world, [UserId(guid(5))])
    await continue_runs(fakes.world)
    fakes.clock.move(timedelta(minutes=1))
    await must_not_be_in_use(fakes.world, [UserId(TEST.user_id)])


async def test_the_daily_run_starts_once_a_day_and_old_runs_are_deleted() -> None:
    fakes = fake_world()
    first = await start_daily(fakes.world)
    assert first is not None
    await continue_runs(fakes.world)
    assert await start_daily(fakes.world) is None
    fakes.clock.move(timedelta(days=1))
    assert await start_daily(fakes.world) is not None
    await continue_runs(fakes.world)
    fakes.clock.move(timedelta(days=91))
    assert await start_daily(fakes.world) is not None
    assert await fakes.world.stores.first_contact.get(first.id) is None


async def test_a_changed_position_is_noted_with_the_run() -> None:
    fakes = fake_world()
    assert (await run_of(fakes, Level.READ_ONLY)).changes == ()
    fakes.clock.move(timedelta(days=1))
    probes(fakes).answers["search"] = NO_MORE
    run = await run_of(fakes, Level.READ_ONLY)
    assert [(each.number, each.before, each.after) for each in run.changes] == [(47, "works", "rejected")]


async def test_a_delta_link_is_kept_until_it_is_old_and_rejected() -> None:
    fakes = fake_world()
    fake = probes(fakes)
    fake.answers["users"] = Answer(200, {}, {"value": [{"id": guid(1)}]})
    fake.answers["memberOf"] = Answer(200, {}, {"value": [{"id": guid(0x100)}]})
    first = await run_of(fakes, Level.READ_ONLY)
    assert first.subject.links["kept"] == "/delta/deltaEnumerated"
    fakes.clock.move(timedelta(days=1))
    assert "oldLink" not in (await run_of(fakes, Level.READ_ONLY)).observations
    fakes.clock.move(timedelta(days=8))
    fake.answers["oldLink"] = Answer(410, {}, {"error": {"code": "syncStateNotFound", "message": ""}})
    found = (await run_of(fakes, Level.READ_ONLY)).finding(13)
    assert found is not None
    assert found.position == "410 syncStateNotFound"


async def test_a_run_whose_row_was_never_written_does_not_block_others() -> None:
    fakes = fake_world()
    fakes.tables.dies_after = 2  # the audit entry, then the row of open runs
    with pytest.raises(Unavailable):
        await start(fakes.world, Level.READ_ONLY, RunObjects(), SYSTEM)
    fakes.tables.dies_after = None
    assert len(await fakes.world.stores.first_contact.open()) == 1
    assert await fakes.world.stores.first_contact.newest(1) == []
    await continue_runs(fakes.world)
    fakes.clock.move(timedelta(minutes=11))
    await continue_runs(fakes.world)
    assert (await run_of(fakes, Level.READ_ONLY)).state is RunState.COMPLETED


async def used_room(fakes: Fakes) -> int:
    text, _ = await fakes.world.stores.budget.load()
    state = BudgetState.from_json(text) if text else BudgetState()
    return used(state, limits_of(fakes.world.policy), fakes.clock.now().timestamp())


async def test_each_write_of_a_run_is_reserved_in_the_write_quota_and_none_keeps_a_lease() -> None:
    fakes = fake_world()
    seen: list[int] = []

    async def note_room(name: str) -> None:
        if name in WRITES:
            seen.append(await used_room(fakes))

    probes(fakes).before = note_room
    run = await run_of(fakes)
    assert seen == list(range(1, len(seen) + 1)), "reserved before it is sent"
    assert await used_room(fakes) == run.writes
    text, _ = await fakes.world.stores.budget.load()
    assert BudgetState.from_json(text or "").width.leases == ()


async def test_a_run_writes_nothing_while_writing_is_off_and_restores_when_it_is_on() -> None:
    fakes = fake_world()
    fake = probes(fakes)

    async def turn_off(name: str) -> None:
        if name == "assign":
            await Pacer(fakes.world).turn(lambda _, now: Switch(False, now))

    fake.before = turn_off
    begun = await start(fakes.world, Level.BASIC, TEST, SYSTEM)
    await continue_runs(fakes.world)
    waiting = await stored(fakes.world, begun.id)
    assert (waiting.state, waiting.dirty) == (RunState.RUNNING, True)
    assert "writing is turned off" in waiting.fault
    asked = len(fake.asked)
    fakes.clock.move(timedelta(minutes=1))
    await continue_runs(fakes.world)
    assert fake.asked[asked:], "a minute later, another process tries"
    assert set(fake.asked[asked:]) & {*WRITES, "restoreLocation", "restoreGroup"} == set()
    fake.before = None
    await Pacer(fakes.world).turn(lambda _, now: Switch(True, now))
    await continue_runs(fakes.world)
    run = await stored(fakes.world, begun.id)
    assert run.fault == ""
    assert (run.state, run.dirty, fake.licensed) == (RunState.COMPLETED, False, False)


async def times_of_writes(fakes: Fakes) -> list[tuple[str, float]]:
    """Play a run: each write, and the seconds since the start of the run."""
    found: list[tuple[str, float]] = []
    began = fakes.clock.now()

    async def note_time(name: str) -> None:
        if name in (*WRITES, "groupUnknownSku"):
            found.append((name, (fakes.clock.now() - began).total_seconds()))

    probes(fakes).before = note_time
    await run_of(fakes)
    return found


async def test_a_429_of_a_run_holds_up_all_writes() -> None:
    fakes = fake_world()
    probes(fakes).answers["locationUk"] = Answer(429, {"retry-after": "40"})
    times = dict(await times_of_writes(fakes))
    assert times["groupUnknownSku"] - times["locationUk"] >= 40
    text, _ = await fakes.world.stores.budget.load()
    assert BudgetState.from_json(text or "").not_before > 0


async def test_a_write_that_is_rejected_because_of_others_is_sent_again_and_says_nothing() -> None:
    fakes = fake_world()
    fake = probes(fakes)
    fake.contended = {"partial": 2, "removeUnknown": 99, "remove": 3}
    run = await run_of(fakes)
    assert (run.state, run.dirty, run.writes <= Level.BASIC.most_writes) == (RunState.COMPLETED, False, True)
    assert fake.asked.count("partial") == 3
    positions = {each.number: each.position for each in run.findings}
    assert (positions[3], positions[6]) == ("nothing", "")
    text, _ = await fakes.world.stores.budget.load()
    assert BudgetState.from_json(text or "").width.rejected, "the control of width knows of it"


async def test_a_run_waits_for_room_in_a_full_write_quota() -> None:
    fakes = fake_world()
    await Pacer(fakes.world).charge(urgent=False, writes=1800)
    first = (await times_of_writes(fakes))[0]
    assert first[0] == "partial"
    assert first[1] > 80
