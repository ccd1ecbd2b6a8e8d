"""Commands on groups that Microsoft's licensing licenses: read, diagnose, and reprocess their members in error."""

from __future__ import annotations

import asyncio
from uuid import UUID

from shared.domain.ids import GroupId
from shared.domain.write_results import Rejected
from shared.handlers.membership.watching import watch_all
from tests.support.cli import Cli
from tests.support.runs import LARGE, Run, user

DRAWERS = GroupId(str(UUID(int=78)))
NAME = f"Group {DRAWERS}"
REASON = "License assignment failed because service plans a, b are mutually exclusive"


def watched(run: Run) -> None:
    """A watched group of two, one of them in error."""
    for number in (1, 2):
        run.directory.add_user(user(number))
    run.fakes.native.license(DRAWERS, LARGE.sku_id, members=[user(1), user(2)])
    run.fakes.native.give(user(1), DRAWERS, "MutuallyExclusiveViolation", LARGE.sku_id)

    async def read() -> None:
        await watch_all(run.world)
        await run.work_off()

    asyncio.run(read())


def test_a_group_is_read_now_and_listed(run: Run, cli: Cli) -> None:
    watched(run)
    done = cli("group", "read", NAME)
    assert (done.code, "are read now" in done.err) == (0, True)
    (row,) = cli("group", "list", "-o", "json").json
    assert (row["displayName"], row["engine"]) == (NAME, "watched")


def test_a_watched_group_shows_its_engine_and_its_products(run: Run, cli: Cli) -> None:
    watched(run)
    shown = cli("group", "show", NAME).out
    assert ("watched" in shown, "LARGE" in shown, "Removals today" in shown) == (True, True, False)


def test_a_diagnosis_shows_the_reason_of_graph_and_needs_a_yes(run: Run, cli: Cli) -> None:
    watched(run)
    run.fakes.native.answer = lambda user_id: Rejected(400, "Request_BadRequest", REASON)
    asked = cli("group", "diagnose", NAME, user(1))
    assert (asked.code, "--yes" in asked.err) == (1, True)
    done = cli("group", "diagnose", NAME, user(1), "--yes", "-o", "json")
    assert (done.code, done.json["diagnosis"]["message"]) == (0, REASON)
    assert "mutually exclusive" in cli("group", "diagnose", NAME, user(1), "--yes").out


def test_members_in_error_are_reprocessed_by_cause(run: Run, cli: Cli) -> None:
    watched(run)
    done = cli("group", "reprocess-errors", NAME, "--error", "MutuallyExclusiveViolation", "--yes", "-o", "json")
    assert (done.code, done.json["error"]) == (0, "MutuallyExclusiveViolation")
    wrong = cli("group", "reprocess-errors", NAME, "--error", "Nothing", "--yes")
    assert (wrong.code, "error" in wrong.err) == (1, True)


def test_a_group_is_managed_natively_and_a_product_takes_the_place_of_another(run: Run, cli: Cli) -> None:
    watched(run)
    for each in (user(1), user(2)):
        run.fakes.native.give(each, DRAWERS)
    assert cli("group", "manage-natively", NAME).code == 1
    done = cli("group", "manage-natively", NAME, "--yes", "-o", "json")
    assert (done.code, done.json["engine"]) == (0, "native")
    swapped = cli("group", "swap", NAME, "LARGE", "SMALL", "--yes")
    assert swapped.code == 0, swapped.err
    assert [(len(add), len(remove)) for _, add, remove in run.fakes.native.group_calls] == [(1, 1)]
    done = cli("group", "stop-managing-natively", NAME, "--yes", "-o", "json")
    assert (done.code, done.json["engine"]) == (0, "watched")
    again = cli("group", "stop-managing-natively", NAME, "--yes")
    assert (again.code, "SKU" in again.err) == (0, False)
