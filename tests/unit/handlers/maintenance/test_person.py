"""What is stored about one person is exported, and erased except for what proves which licenses are the app's."""

from __future__ import annotations

import json
import zlib
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from shared.domain.assignment import GroupLicenseAssignment, OptionsChange
from shared.domain.dead_letters import BulkKind, DeadLetterSelection
from shared.domain.directory import AssignedLicense
from shared.domain.ids import UserId
from shared.domain.initiator import Initiator, InitiatorKind, queue_sender
from shared.domain.messages import JOBS, ONBOARDING
from shared.domain.move import Direction, Move, MovePhase
from shared.domain.operation import Approval, LicenseChange, Target
from shared.domain.operation_request import OperationRequest
from shared.domain.profiles import Profile
from shared.domain.read_models import AuditEntry, AuditFilter, DeadLetter
from shared.handlers.maintenance.audit_hours import close_hours
from shared.handlers.messaging import bulk_dead_letters
from shared.handlers.messaging.dead_letters import replay
from shared.handlers.onboarding import administration
from shared.handlers.onboarding.announced import announced_leavers, approve_announced
from shared.handlers.onboarding.profiles import save_profile
from shared.handlers.operations import control
from shared.handlers.operations.accept import accept
from shared.handlers.operations.assignment_changes import set_options
from shared.handlers.views.audit_proof import verify
from tests.support.api_calls import PERSON, claims_of, client, error_of, token
from tests.support.hires import Hires, event
from tests.support.runs import EXTRA, MIA, TEAM, user

ANN, BEN = user(1), user(2)
ADMINISTRATOR = token(claims_of(roles=["Licensing.Configure", "Licensing.Approve"]))
NAMES = {ANN: "ann@contoso.example", BEN: "ben@contoso.example"}


async def known() -> Hires:
    """Two people whom HR has hired, who act too, and of whom messages and claims speak."""
    run = await Hires.of_two_teams()
    for number, person in enumerate((ANN, BEN), 1):
        run.directory.add_user(person)
        run.directory.change_user(replace(run.directory.truth(person), user_principal_name=NAMES[person]))
        run.accounts.employee_ids[person] = f"47{number}"
        who = {"id": person, "userPrincipalName": NAMES[person], "employeeId": f"47{number}"}
        await run.notify(event("joiner", f"j{number}", who, groups=[TEAM]))
    await run.work_off()
    now, stores = run.world.clock.now(), run.world.stores
    for number, (person, name) in enumerate(NAMES.items(), 1):
        by = Initiator(person, name, InitiatorKind.USER, channel="api")
        await stores.audit.append(
            [
                AuditEntry(f"act-{name}", now, "Act", by, "success"),
                AuditEntry(f"claim-{name}", now, "Claim", queue_sender(JOBS, name.upper()), "success"),
            ]
        )
        body = json.dumps({"data": {"user": {"userPrincipalName": name}}}).encode()
        for queue in (ONBOARDING, JOBS):
            await stores.dead_letters.keep(DeadLetter(dead_letter(queue, number), queue, body, "broken", now))
        await replay(run.world, dead_letter(JOBS, number), MIA)
    return run


def dead_letter(queue: str, number: int) -> str:
    return f"{number:012x}{len(queue):020x}"


async def names_in_log(run: Hires) -> set[str]:
    now = run.world.clock.now()
    found, _ = await run.world.stores.audit.search(AuditFilter(), now - timedelta(days=400), now, 900)
    return {text for each in found for text in (each.initiator.display_name, each.initiator.claimed_by) if "@" in text}


async def erased(run: Hires, person: UserId) -> dict[str, object]:
    async with client(run.world, headers=ADMINISTRATOR) as api:
        answer = await api.post(f"/api/users/{person}/erase")
    assert answer.status_code == 200, answer.text
    body: dict[str, object] = answer.json()
    return body


async def test_an_export_has_rows_events_and_entries_of_one_person_only() -> None:
    run = await known()
    async with client(run.world, headers=ADMINISTRATOR) as api:
        export = (await api.get(f"/api/users/{ANN}/export")).json()
    assert {"ledger", "members", "auditnames"} <= export["rows"].keys()
    assert [each["event"]["id"] for each in export["onboardingEvents"]] == ["j1"]
    assert {each["activityDisplayName"] for each in export["auditEntries"]} >= {"Act", "Add member to group"}
    assert NAMES[ANN] in json.dumps(export)
    assert NAMES[BEN] not in json.dumps(export)
    assert BEN not in json.dumps(export)


