"""The list of members without a license over all groups: pages, filters, and groups that cannot have any."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.domain.assignment import GroupLicenseAssignment
from shared.domain.directory import LicenseError
from shared.domain.errors import BadRequest
from shared.domain.group_status import GroupState, GroupStatus
from shared.domain.ids import GroupId
from shared.domain.member_status import MemberState
from shared.domain.outcomes import Problem
from shared.domain.read_models import MemberFilter, MemberRow
from shared.handlers.views.missing_licenses import MOST_READS, members_with_errors
from tests.support.pages import browser
from tests.support.runs import EXTRA, OTHER_TEAM, SMALL, TEAM, Run, user


async def filled() -> Run:
    """Two groups: three members without a seat of SMALL, and two with a conflict of EXTRA, one of them in both."""
    run = Run()
    await run.change([SMALL])
    stored = await run.world.stores.assignments.get(TEAM)
    assert stored is not None
    other = replace(stored.assignment, group_id=OTHER_TEAM, display_name="Other team")
    await run.world.stores.assignments.save(other, None)
    for group_id, numbers, error, sku in (
        (TEAM, (1, 2, 3), LicenseError.COUNT_VIOLATION, SMALL),
        (OTHER_TEAM, (3, 4), LicenseError.MUTUALLY_EXCLUSIVE, EXTRA),
    ):
        problem = Problem(error, "why", "Buy one.", sku.sku_id)
        now = run.world.clock.now()
        await run.world.stores.members.record(
            MemberRow(group_id, user(n), f"u{n}@x.example", f"User {n}", MemberState.ERROR, now, (problem,))
            for n in numbers
        )
    return run


async def listed(run: Run, top: int, wanted: MemberFilter, group: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    token: str | None = None
    while True:
        rows, token = await members_with_errors(run.world, top, token, wanted, group)
        assert len(rows) <= top
        found += [(row.group_id, row.user_id) for row in rows]
        if token is None:
            return found


ALL = [(TEAM, user(1)), (TEAM, user(2)), (TEAM, user(3)), (OTHER_TEAM, user(3)), (OTHER_TEAM, user(4))]


@pytest.mark.parametrize("top", [1, 2, 3, 4, 100])
async def test_pages_of_any_size_have_every_member_once_for_each_group(top: int) -> None:
    run = await filled()
    assert await listed(run, top, MemberFilter()) == ALL
    assert await listed(run, top, MemberFilter(sku_id=EXTRA.sku_id)) == ALL[3:]
    assert await listed(run, top, MemberFilter(error=LicenseError.COUNT_VIOLATION)) == ALL[:3]
    assert await listed(run, top, MemberFilter(), OTHER_TEAM) == ALL[3:]


async def test_a_group_whose_counts_show_no_error_is_not_read() -> None:
    run = await filled()
    status = GroupStatus(TEAM, GroupState.ALL_ASSIGNED, counts={MemberState.ACTIVE: 3}, version="")
    before = await run.world.stores.group_status.get(TEAM)
    await run.world.stores.group_status.save(replace(status, version=before.version if before else ""))
    assert await listed(run, 100, MemberFilter()) == ALL[3:]


async def test_one_page_reads_a_limited_number_of_groups() -> None:
    run = await filled()
    for number in range(MOST_READS):
        await run.world.stores.assignments.save(GroupLicenseAssignment(GroupId(user(number)), version=1), None)
    rows, token = await members_with_errors(run.world, 10, None)
    assert (rows, token) == ((), f"{TEAM}~")
    assert await listed(run, 10, MemberFilter()) == ALL


async def test_a_token_of_another_list_is_rejected() -> None:
    run = await filled()
    with pytest.raises(BadRequest):
        await members_with_errors(run.world, 10, "2-1")


async def test_the_page_the_file_and_the_api_show_the_same() -> None:
    run = await filled()
    async with browser(run) as page:
        shown = (await page.get("/licenseErrors")).text
        of_product = (await page.get(f"/licenseErrors?product={EXTRA.sku_id}&error=&group=")).text
        file = await page.get(f"/licenseErrors.csv?group={OTHER_TEAM}")
        api = {"accept": "application/json"}
        first = (await page.get("/api/membersWithLicenseErrors?$top=4", headers=api)).json()
        second = (await page.get(first["@odata.nextLink"], headers=api)).json()
        wrong = await page.get("/licenseErrors?after=nonsense")
    assert shown.count("Buy one.") == 5 and of_product.count("Buy one.") == 2
    assert file.text.splitlines()[1].startswith(f'"Other team","{OTHER_TEAM}","{user(3)}","User 3"')
    assert "License-errors" in file.headers["content-disposition"] and len(file.text.splitlines()) == 3
    assert [(each["groupId"], each["id"]) for each in first["value"] + second["value"]] == ALL
    assert wrong.status_code == 400
