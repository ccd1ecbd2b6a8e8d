"""The health page: the quota in use, and what waits in the queues."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from shared.domain.ids import GroupId
from shared.domain.messages import MEMBERS, ONBOARDING
from shared.domain.profiles import Profile
from shared.domain.read_models import DeadLetter
from shared.ports.directory import Organization
from shared.ports.messaging import Outgoing
from tests.support.pages import READER, browser, licensed
from tests.support.runs import user


async def test_the_health_page_shows_the_quota_in_use_and_what_waits() -> None:
    run, _ = await licensed()
    async with browser(run) as page:
        whole = await page.get("/health")
        live = await page.get("/health/queues")
        run.fakes.watch.away = True
        away = await page.get("/health/queues")
    assert "of 3,000" in whole.text
    assert "members-bulk" in live.text
    assert "was told to be away" in away.text


async def test_work_that_waits_for_a_permission_is_shown_with_the_reason() -> None:
    run, _ = await licensed()
    later = run.fakes.clock.now() + timedelta(minutes=15)
    denied = Outgoing(ONBOARDING, b"{}", at=later, denied="403 to GET /organization")
    await run.world.queue.send([denied, denied, Outgoing(MEMBERS, b"{}", at=later)])
    async with browser(run) as page:
        shown = (await page.get("/health/queues")).text
        queues = {each["queue"]: each for each in (await page.get("/api/overview")).json()["queues"]}
    assert "2 messages of onboarding wait for a permission: 403 to GET /organization" in shown
    assert "of members wait" not in shown
    assert {name: (queues[name]["denied"], queues[name]["denial"]) for name in (ONBOARDING, MEMBERS)} == {
        ONBOARDING: (2, "403 to GET /organization"),
        MEMBERS: (0, None),
    }


async def test_readers_see_no_dead_letter() -> None:
    run, _ = await licensed()
    reason = "no account for E-4711"
    await run.world.stores.dead_letters.keep(DeadLetter("1" * 32, ONBOARDING, b"{}", reason, run.world.clock.now()))
    async with browser(run) as page, browser(run, READER) as reading:
        assert reason in (await page.get("/deadLetters")).text
        assert reason not in (await reading.get("/health")).text
        assert (await reading.get("/deadLetters")).status_code == 403


async def test_a_wrong_clock_is_shown_with_what_to_do() -> None:
    run, _ = await licensed()
    async with browser(run) as page:
        assert "The clock of this machine" not in (await page.get("/health")).text
        run.fakes.clock.is_ahead = timedelta(minutes=10)
        shown = (await page.get("/health")).text
        assert "The clock of this machine is 600 s ahead of Microsoft Graph" in shown
        assert (await page.get("/api/overview")).json()["clockAheadSeconds"] == 600


async def test_a_country_that_is_not_known_is_shown_with_what_to_do() -> None:
    run, _ = await licensed()
    async with browser(run) as page:
        assert (await page.get("/api/overview")).json()["country"] == "DE"
        assert "Country is not known" not in (await page.get("/health")).text
        run.directory._organization = Organization("tenant", "Fabrikam", None)
        assert (await page.get("/api/overview")).json()["country"] is None
        shown = (await page.get("/health")).text
    assert "Country is not known" in shown
    assert "default usage location" in shown


async def test_protected_people_are_counted_with_the_time_and_fault_of_the_last_read() -> None:
    run, _ = await licensed()
    ada, ben = user(1), user(2)
    run.protect(ada, ben)
    async with browser(run) as page:
        shown, answer = (await page.get("/health")).text, (await page.get("/api/overview")).json()
        assert "Protected people" in shown
        assert answer["protectedPeople"] == {
            "required": True, "count": 2, "lastReadDateTime": "2026-01-05T09:00:00Z", "fault": None
        }  # fmt: skip
        listed = await run.world.stores.protected_people.load()
        await run.world.stores.protected_people.save(replace(listed, fault="403 Forbidden"))
        shown, answer = (await page.get("/health")).text, (await page.get("/api/overview")).json()
        assert "The last list stays in force: 403 Forbidden" in shown
        assert answer["protectedPeople"]["fault"] == "403 Forbidden"
        assert ada not in shown


async def test_removals_wait_until_the_list_of_protected_people_has_been_read_once() -> None:
    run, _ = await licensed()
    run.fakes.tables.place("protectedpeople", "list", "read", body='{"readAt": null, "fault": "403 Forbidden"}')
    run.later(minutes=2)
    async with browser(run) as page:
        shown = (await page.get("/health")).text
        assert "All removals wait until the list has been read once: 403 Forbidden" in shown
        assert (await page.get("/api/overview")).json()["protectedPeople"]["lastReadDateTime"] is None


async def test_without_protected_roles_and_groups_there_is_no_list_to_read() -> None:
    run, _ = await licensed()
    policy = replace(run.world.policy, protected_roles=False, protected_accounts=frozenset({user(1)}))
    run.world = replace(run.world, policy=policy)
    run.fakes = replace(run.fakes, world=run.world)
    async with browser(run) as page:
        assert "1 by PROTECTED_ACCOUNTS" in (await page.get("/health")).text
        answer = (await page.get("/api/overview")).json()["protectedPeople"]
        assert (answer["required"], answer["count"]) == (False, 1)


async def test_what_limits_hr_is_shown() -> None:
    run, _ = await licensed()
    await run.world.stores.profiles.save(Profile("sales", groups=(GroupId("elsewhere"),)))
    async with browser(run) as page:
        observed = "profiles name groups that ONBOARDING_GROUPS does not: sales"
        assert f"HR is limited: {observed}" in (await page.get("/health")).text
        assert (await page.get("/api/overview")).json()["hrLimits"] == [observed]
        (known,) = await run.world.stores.profiles.all()
        await run.world.stores.profiles.remove(known)
        assert "HR is limited" not in (await page.get("/health")).text
        assert (await page.get("/api/overview")).json()["hrLimits"] == []
