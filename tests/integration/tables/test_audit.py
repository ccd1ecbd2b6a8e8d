"""The audit log and what is shown beside it against Azurite: newest first, and searched page by page."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shared.adapters.tables.audit import TableAudit
from shared.adapters.tables.client import Tables
from shared.domain.dead_letters import BulkAct, BulkKind, DeadLetterSelection
from shared.domain.errors import BadRequest, Conflict
from shared.domain.group_status import GroupState, GroupStatus
from shared.domain.ids import GroupId, new_id
from shared.domain.initiator import Initiator
from shared.domain.member_counts import ProductCounts
from shared.domain.read_models import AuditEntry, AuditFilter, DeadLetter
from shared.ports.world import Stores
from tests.support.builders import audited
from tests.support.table_rows import E3, NOW, OPERATION, SALES, user

MIA, ADA = Initiator("mia", "Mia"), Initiator("ada", "Ada")


async def test_status_audit_and_dead_letters_come_back_newest_first(stores: Stores) -> None:
    counts, products = {"Active": 6, "Error": 1}, {E3: ProductCounts(6, 0, 1)}
    status = GroupStatus(SALES, GroupState.ERRORS, 7, counts, products, 7, True, OPERATION, NOW, dynamic=True)
    saved = await stores.group_status.save(status)
    assert saved.version
    assert await stores.group_status.get(SALES) == status
    assert await stores.group_status.all() == (status,)
    again = await stores.group_status.save(replace(saved, members=8))
    for stale in (status, saved):
        with pytest.raises(Conflict):
            await stores.group_status.save(stale)
    assert await stores.group_status.get(SALES) == again
    entries = [
        AuditEntry(
            f"id{n}", NOW + timedelta(seconds=n), "Change user license", MIA, "success", user(n), SALES, OPERATION
        )
        for n in range(45)
    ]
    await stores.audit.append(entries)
    await stores.audit.append(entries[:3])
    assert await audited(stores, "202603") == tuple(reversed(entries))
    times = [NOW + timedelta(minutes=n) for n in (1, 2)]
    dead_letters = [DeadLetter(new_id(at, "0" * 20), "jobs", b"x" * 200_000, "why", at) for at in times]
    for dead_letter in dead_letters:
        await stores.dead_letters.keep(dead_letter)
    assert (await stores.dead_letters.page(5))[0] == tuple(reversed(dead_letters))
    newest, place = await stores.dead_letters.page(1)
    assert (newest, await stores.dead_letters.page(1, place)) == ((dead_letters[1],), ((dead_letters[0],), None))
    assert (await stores.dead_letters.page(5, wanted=DeadLetterSelection(queue="members"))) == ((), None)
    assert (await stores.dead_letters.page(5, wanted=DeadLetterSelection(until=times[1])))[0] == (dead_letters[0],)
    assert (await stores.dead_letters.page(5, wanted=DeadLetterSelection(since=times[1])))[0] == (dead_letters[1],)
    assert (await stores.dead_letters.count(), await stores.dead_letters.get(dead_letters[0].id)) == (
        2,
        dead_letters[0],
    )
    act = BulkAct(new_id(NOW, "0" * 20), BulkKind.DELETE, DeadLetterSelection("jobs", "", "a", NOW, NOW), MIA, NOW, NOW)
    begun = await stores.dead_letters.begin(act)
    assert await stores.dead_letters.open_acts() == (begun,)
    doing = await stores.dead_letters.save_act(begun.began_step((dead_letters[0].id,), None))
    ended = await stores.dead_letters.save_act(doing.ended_step(0, NOW))
    assert (await stores.dead_letters.open_acts(), await stores.dead_letters.acts(5)) == ((), ((ended,), None))
    with pytest.raises(Conflict):
        await stores.dead_letters.save_act(begun)


async def test_a_search_of_the_audit_log_pages_through_what_passes_newest_first(stores: Stores) -> None:
    def entry(n: int, who: int, group: GroupId | None = SALES) -> AuditEntry:
        return AuditEntry(
            f"a{n:03}", NOW + timedelta(seconds=n), "Change user license", MIA, "success", user(who), group
        )

    log = [entry(n, n % 50) for n in range(100)] + [entry(100, 7, None), entry(101, 8, GroupId("f" * 36))]
    for at in range(0, len(log), 10):
        await stores.audit.append(log[at : at + 10])
    await stores.audit.append(log[90:100])
    since, until = NOW, NOW + timedelta(hours=1)

    async def all_of(wanted: AuditFilter, top: int, **time: datetime) -> list[str]:
        found: list[AuditEntry] = []
        after: str | None = None
        for _ in range(200):
            page, after = await stores.audit.search(
                wanted, time.get("since", since), time.get("until", until), top, after
            )
            assert len(page) <= top
            found += page
            if after is None:
                return [each.id for each in found]
        raise AssertionError("the pages do not end")

    newest_first = [each.id for each in reversed(log)]
    assert await all_of(AuditFilter(), 7) == newest_first
    assert await all_of(AuditFilter(), 1000) == newest_first
    assert await all_of(AuditFilter(user_id=user(7)), 2) == ["a100", "a057", "a007"]
    assert await all_of(AuditFilter(group_id="f" * 36), 5) == ["a101"]
    assert await all_of(AuditFilter(user_id=user(60)), 5) == []
    assert await all_of(AuditFilter(initiator="mia", activity="user license", group_id=SALES), 9) == newest_first[2:]
    assert await all_of(AuditFilter(initiator="somebody"), 9) == []
    middle = {"since": NOW + timedelta(seconds=20), "until": NOW + timedelta(seconds=29)}
    assert await all_of(AuditFilter(), 3, **middle) == newest_first[72:82]
    with pytest.raises(BadRequest, match="skiptoken"):
        await stores.audit.search(AuditFilter(), since, until, 5, "x/y")


async def test_a_search_over_very_many_entries_goes_on_where_it_stopped(tables: Tables) -> None:
    audit = TableAudit(tables, lambda: NOW, checked=3)
    rows = [AuditEntry(f"b{n}", NOW + timedelta(minutes=n), "Act", MIA if n else ADA, "success") for n in range(8)]
    for row in rows:
        await audit.append([row])
    pages: list[list[str]] = []
    after: str | None = None
    for _ in range(4):
        page, after = await audit.search(AuditFilter(initiator="Ada"), NOW, NOW + timedelta(days=1), 5, after)
        pages.append([each.id for each in page])
        if after is None:
            break
    assert pages == [[], [], ["b0"]]
