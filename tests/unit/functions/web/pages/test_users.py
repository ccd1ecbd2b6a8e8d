"""Pages of users: their licenses and their history."""

from __future__ import annotations

from tests.support.pages import browser
from tests.support.runs import SMALL, Run


async def test_a_user_s_history_stands_beside_the_licenses_and_is_of_nobody_else() -> None:
    run = Run()
    first, second = run.people(2)
    await run.change([SMALL])
    async with browser(run) as page:
        shown = (await page.get(f"/api/users/{first}", headers={"accept": "application/json"})).json()
        run.later(days=8)
        later = (await page.get(f"/api/users/{second}", headers={"accept": "application/json"})).json()
    assert {each["userId"] for each in shown["history"]} == {first}
    assert [each["activityDisplayName"] for each in shown["history"]] == ["Change user license"]
    assert (later["history"], len(later["licenses"])) == ([], 1)