async def test_an_erasure_leaves_the_ledger_and_the_proof_of_the_audit_log_and_other_people() -> None:
    run = await known()
    run.fakes.clock.move(timedelta(hours=2))
    await close_hours(run.world)
    before = (await run.world.stores.ledger.rows([ANN]))[ANN]
    done = await erased(run, ANN)
    assert done["openEvents"] == []
    assert done["erased"] == {"members": 1, "auditnames": 2, "auditpayloads": 1, "deadletters": 1, "onboarding": 1}
    assert NAMES[ANN] not in {name.lower() for name in await names_in_log(run)}
    assert {name.lower() for name in await names_in_log(run)} >= {NAMES[BEN]}
    assert (await run.world.stores.ledger.rows([ANN]))[ANN] == before
    assert await run.world.stores.onboarding.of_person([f"id:{ANN}", f"upn:{NAMES[ANN]}"]) == ()
    assert len(await run.world.stores.onboarding.of_person([f"id:{BEN}"])) == 1
    left, _ = await run.world.stores.dead_letters.page(9)
    assert [each.id for each in left] == [dead_letter(ONBOARDING, 2)]
    proof = await verify(run.world, run.world.clock.now() - timedelta(hours=5), None)
    assert proof.verified
    assert (await erased(run, ANN))["erased"] == {}


async def test_an_open_event_stays_until_it_has_ended() -> None:
    run = await known()
    await run.notify(event("leaver", "l1", {"id": ANN, "userPrincipalName": NAMES[ANN]}, on="2027-01-01"))
    done = await erased(run, ANN)
    record = await run.record("l1")
    assert done["openEvents"] == [record.key]
    assert "cannot be carried out" in str(done["openEventsKeep"])
    assert json.loads(record.body)["data"]["user"] == {"id": ANN, "userPrincipalName": NAMES[ANN]}


async def test_nobody_erases_their_own_name_and_configuring_alone_does_not_suffice() -> None:
    run = await known()
    async with client(run.world, headers=ADMINISTRATOR) as api:
        own = await api.post(f"/api/users/{PERSON}/erase")
    async with client(run.world, headers=token(claims_of(roles=["Licensing.Configure"]))) as api:
        rejected = await api.post(f"/api/users/{ANN}/erase")
    assert (own.status_code, error_of(own)["code"]) == (400, "OwnData")
    assert (rejected.status_code, "Licensing.Approve" in error_of(rejected)["message"]) == (403, True)


def everything(run: Hires) -> str:
    """All rows of all tables, as text."""
    values = [value for _, row in run.fakes.tables.everything() for value in row.values()]
    return "\n".join(map(unpacked, values)).casefold()


def unpacked(value: object) -> str:
    if not isinstance(value, bytes):
        return str(value)
    with suppress(zlib.error):
        value = zlib.decompress(value)
    return value.decode("utf-8", "replace")


async def acted_by(run: Hires, by: Initiator, person: UserId) -> None:
    """An administrator requests, cancels, decides and proposes; rows about others name that."""
    world = run.world
    request = OperationRequest(Target(TEAM), by, LicenseChange((AssignedLicense(EXTRA.sku_id),)))
    await control.cancel(world, (await accept(world, request)).id, by)
    await set_options(world, TEAM, OptionsChange({"priority": 3}), by, None)
    await accept(world, replace(request, preview=True))
    await save_profile(world, Profile(f"sales-{by.id[-1]}", groups=(TEAM,)), by, None)
    await bulk_dead_letters.begin(world, BulkKind.DELETE, DeadLetterSelection(text=by.display_name), by)
    await run.notify(event("leaver", f"announced-{by.id}", person, on="2027-01-01"))
    await approve_announced(world, (await announced_leavers(world)).checksum, by)
    await run.send(event("mover", f"later-{by.id}", person, on="2026-12-01"))
    await run.work_off()
    await administration.cancel(world, (await run.record(f"later-{by.id}")).key, by)


async def test_an_administrators_name_goes_from_what_others_need_and_the_id_stays() -> None:
    run = await known()
    boss, other = (Initiator(user(number), f"boss{number}@contoso.example", channel="api") for number in (8, 9))
    await acted_by(run, replace(boss, display_name="former-boss8@contoso.example"), ANN)
    await acted_by(run, other, BEN)
    await acted_by(run, boss, ANN)
    before = everything(run)
    assert "boss8@contoso" in before
    run.fakes.clock.move(timedelta(hours=2))
    await close_hours(run.world)
    done = await erased(run, UserId(boss.id))
    after = everything(run)
    assert [line for line in after.split("\n") if "boss8@contoso" in line] == []
    assert after.count("boss9@contoso") == before.count("boss9@contoso")
    assert {"operations", "assignments", "onboarding", "profiles", "deadletters"} <= {*done["erased"]}  # type: ignore[misc]
    operations, _ = await run.world.stores.operations.newest(99)
    assert {boss.id, other.display_name} <= {each.initiator.display_name for each in operations}
    record = await run.record(f"announced-{boss.id}")
    assert (record.permitted_by, record.state.is_ended) == (boss.id, False)
    assert (await verify(run.world, run.world.clock.now() - timedelta(hours=5), None)).verified
    assert (await erased(run, UserId(boss.id)))["erased"] == {}
    await run.work_off()


