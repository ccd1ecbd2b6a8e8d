"""Downloads: the content of the page, and no cell that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncIterator

import pytest
from starlette.responses import StreamingResponse

from functions.web.pages.downloads import csv_text, file_name, streamed_csv
from shared.domain.directory import LicenseError
from shared.domain.errors import Unavailable
from shared.domain.member_status import MemberState
from shared.domain.outcomes import Problem
from shared.domain.read_models import MemberRow
from tests.support.pages import browser, licensed
from tests.support.runs import SMALL, TEAM, user


@pytest.mark.parametrize(
    "cell",
    [
        "=1+1",
        "+1",
        "-1",
        "@x",
        "\t=1",
        "\r=1",
        '"=1',
        " =1",
        "''+1",
        "\uff1d1",
        "x;=1",
        "x,@y",
        "x\n=1",
        "x;  -1",
        '";"=1',
    ],
)
def test_no_cell_of_a_download_is_run_by_a_spreadsheet_whatever_parts_its_cells(cell: str) -> None:
    text = csv_text(["a", "b"], [["x", cell], [cell, "x"]]).removeprefix("\ufeff")
    for piece in re.split(r"[,;\t\r\n]", text):
        assert piece.strip(' "')[:1] not in {"=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20"}, text


def test_plain_cells_of_a_download_stay_as_they_are() -> None:
    cells = [
        "Ada Lovelace",
        "ada-x+y@contoso.example",
        "2026-11-25 10:00:00",
        "a, b; c",
        "No seat: buy one.",
        "ä=b",
        "",
    ]
    (_, row) = csv.reader(io.StringIO(csv_text(["a"] * len(cells), [cells])))
    assert row == cells


async def test_a_large_group_is_downloaded_whole_with_product_state_since_and_remedy() -> None:
    run, _ = await licensed()
    now = run.world.clock.now()
    no_license = Problem(LicenseError.COUNT_VIOLATION, "text", "Buy more.", SMALL.sku_id)
    await run.world.stores.members.record(
        MemberRow(
            TEAM,
            user(number),
            f"u{number}@x",
            f"U {number}",
            MemberState.ACTIVE if number % 100 else MemberState.WAITING,
            now,
            () if number % 100 else (no_license,),
            sku_ids=(SMALL.sku_id,) if number % 100 else (),
        )
        for number in range(1, 20_001)
    )
    async with browser(run) as page:
        answer = await page.get(f"/groups/{TEAM}/members.csv?show=all")
        waiting = await page.get(f"/groups/{TEAM}/members.csv?show=Waiting")
    rows = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert len({row["id"] for row in rows}) == len(rows) == 20_000
    found = next(row for row in rows if row["id"] == user(100))
    assert (found["state"], found["product"], found["remedy"]) == ("Waiting", "SMALL", "Buy more.")
    assert {(row["state"], row["product"]) for row in rows} == {("Waiting", "SMALL"), ("Active", "SMALL")}
    assert found["since"] == f"{now:%Y-%m-%d %H:%M:%S}"
    assert len(waiting.text.splitlines()) == 201
    assert f"Group-{TEAM}-Waiting-for-a-seat-{now:%Y-%m-%d}.csv" in waiting.headers["content-disposition"]


async def test_the_download_says_since_when_a_member_has_the_state() -> None:
    run, _ = await licensed()
    began = run.world.clock.now()
    run.later(days=2)
    await run.change(reprocess=True)
    late = run.directory.add_user(user(9), groups=[TEAM])
    await run.reconcile(late)
    joined = run.world.clock.now()
    async with browser(run) as page:
        text = (await page.get(f"/groups/{TEAM}/members.csv?show=all")).text.removeprefix("\ufeff")
    since = {row["id"]: row["since"][:10] for row in csv.DictReader(io.StringIO(text))}
    assert since == {**{user(n): f"{began:%Y-%m-%d}" for n in (1, 2, 3)}, late: f"{joined:%Y-%m-%d}"}


async def test_a_download_that_cannot_be_read_to_its_end_is_an_error() -> None:
    pages = 0

    async def some() -> AsyncIterator[list[list[str]]]:
        nonlocal pages
        yield [["a"]]
        pages += 1
        raise Unavailable(5.0, "the table is away")

    answer = streamed_csv("x.csv", ["a"], some())
    assert isinstance(answer, StreamingResponse)
    with pytest.raises(Unavailable):
        _ = [part async for part in answer.body_iterator]
    assert pages == 1


def test_a_file_is_named_for_its_content_whatever_a_group_is_called() -> None:
    assert file_name("Sales EMEA", "errors and waiting", "2026-11-30") == "Sales-EMEA-errors-and-waiting-2026-11-30.csv"
    assert file_name('a"b/../\r\nc', "x") == "a-b-c-x.csv"
    header = streamed_csv(file_name("Büro", "x"), [], _nothing()).headers["content-disposition"]
    assert header == "attachment; filename=\"Bro-x.csv\"; filename*=UTF-8''B%C3%BCro-x.csv"


async def _nothing() -> AsyncIterator[list[list[str]]]:
    for page in list[list[list[str]]]():
        yield page


async def test_downloads_hold_what_is_shown() -> None:
    run, _ = await licensed()
    async with browser(run) as page:
        audit = await page.get("/audit.csv")
        lines = await page.get(f"/audit.jsonl?group={TEAM}")
        members = await page.get(f"/groups/{TEAM}/members.csv?show=all")
    assert "attachment" in audit.headers["content-disposition"]
    assert len(members.text.splitlines()) == 4
    assert all(f'"groupId": "{TEAM}"' in line for line in lines.text.splitlines())
