"""A decision about something that has changed since it was read gets one answer, wherever it is taken."""

from __future__ import annotations

from typing import Any

import pytest

from shared.domain.profiles import Profile
from shared.handlers.onboarding.profiles import save_profile
from tests.support.api_calls import another, claims_of, session
from tests.support.hires import event, team
from tests.support.hr_calls import call
from tests.support.runs import MIA, SMALL, TEAM, user

STALE = {"checksum": "0" * 64}
ALL = {
    **session(another(claims_of(roles=["Licensing.Write", "Licensing.Approve", "Licensing.Configure"]))),
    "sec-fetch-site": "same-origin",
}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/operations/{operation}/approve", STALE),
        ("/operations/{operation}/approve", STALE),
        ("/operations/{preview}/confirm", STALE),
        ("/api/onboarding/held/approve", STALE),
        ("/api/onboarding/held/reject", STALE),
        ("/onboarding/held/approve", STALE),
        ("/api/onboarding/announced/approve", STALE),
        ("/onboarding/announced/approve", STALE),
        ("/api/onboarding/proposals/sales/approve", {"version": 'W/"0"'}),
        ("/api/onboarding/proposals/sales/reject", {"version": 'W/"0"'}),
        ("/onboarding/profiles/sales/approve", {"version": 'W/"0"'}),
        (f"/api/groups/{TEAM}/assignLicense", {"approvedPreview": {**STALE, "id": "{preview}"}}),
    ],
)
async def test_a_checksum_or_version_that_is_not_current_is_a_conflict(path: str, body: dict[str, Any]) -> None:
    run = await team(size=90)
    await run.send(*(event("leaver", f"l{n}", user(n), on="2026-01-01", removal="P0D") for n in range(1, 41)))
    await run.notify(event("leaver", "later", user(41), on="2027-01-01"))
    await save_profile(run.world, Profile("sales", groups=(TEAM,)), MIA, None)
    preview = await run.finish(await run.ask(remove=[SMALL], preview=True))
    operation = await run.finish(await run.ask(remove=[SMALL]), approve=False)
    ids = {"{preview}": preview.id, "{operation}": operation.id}
    for name, found in ids.items():
        path = path.replace(name, found)
    if "approvedPreview" in body:
        body = {"addLicenses": [], "removeLicenses": [SMALL.sku_id], "approvedPreview": {**STALE, "id": preview.id}}
    sent = {"json": body} if path.startswith("/api/") else {"data": body}
    answer = await call(run, "POST", path, {**ALL, "accept": "application/json"}, **sent)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "Conflict")