async def test_an_administrators_name_goes_from_moves_and_the_id_stays() -> None:
    run = await known()
    boss, other = (Initiator(user(number), f"boss{number}@contoso.example", channel="api") for number in (8, 9))
    now = run.world.clock.now()
    former = GroupLicenseAssignment(TEAM, version=1, changed_by=boss.display_name, changed_by_id=boss.id)
    move = Move("0" * 32, TEAM, Direction.TO_DIRECT, boss, now, MovePhase.APPROVE, former=former)
    both = (Approval(boss, now), Approval(other, now))
    move = replace(move, paused=f"Paused by {boss.display_name}.", paused_by=boss, approvals=both, approved_by=boss)
    await run.world.stores.moves.insert(move)
    assert (await erased(run, UserId(boss.id)))["erased"]["moves"] == 1  # type: ignore[index]
    assert "boss8@contoso" not in everything(run)
    found = await run.world.stores.moves.get(TEAM)
    assert found is not None
    assert [each.by.display_name for each in found.approvals] == [boss.id, other.display_name]
    assert (found.paused, found.former) == (f"Paused by {boss.id}.", replace(former, changed_by=""))


async def test_a_name_that_is_no_sign_in_name_and_has_dead_letters_that_json_escapes_is_erased() -> None:
    run = await known()
    boss, other = Initiator(user(8), "Zoë Åberg", channel="api"), Initiator(user(9), "Zoë Øberg", channel="api")
    now = run.world.clock.now()
    for number, by in enumerate((boss, other), 1):
        await run.world.stores.audit.append([AuditEntry(f"by-{number}", now, "Act", by, "success")])
        await run.notify(event("mover", f"later-{number}", BEN, on="2026-12-01"))
        await administration.cancel(run.world, (await run.record(f"later-{number}")).key, by)
        body = json.dumps({"data": {"manager": by.display_name.upper()}}).encode()
        await run.world.stores.dead_letters.keep(
            DeadLetter(dead_letter(ONBOARDING, 8 + number), ONBOARDING, body, "", now)
        )
    done = await erased(run, UserId(boss.id))
    assert done["erased"] == {"auditnames": 1, "deadletters": 1, "onboarding": 1}
    notes = [(await run.record(f"later-{number}")).note for number in (1, 2)]
    assert notes == [f"Cancelled by {boss.id}.", f"Cancelled by {other.display_name}."]
    left, _ = await run.world.stores.dead_letters.page(9)
    assert dead_letter(ONBOARDING, 10) in {each.id for each in left}
    assert dead_letter(ONBOARDING, 9) not in {each.id for each in left}


async def test_names_that_hr_gave_a_person_change_nothing_of_other_administrators() -> None:
    """HR can write anything: a word of the app as employee number, and the sign-in name of somebody else."""
    run = await known()
    boss = Initiator(user(8), "boss8@contoso.example", channel="api")
    await acted_by(run, boss, ANN)
    strange = run.directory.add_user(user(3))
    for number, (name, text) in enumerate((("employeeId", "user"), ("userPrincipalName", boss.display_name))):
        await run.notify(event("joiner", f"strange-{number}", {"id": strange, name: text}, groups=[TEAM]))
    await run.work_off()
    before, _ = await run.world.stores.operations.newest(99)
    await erased(run, strange)
    after, _ = await run.world.stores.operations.newest(99)
    assert [each.initiator for each in after] == [each.initiator for each in before]
    assert boss in {each.initiator for each in after}


async def test_a_dead_job_keeps_its_work_and_loses_the_name_of_its_requester() -> None:
    run = await known()
    dead_letters = run.world.stores.dead_letters
    bodies = {
        "a": {"requestedBy": NAMES[ANN].upper(), "userIds": [BEN], "correlationId": NAMES[ANN]},
        "b": {"requestedBy": NAMES[BEN], "userIds": [ANN]},
        "c": {"deep": {"note": NAMES[ANN]}},
    }
    for name, body in bodies.items():
        await dead_letters.keep(DeadLetter(name * 32, JOBS, json.dumps(body).encode(), "", run.world.clock.now()))
    cut = f'{{"requestedBy": "{NAMES[ANN]}", "userIds": ["{BEN}'.encode()
    await dead_letters.keep(DeadLetter("d" * 32, JOBS, cut, "", run.world.clock.now()))
    done = await erased(run, ANN)
    assert done["erased"]["deadletters"] == 4  # type: ignore[index]
    left = {each.id[0]: each for each in (await dead_letters.page(9))[0] if each.queue == JOBS}
    assert json.loads(left["a"].body) == {"requestedBy": ANN, "userIds": [BEN], "correlationId": ANN}
    assert left["a"].whole
    assert json.loads(left["b"].body) == bodies["b"]
    assert left.keys() == {"a", "b"}, "a text in which the name cannot be replaced is deleted"
    assert (await erased(run, ANN))["erased"] == {}
