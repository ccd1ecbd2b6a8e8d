"""How many requests to tables each view sends: as many in a large tenant as in a small one."""

from __future__ import annotations

from urllib.parse import urlencode

from shared.domain.grant import Source, SourceKind
from shared.domain.pending_removal import PendingRemoval
from shared.domain.permit import Claim
from shared.handlers.maintenance.person import erase_person
from shared.handlers.views import license_center, queries
from shared.handlers.views.queries import MOST_REMOVALS
from tests.support import addresses
from tests.support.filled import Filled, Place, Size, fill
from tests.support.pages import browser, send
from tests.support.runs import EXTRA, LARGE, MIA, SMALL, TEAM, Run, user

SMALL_TENANT, LARGE_TENANT = Size(60, 60, 400, 40), Size(2400, 240, 4000, 300)
"""At both sizes a page of each table is full, and the large one has more than two answers of the service in each."""

PERSON = user(1)


async def filled(size: Size) -> tuple[Run, Filled]:
    run = Run()
    run.people(3)
    like = await run.change([SMALL])
    products = tuple(sku.sku_id for sku in (SMALL, LARGE, EXTRA))
    found = await fill(run.world.stores, size, Place(TEAM, SMALL.sku_id, products, PERSON, like), run.world.clock.now())
    run.directory.add_group(found.native)
    return run, found


async def requests(size: Size) -> dict[str, int]:
    """Of each view by its name. The first call of each fills caches, and is not counted."""
    run, found = await filled(size)
    of = (TEAM, found.native, SMALL.sku_id, PERSON, found.preview)
    tables, counts = run.fakes.tables, dict[str, int]()
    async with browser(run) as page:
        for name, path in (addresses.pages(*of) | addresses.collections(*of)).items():
            headers = {"accept": "application/json"} if path.startswith("/api/") else {}
            for _ in range(2):
                tables.requests = 0
                answer = await page.get(path, headers=headers)
                assert answer.status_code == 200, (name, answer.text)
            counts[name] = tables.requests
        for name, (path, fields) in addresses.forms(TEAM, SMALL.sku_id).items():
            for _ in range(2):
                tables.requests = 0
                assert (await send(page, path, urlencode(fields))).status_code in (200, 303), name
            counts[name] = tables.requests
    return counts


async def test_no_view_sends_more_requests_in_a_large_tenant_than_in_a_small_one() -> None:
    small, large = await requests(SMALL_TENANT), await requests(LARGE_TENANT)
    assert {name: (small[name], number) for name, number in large.items() if number > small[name]} == {}
    # The list over all groups reads the list of each group that it shows.
    assert {name for name, number in large.items() if number > 20} <= {"license errors, a cause"}


async def test_a_person_is_read_in_the_groups_of_that_person_only() -> None:
    run, found = await filled(SMALL_TENANT)
    run.directory.leave(TEAM, PERSON)
    await run.reconcile(PERSON, cause="left")
    shown = await license_center.person(run.world, PERSON)
    assert [(row.group_id, row.left) for row in shown.rows] == [(TEAM, True)]
    run.fakes.tables.requests = 0
    await license_center.person(run.world, PERSON)
    assert run.fakes.tables.requests < len(found.others)
    assert run.fakes.tables.rows("members", "left-") == 1
    await erase_person(run.world, PERSON, MIA)
    assert run.fakes.tables.rows("members", "left-") == 0


async def test_a_group_that_everybody_leaves_is_shown_without_reading_every_removal() -> None:
    run = Run()
    run.people(3)
    await run.change([SMALL])
    now, source = run.world.clock.now(), Source(SourceKind.GROUP, TEAM)
    due = [PendingRemoval(Claim(source), user(number), SMALL.sku_id, now) for number in range(MOST_REMOVALS + 2000)]
    await run.world.stores.removals.note(str(source), due)
    run.fakes.tables.requests = 0
    view = await queries.group_status(run.world, TEAM)
    assert (view.pending_removals, view.more_removals) == (MOST_REMOVALS, True)
    assert run.fakes.tables.requests <= 10
    async with browser(run) as page:
        assert "4,999 or more removals wait" in (await page.get(f"/groups/{TEAM}")).text
