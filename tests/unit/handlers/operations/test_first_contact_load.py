"""Load runs of the first-contact check on the fake: batches, limits, kills, and what they show of the tenant."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.budget import BudgetState, used
from shared.domain.errors import BadRequest, Unavailable
from shared.domain.first_contact import LEASE, Answer, Level, Run, RunState
from shared.domain.first_contact_load import load_result
from shared.domain.ids import UserId
from shared.domain.initiator import SYSTEM
from shared.handlers.operations.first_contact import RunObjects, continue_runs, must_not_be_in_use, start
from shared.handlers.reconcile.write_limiter import limits_of
from tests.support.fakes_first_contact import FakeProbes
from tests.support.tenant_stage import E3, guid
from tests.support.worlds import Fakes, fake_world

USERS = tuple(guid(0x800 + number) for number in range(20))
LOAD = RunObjects(sku_id=E3, user_ids=USERS)
WRITES = {"loadAssign", "loadRemove"}
BUSY = Answer(409, {}, {"error": {"code": "Directory_ConcurrencyViolation", "message": "Concurrent requests."}})


def probes(fakes: Fakes) -> FakeProbes:
    found = fakes.world.probes
    assert isinstance(found, FakeProbes)
    return found


async def stored(fakes: Fakes, run_id: str) -> Run:
    return (await fakes.world.stores.first_contact.load(run_id))[0]


async def run_of(fakes: Fakes) -> Run:
    begun = await start(fakes.world, Level.LOAD, LOAD, SYSTEM)
    await continue_runs(fakes.world)
    return await stored(fakes, begun.id)


def positions(run: Run) -> dict[int, str]:
    return {each.number: each.position for each in run.findings if each.position}


async def test_a_load_run_licenses_twenty_users_at_once_and_leaves_none_licensed() -> None:
    fakes = fake_world()
    run = await run_of(fakes)
    fake = probes(fakes)
    assert (run.state, run.fault, run.dirty) == (RunState.COMPLETED, "", False)
    assert (fake.most_holders, fake.holders) == (20, set())
    assert run.writes == 1 + 2 + 5 + 20 + 20
    assert run.requests <= Level.LOAD.most_requests
    assert positions(run)[1] == "accepted"
    assert 2 not in positions(run)
    result = load_result(run.observations)
    assert result is not None
    assert (result.at_once, result.rejected, result.throttled) == (20, 0, 0)
    assert run.subject.test_user_ids == ()


async def test_all_writes_of_a_load_run_are_reserved() -> None:
    fakes = fake_world()
    run = await run_of(fakes)
    text, _ = await fakes.world.stores.budget.load()
    state = BudgetState.from_json(text or "")
    assert used(state, limits_of(fakes.world.policy), fakes.clock.now().timestamp()) == run.writes
    assert state.width.leases == ()


@pytest.mark.parametrize(("at_once", "position"), [(1, "one"), (3, "some"), (19, "some")])
async def test_a_tenant_that_rejects_writes_beside_others_is_restored_one_by_one(at_once: int, position: str) -> None:
    fakes = fake_world()
    fake = probes(fakes)
    fake.at_once = at_once
    run = await run_of(fakes)
    assert (run.state, run.dirty, fake.holders) == (RunState.COMPLETED, False, set())
    assert run.writes <= 100
    assert (positions(run)[1], positions(run)[2]) == (position, "409 Directory_ConcurrencyViolation")
    result = load_result(run.observations)
    assert result is not None
    assert result.at_once == {1: 1, 3: 2, 19: 19}[at_once]
    assert result.rejected > 0


@pytest.mark.parametrize("step", ["one", "pair", "five", "twenty", "removeTogether"])
@pytest.mark.parametrize("at_once", [20, 3])
async def test_a_run_that_was_killed_after_any_batch_resumes_and_restores(step: str, at_once: int) -> None:
    fakes = fake_world()
    fake = probes(fakes)
    fake.at_once = at_once
    begun = await start(fakes.world, Level.LOAD, LOAD, SYSTEM)

    async def die(name: str) -> None:
        if name in WRITES and (await stored(fakes, begun.id)).step == step:
            fake.dies_at = name
            fake.before = None

    fake.before = die
    with pytest.raises(KeyboardInterrupt):
        await continue_runs(fakes.world)
    assert (await stored(fakes, begun.id)).dirty
    fakes.clock.move(LEASE + timedelta(seconds=1))
    await continue_runs(fakes.world)
    run = await stored(fakes, begun.id)
    assert (run.state, run.dirty, fake.holders) == (RunState.COMPLETED, False, set())
    assert run.writes <= 100
    asked = fake.asked
    assert asked[-1] == "loadUsers"


async def test_a_resumed_run_removes_licenses_before_it_assigns_more() -> None:
    fakes = fake_world()
    fake = probes(fakes)
    fake.dies_at = "loadAssign"
    await start(fakes.world, Level.LOAD, LOAD, SYSTEM)
    with pytest.raises(KeyboardInterrupt):
        await continue_runs(fakes.world)
    before = len(fake.asked)
    fakes.clock.move(LEASE + timedelta(seconds=1))
    await continue_runs(fakes.world)
    assert next(each for each in fake.asked[before:] if each in WRITES) == "loadRemove"


async def test_a_tenant_that_stays_busy_ends_no_run_until_the_licenses_are_removed() -> None:
    fakes = fake_world()
    fake = probes(fakes)
    begun = await start(fakes.world, Level.LOAD, LOAD, SYSTEM)

    async def busy(name: str) -> None:
        if name == "loadRemove":
            fake.item = BUSY

    fake.before = busy
    await continue_runs(fakes.world)
    waiting = await stored(fakes, begun.id)
    assert (waiting.state, waiting.dirty, len(fake.holders)) == (RunState.RUNNING, True, 20)
    fake.before = fake.item = None
    fakes.clock.move(timedelta(minutes=1))
    await continue_runs(fakes.world)
    run = await stored(fakes, begun.id)
    assert (run.state, run.dirty, fake.holders) == (RunState.COMPLETED, False, set())


async def test_writes_that_are_denied_end_the_stages_and_say_nothing() -> None:
    fakes = fake_world()
    probes(fakes).item = Answer(403, {}, {"error": {"code": "Authorization_RequestDenied", "message": "No."}})
    run = await run_of(fakes)
    assert (run.state, run.writes) == (RunState.COMPLETED, 1)
    assert not set(positions(run)) & {1, 2, 18, 52}


FULL = "x-ms-throttle-limit-percentage"


@pytest.mark.parametrize(("after", "kind"), [("0.85", "window"), ("0.81", "bucket"), ("", "")])
async def test_the_level_of_a_limit_shows_whether_it_is_a_window_or_a_bucket(after: str, kind: str) -> None:
    fakes = fake_world()
    fake = probes(fakes)
    levels = ["", "", "", "0.85", after]

    async def level(name: str) -> None:
        fake.item = None
        if name == "loadAssign" and (shown := levels.pop(0)):
            fake.item = Answer(200, {FULL: shown})

    fake.before = level
    run = await run_of(fakes)
    assert positions(run).get(52, "") == kind
    assert levels == []


UNFIT: tuple[tuple[str, Any, str], ...] = (
    (
        "loadUsers",
        {"usageLocation": "DE", "licenseAssignmentStates": [{"skuId": guid(1)}]},
        "20 of the test users have l",
    ),
    ("loadUsers", {"usageLocation": None, "licenseAssignmentStates": []}, "have no usage location"),
    ("loadGroups", {"value": [{"id": guid(1)}]}, "in a group or role"),
    ("loadRoles", {"value": [{"principalId": USERS[3]}]}, "1 of the test users have a directory role"),
)


@pytest.mark.parametrize(("name", "body", "reason"), UNFIT)
async def test_test_users_that_are_in_use_end_the_run_before_any_write(name: str, body: Any, reason: str) -> None:
    fakes = fake_world()
    responses = [{"id": str(number), "status": 200, "body": body} for number in range(20)]
    probes(fakes).answers[name] = Answer(200, {}, {"responses": responses})
    run = await run_of(fakes)
    assert (run.state, run.writes) == (RunState.FAILED, 0)
    assert reason in run.fault


async def test_too_few_licenses_end_the_run_before_any_write() -> None:
    fakes = fake_world()
    units = {"enabled": 20}
    sku = {"skuId": E3, "appliesTo": "User", "consumedUnits": 1, "prepaidUnits": units}
    probes(fakes).answers["subscribedSkus"] = Answer(200, {}, {"value": [sku]})
    run = await run_of(fakes)
    assert (run.state, run.writes, "fewer than 20" in run.fault) == (RunState.FAILED, 0, True)


async def test_an_answer_that_lacks_a_user_is_read_again_later() -> None:
    fakes = fake_world()
    responses = [{"id": str(number), "status": 200, "body": {"value": []}} for number in range(19)]
    probes(fakes).answers["loadGroups"] = Answer(200, {}, {"responses": responses})
    run = await run_of(fakes)
    assert (run.state, run.writes, "loadGroups" in run.fault) == (RunState.RUNNING, 0, True)


WRONG = (
    (Level.LOAD, replace(LOAD, user_ids=USERS[:19]), "20 different GUIDs"),
    (Level.LOAD, replace(LOAD, user_ids=(*USERS[:19], USERS[0].upper())), "20 different GUIDs"),
    (Level.LOAD, replace(LOAD, user_ids=(*USERS[:19], "me")), "20 different GUIDs"),
    (Level.LOAD, replace(LOAD, sku_id=""), "testSkuId must be a GUID"),
    (Level.LOAD, replace(LOAD, group_id=guid(1)), "testGroupId does not belong"),
    (Level.READ_ONLY, RunObjects(user_ids=USERS), "testUserIds does not belong"),
    (Level.BASIC, RunObjects(guid(0x700), guid(0x701), E3, USERS), "testUserIds does not belong"),
)


@pytest.mark.parametrize(("level", "objects", "reason"), WRONG)
async def test_wrong_requests_are_rejected(level: Level, objects: RunObjects, reason: str) -> None:
    with pytest.raises(BadRequest, match=reason):
        await start(fake_world().world, level, objects, SYSTEM)


async def test_no_worker_processes_any_test_user_of_an_open_run() -> None:
    fakes = fake_world()
    await start(fakes.world, Level.LOAD, LOAD, SYSTEM)
    for user_id in USERS:
        with pytest.raises(Unavailable, match="first-contact run"):
            await must_not_be_in_use(fakes.world, [UserId(user_id)])
    await must_not_be_in_use(fakes.world, [UserId(guid(5))])


SHAREPOINT, DESKLESS = "5dbe027f-2339-4123-9542-606e4d348a72", "902b47e5-dcb2-4fdc-858b-c63a90a2bdb9"
"""Service plans that the reference page lists as exclusive."""

F3 = "66b55226-6b4f-492c-910c-a3b7a3c9d993"
TEXTS = {
    "mutuallyExclusive": "License assignment failed because service plans a, b are mutually exclusive",
    "withoutBlank": "License assignment failed because service plans a,b are mutually exclusive",
    "conflictsWith": "License assignment failed because service plan a conflicts with service plan b",
    "conflictingPairs": "Resolve these conflicting service plan pairs to solve this problem: [a, b].",
    "": "Something else is wrong with service plan a.",
}


def product(sku_id: str, *plans: str, used: int = 1) -> dict[str, Any]:
    rows = [{"servicePlanId": plan.upper(), "appliesTo": "User"} for plan in plans]
    units = {"enabled": 99}
    return {"skuId": sku_id, "appliesTo": "User", "consumedUnits": used, "prepaidUnits": units, "servicePlans": rows}


async def run_beside(fakes: Fakes, rival: dict[str, Any]) -> Run:
    skus = [product(E3, SHAREPOINT), rival]
    probes(fakes).answers["subscribedSkus"] = Answer(200, {}, {"value": skus})
    return await run_of(fakes)


@pytest.mark.parametrize("form", TEXTS)
async def test_a_product_that_excludes_the_first_shows_the_wording(form: str) -> None:
    fakes = fake_world()
    probes(fakes).excluded = {F3: TEXTS[form]}
    run = await run_beside(fakes, product(F3.upper(), DESKLESS))
    assert run.state is RunState.COMPLETED
    assert positions(run).get(4, "") == form
    assert probes(fakes).holders == set()


async def test_a_product_that_is_assigned_in_spite_of_the_list_is_removed_too() -> None:
    fakes = fake_world()
    run = await run_beside(fakes, product(F3, DESKLESS))
    assert (run.state, run.dirty) == (RunState.COMPLETED, False)
    assert "exclusive" in run.observations
    assert (4 in positions(run), probes(fakes).holders) == (False, set())


@pytest.mark.parametrize("rival", [product(F3, guid(9)), product(F3, DESKLESS, used=99)])
async def test_without_an_available_product_that_excludes_the_first_nothing_is_tried(rival: dict[str, Any]) -> None:
    fakes = fake_world()
    run = await run_beside(fakes, rival)
    assert run.state is RunState.COMPLETED
    assert "exclusive" not in run.observations


async def test_licenses_that_reads_show_seconds_after_the_last_write_are_removed_too() -> None:
    fakes = fake_world()
    fake = probes(fakes)
    wrote_at = fakes.clock.now()

    async def lag(name: str) -> None:
        nonlocal wrote_at
        if name == "loadAssign":
            wrote_at = fakes.clock.now()
        fake.answers.pop("loadUsers", None)
        if name == "loadUsers" and fake.held and fakes.clock.now() - wrote_at < timedelta(seconds=5):
            rows = [{"id": each, "usageLocation": "DE", "licenseAssignmentStates": []} for each in USERS]
            items = [{"id": str(number), "status": 200, "body": row} for number, row in enumerate(rows)]
            fake.answers["loadUsers"] = Answer(200, {}, {"responses": items})

    fake.before = lag
    run = await run_of(fakes)
    assert (run.state, run.dirty, fake.holders) == (RunState.COMPLETED, False, set())
