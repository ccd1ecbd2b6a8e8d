"""What callers without a role for HR learn about people: nothing of events that are planned."""

from __future__ import annotations

from typing import Any

import pytest

from shared.domain.initiator import Initiator
from shared.handlers.messaging import dead_letters
from shared.handlers.onboarding import administration
from shared.handlers.onboarding.announced import announced_leavers, approve_announced
from tests.support.api_calls import claims_of, token
from tests.support.hires import Hires, event
from tests.support.hr_calls import call
from tests.support.runs import TEAM, user

MIA = Initiator("mia", "Mia")
HELPDESK = "729827e3-9c14-49f7-bb1b-9608f156bbb8"


async def planned() -> Hires:
    """Two planned leavers that were approved, one of which was cancelled, and a broken event that was sent again."""
    run = await Hires.of_two_teams()
    for number in (1, 2):
        run.directory.add_user(user(number))
        await run.notify(event("joiner", f"j{number}", user(number), groups=[TEAM]))
        await run.notify(event("leaver", f"planned-{number}", user(number), on="2026-06-01"))
    listed = await announced_leavers(run.world)
    assert await approve_announced(run.world, listed.checksum, MIA) == 2
    await administration.cancel(run.world, (await run.record("planned-2")).key, MIA)
    await run.notify(event("leaver", "broken", {"userPrincipalName": "planned leaver"}, on="2026-06-01"))
    (dead_letter,) = (await run.world.stores.dead_letters.page(10))[0]
    await dead_letters.replay(run.world, dead_letter.id, MIA)
    return run


@pytest.mark.parametrize(
    ("claims", "path"),
    [
        ({"roles": ["Licensing.Read"]}, "/api/audit?since=2026-01-01T00:00:00Z"),
        ({"roles": ["Licensing.Read"]}, "/audit.csv?since=2026-01-01"),
        ({"roles": ["Licensing.Read"]}, "/audit"),
        ({"roles": ["Licensing.Read"]}, "/health"),
        ({"roles": ["Licensing.Read"]}, f"/api/users/{user(1)}"),
        ({"wids": [HELPDESK]}, f"/api/users/{user(1)}"),
        ({"wids": [HELPDESK]}, f"/users/{user(2)}"),
    ],
)
async def test_readers_do_not_learn_of_planned_leavers_from_what_people_decided(
    claims: dict[str, Any], path: str
) -> None:
    run = await planned()
    answer = await call(run, "GET", path, token(claims_of(**claims)))
    assert answer.status_code == 200
    assert "planned" not in answer.text


async def test_the_audit_log_names_the_event_by_the_key_that_readers_of_hr_look_up() -> None:
    run = await planned()
    answer = await call(run, "GET", "/api/audit?since=2026-01-01T00:00:00Z", token(claims_of(roles=["Licensing.Read"])))
    key = (await run.record("planned-1")).key
    entries = [each for each in answer.json()["value"] if f"event {key}" in str(each)]
    assert len(entries) == 1
    assert str(user(1)) not in str(entries)
    reader = token(claims_of(roles=["Onboarding.Read"]))
    assert (await call(run, "GET", f"/api/onboarding/{key}", reader)).json()["eventId"] == "planned-1"
