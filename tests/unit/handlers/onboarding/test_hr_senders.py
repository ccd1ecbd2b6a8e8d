"""A source is bound to its senders: no other application, no person, and by queue only if the setting says so."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from shared.domain.hr_senders import BY_QUEUE
from shared.handlers.maintenance.alerts import check_alerts
from tests.support.api_calls import CLIENT, OTHER_CLIENT, PERSON, app_token, claims_of, error_of, token
from tests.support.hires import SOURCE, Hires, event, team
from tests.support.hr_calls import call
from tests.support.runs import LARGE, OTHER_TEAM, TEAM, user

OTHER = "urn:hr:second"
FIRST = app_token(roles=["Onboarding.Write"])


def of_second(message: dict[str, Any]) -> dict[str, Any]:
    return {**message, "source": OTHER}


async def two_senders() -> Hires:
    """The first source comes by HTTP only, the second by queue only."""
    run = await team()
    await run.license_other(LARGE)
    run.set_policy(hr_senders={SOURCE: frozenset({CLIENT}), OTHER: frozenset({BY_QUEUE})})
    return run


async def test_an_application_sends_only_under_its_own_source() -> None:
    run = await two_senders()
    ann = run.directory.add_user(user(1))
    joiner = event("joiner", "1", ann, groups=[TEAM])
    unmanaged = await call(run, "POST", "/api/onboarding", FIRST, json=[of_second(joiner), {**joiner, "source": "x"}])
    assert unmanaged.status_code == 400
    details = error_of(unmanaged)["details"]
    assert [(each["position"], each["target"]) for each in details] == [(0, "source"), (1, "source")]
    for word in (CLIENT, "ONBOARDING_SENDERS", OTHER, "adds it"):
        assert word in details[0]["message"]
    both = await call(run, "POST", "/api/onboarding", FIRST, json=[of_second(joiner), joiner])
    assert ([each["position"] for each in both.json()["value"]], len(both.json()["faults"])) == ([1], 1)
    person = token(claims_of(roles=["Licensing.ReadWrite", "Onboarding.Write"]))
    rejected = await call(run, "POST", "/api/onboarding", person, json=joiner)
    assert f"binds to person {PERSON}" in error_of(rejected)["message"]


async def test_every_fault_of_an_unmanaged_event_is_told_at_once() -> None:
    run = await two_senders()
    broken = of_second(event("joiner", "1", user(1), usageLocation="Germany"))
    answer = await call(run, "POST", "/api/onboarding", FIRST, json=broken)
    assert [each["target"] for each in error_of(answer)["details"]] == ["source", "data.usageLocation"]


async def test_a_source_comes_by_queue_only_if_the_setting_says_so() -> None:
    run = await two_senders()
    ann, bob = (run.directory.add_user(user(number)) for number in (1, 2))
    await run.notify(event("joiner", "1", ann, groups=[TEAM]), of_second(event("joiner", "1", bob, groups=[TEAM])))
    assert (run.member(ann), run.member(bob)) == (False, True)
    (dead_letter,) = (await run.world.stores.dead_letters.page(9))[0]
    assert "ONBOARDING_SENDERS binds to the queue" in dead_letter.reason


async def test_a_sender_neither_reads_nor_ends_events_of_another_source() -> None:
    run = await two_senders()
    ann, bob = (run.directory.add_user(user(number)) for number in (1, 2))
    await call(run, "POST", "/api/onboarding", FIRST, json=event("joiner", "1", ann, on="2026-06-01", groups=[TEAM]))
    await run.notify(of_second(event("joiner", "2", bob, on="2026-06-01", groups=[TEAM])))
    (unmanaged,) = [each for each in (await run.world.stores.onboarding.newest(9))[0] if each.event.source == OTHER]
    own = (await run.record("1")).key
    for act in ("", "/cancel", "/replay"):
        verb = "POST" if act else "GET"
        rejected = await call(run, verb, f"/api/onboarding/{unmanaged.key}{act}", FIRST)
        assert (rejected.status_code, error_of(rejected)["code"]) == (404, "NotFound")
    assert (await call(run, "GET", f"/api/onboarding/{own}", FIRST)).status_code == 200
    assert (await call(run, "POST", f"/api/onboarding/{own}/cancel", FIRST)).json()["state"] == "Cancelled"
    operator = token(claims_of(roles=["Licensing.Write"]))
    ended = await call(run, "POST", f"/api/onboarding/{unmanaged.key}/cancel", operator)
    assert ended.json()["state"] == "Cancelled"


async def test_a_sender_neither_corrects_nor_ends_nor_rescinds_what_another_source_said() -> None:
    run = await two_senders()
    run.set_policy(hr_senders={SOURCE: frozenset({BY_QUEUE}), OTHER: frozenset({BY_QUEUE})})
    ann, bob = (run.directory.add_user(user(number)) for number in (1, 2))
    await run.notify(event("joiner", "a", ann, groups=[TEAM]), event("joiner", "b", bob, groups=[TEAM]))
    await run.notify(event("leaver", "gone", bob, on="2026-01-01", removal="release"))
    await run.notify(
        of_second(event("leaver", "1", ann, on="2026-01-01", removal="P0D")),
        of_second(event("mover", "2", ann, on="2026-01-01", groups=[OTHER_TEAM])),
        of_second(event("leaver.rescission", "3", bob)),
        of_second(event("leaver.release", "4", bob)),
    )
    assert await run.state("gone") == "WaitingForRelease"
    assert (run.member(ann), run.member(bob)) == (True, True)
    assert run.licenses(ann) >= {"SMALL"}
    await run.notify(event("leaver.release", "mine", bob))
    assert not run.member(bob)


async def test_after_an_upgrade_those_who_sent_before_count_for_30_days_with_a_warning() -> None:
    run = await two_senders()
    ann = run.directory.add_user(user(1))
    assert (await call(run, "POST", "/api/onboarding", FIRST, json=event("joiner", "1", ann))).status_code == 202
    run.set_policy(hr_senders=None)
    other = app_token(roles=["Onboarding.Write"])
    again, stranger = event("joiner", "2", ann), of_second(event("joiner", "3", ann))
    assert (await call(run, "POST", "/api/onboarding", other, json=again)).status_code == 202
    assert (await call(run, "POST", "/api/onboarding", other, json=stranger)).status_code == 400
    (observed,) = [text for text in await check_alerts(run.world) if "ONBOARDING_SENDERS" in text]
    assert SOURCE in observed
    run.fakes.clock.move(timedelta(days=30))
    late = await call(run, "POST", "/api/onboarding", other, json=event("joiner", "4", ann))
    assert late.status_code == 400
    (observed,) = [text for text in await check_alerts(run.world) if "ONBOARDING_SENDERS" in text]
    assert "rejected since" in observed


async def test_a_new_deployment_without_the_setting_takes_no_event() -> None:
    run = await team()
    run.set_policy(hr_senders=None)
    rejected = await call(run, "POST", "/api/onboarding", FIRST, json=event("joiner", "1", user(1)))
    assert rejected.status_code == 400
    await run.notify(event("joiner", "2", user(1)))
    assert (await run.world.stores.onboarding.newest(9))[0] == ()


def test_another_client_is_another_sender() -> None:
    from shared.domain.hr_groups import FormerUse
    from shared.domain.hr_senders import hr_senders
    from shared.domain.initiator import Initiator, InitiatorKind
    from tests.support.fakes_directory import BEGINNING

    allowed = hr_senders({SOURCE: frozenset({CLIENT})}, FormerUse(BEGINNING), BEGINNING)
    app = Initiator("1", "HR", InitiatorKind.APP, CLIENT.upper())
    assert allowed.may_send(SOURCE, app)
    assert not allowed.may_send(SOURCE, replace(app, app_id=OTHER_CLIENT))
    assert not allowed.may_send(SOURCE, replace(app, kind=InitiatorKind.USER))
