"""A corrected dead letter is what the person sends who corrected it, under that person's rules and name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.domain.errors import BadRequest, NotFound
from shared.domain.initiator import InitiatorKind
from shared.domain.messages import JOBS, MEMBERS, ONBOARDING
from shared.domain.read_models import AuditFilter, DeadLetter
from shared.handlers.messaging.settlement import dead_letter_message
from shared.handlers.onboarding.corrections import replay_corrected
from tests.support.api_calls import GROUP, PERSON, claims_of, error_of, token
from tests.support.builders import audited
from tests.support.hires import SOURCE, Hires, event, team
from tests.support.hr_calls import call
from tests.support.job_messages import assign
from tests.support.runs import MIA, SMALL, TEAM, Run, user

OTHER = "urn:hr:second"
CEO = "ceo@fabrikam.example"
BOTH = token(claims_of(roles=["Licensing.Write", "Onboarding.Write"]))


async def kept(run: Run, queue: str, body: object) -> DeadLetter:
    await dead_letter_message(run.world, queue, json.dumps(body).encode(), "broken")
    return (await run.world.stores.dead_letters.page(9))[0][0]


async def bound() -> Hires:
    """One source comes by queue only, the other one from a person too."""
    run = await team()
    run.set_policy(hr_senders={SOURCE: frozenset({"queue"}), OTHER: frozenset({"queue", PERSON})})
    return run


async def corrected(run: Hires, dead_letter: DeadLetter, message: dict[str, Any]) -> Any:
    return await call(run, "POST", f"/api/deadLetters/{dead_letter.id}/replay", BOTH, json={"message": message})


async def test_a_person_sends_a_corrected_event_only_of_a_source_that_is_bound_to_the_person() -> None:
    run = await bound()
    ann, bob = (run.directory.add_user(user(number)) for number in (1, 2))
    broken = [event("joiner", name, each, groups=["x"]) for name, each in (("1", ann), ("2", bob))]
    first, second = [await kept(run, ONBOARDING, each) for each in broken]
    good = [event("joiner", name, each, groups=[TEAM]) for name, each in (("1", ann), ("2", bob))]
    rejected = await corrected(run, first, good[0])
    assert (rejected.status_code, error_of(rejected)["target"]) == (400, "source")
    for word in ("ONBOARDING_SENDERS", PERSON):
        assert word in error_of(rejected)["message"]
    taken = await corrected(run, second, {**good[1], "source": OTHER})
    assert taken.status_code == 204, taken.text
    await run.work_off()
    assert (run.member(ann), run.member(bob)) == (False, True)
    assert [each.id for each in (await run.world.stores.dead_letters.page(9))[0]] == [first.id]


async def test_what_a_corrected_event_does_is_the_persons_and_both_texts_are_kept() -> None:
    run = await bound()
    ann = run.directory.add_user(user(1))
    dead_letter = await kept(run, ONBOARDING, {"is": "broken"})
    good = {**event("joiner", "1", ann, groups=[TEAM]), "source": OTHER}
    await corrected(run, dead_letter, good)
    await run.work_off()
    (record,) = (await run.world.stores.onboarding.newest(9))[0]
    assert (record.sender.kind, record.sender.id, record.sender.claimed_by) == (InitiatorKind.USER, PERSON, OTHER)
    now = run.world.clock.now()
    found, _ = await run.world.stores.audit.search(AuditFilter(), now.replace(year=2000), now.replace(year=2100), 99)
    by = {each.activity: each for each in found}
    for activity in ("Add member to group", "Replay message"):
        assert (by[activity].initiator.kind, by[activity].initiator.id) == (InitiatorKind.USER, PERSON)
    message = await run.world.stores.audit.message(by["Replay message"].id)
    assert message is not None and message.corrected is not None
    assert (json.loads(message.original), json.loads(message.corrected)) == ({"is": "broken"}, good)


@pytest.mark.parametrize("wrong", [{"v": 1, "type": "takeUp", "keys": ["a" * 32]}, {"specversion": "1.0"}])
async def test_a_correction_that_is_no_event_is_answered_and_the_dead_letter_stays(wrong: dict[str, Any]) -> None:
    run = await bound()
    dead_letter = await kept(run, ONBOARDING, {})
    answer = await corrected(run, dead_letter, wrong)
    assert (answer.status_code, error_of(answer)["code"]) == (400, "InvalidEvent")
    assert (await run.world.stores.dead_letters.page(9))[0] == (dead_letter,)
    assert run.fakes.sent() == []


async def test_a_corrected_job_is_the_persons_request() -> None:
    run = Run()
    run.people(2)
    small = [{"skuId": SMALL.sku_id}]
    broken, good = (assign(id=f"j-{where}", groupId=where, addLicenses=small, requestedBy=CEO) for where in ("x", TEAM))
    other, dead_letter = [await kept(run, JOBS, broken) for _ in range(2)]
    with pytest.raises(BadRequest, match="groupId"):
        await replay_corrected(run.world, dead_letter.id, broken, MIA)
    with pytest.raises(NotFound, match=GROUP):
        await replay_corrected(run.world, dead_letter.id, assign(groupId=GROUP), MIA)
    await replay_corrected(run.world, dead_letter.id, good, MIA)
    (operation,) = await run.world.stores.operations.open()
    by = operation.initiator
    assert (by.kind, by.id, by.claimed_by) == (InitiatorKind.USER, MIA.id, CEO)
    assert [each.id for each in (await run.world.stores.dead_letters.page(9))[0]] == [other.id]


async def test_a_corrected_message_of_another_queue_goes_to_that_queue() -> None:
    run = Run()
    dead_letter = await kept(run, MEMBERS, "no object")
    await replay_corrected(run.world, dead_letter.id, {"corrected": True}, MIA)
    assert [(each.queue, json.loads(each.body)) for each in run.fakes.sent()] == [(MEMBERS, {"corrected": True})]
    assert (await run.world.stores.dead_letters.page(10))[0] == ()
    (entry,) = [each for each in await audited(run.world.stores, "202601") if each.activity == "Replay message"]
    assert (entry.initiator, "corrected" in entry.detail) == (MIA, True)
