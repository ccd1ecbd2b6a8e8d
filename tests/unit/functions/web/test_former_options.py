"""Restoring the former assignment of a group: options stay as those who configure have set them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from shared.domain.assignment import AssignmentOptions
from tests.support.api_calls import claims_of, session, token
from tests.support.hires import Hires, team
from tests.support.hr_calls import call
from tests.support.runs import EXTRA, TEAM

CHANGE = {"addLicenses": [{"skuId": EXTRA.sku_id, "disabledPlans": []}], "removeLicenses": []}
WRITE = ["Licensing.Write"]
CONFIGURE = ["Licensing.Write", "Licensing.Configure"]


async def asked(run: Hires, roles: list[str], **more: Any) -> str:
    """The id of a request on the team that is under way."""
    answer = await call(
        run, "POST", f"/api/groups/{TEAM}/assignLicense", token(claims_of(roles=roles)), json={**CHANGE, **more}
    )
    assert answer.status_code == 202
    return str(answer.json()["id"])


async def options(run: Hires) -> AssignmentOptions:
    stored = await run.world.stores.assignments.get(TEAM)
    assert stored is not None
    return stored.assignment.options


async def go_back(run: Hires, operation: str, roles: list[str], *, page: bool) -> int:
    if not page:
        path, who = f"/api/operations/{operation}/cancel", token(claims_of(roles=roles))
        return int((await call(run, "POST", path, who, json={"assignment": "restore"})).status_code)
    who = {**session(claims_of(roles=roles)), "sec-fetch-site": "same-origin"}
    path = f"/operations/{operation}/cancel"
    return int((await call(run, "POST", path, who, data={"intent": "former"})).status_code)


@pytest.mark.parametrize("page", [False, True])
async def test_going_back_leaves_options_that_were_set_beside_the_operation(page: bool) -> None:
    run = await team(size=2)
    operation = await asked(run, WRITE)
    path, who = f"/api/groups/{TEAM}/licenseAssignment", token(claims_of(roles=CONFIGURE))
    assert (await call(run, "PATCH", path, who, json={"grace": "P30D"})).status_code == 200
    assert await go_back(run, operation, WRITE, page=page) in (202, 303)
    assert (await options(run)).grace == timedelta(days=30)
    stored = await run.world.stores.assignments.get(TEAM)
    assert stored is not None
    assert stored.assignment.sku(EXTRA.sku_id) is None


@pytest.mark.parametrize("page", [False, True])
async def test_going_back_to_other_options_needs_the_right_to_set_them(page: bool) -> None:
    run = await team(size=2)
    operation = await asked(run, CONFIGURE, options={"grace": "P30D"})
    assert await go_back(run, operation, WRITE, page=page) == 403
    assert (await options(run)).grace == timedelta(days=30)
    assert await go_back(run, operation, CONFIGURE, page=page) in (202, 303)
    assert (await options(run)).grace == timedelta(0)
