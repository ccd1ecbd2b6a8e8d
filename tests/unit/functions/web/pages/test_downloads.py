"""Downloads: the content of the page, and no cell that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
import re

import pytest

from functions.web.pages.downloads import csv_text
from tests.support.pages import browser, licensed
from tests.support.runs import TEAM


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


async def test_downloads_hold_what_is_shown() -> None:
    run, _ = await licensed()
    async with browser(run) as page:
        audit = await page.get("/audit.csv")
        lines = await page.get(f"/audit.jsonl?group={TEAM}")
        members = await page.get(f"/groups/{TEAM}/members.csv?show=all")
    assert "attachment" in audit.headers["content-disposition"]
    assert len(members.text.splitlines()) == 4
    assert all(f'"groupId": "{TEAM}"' in line for line in lines.text.splitlines())
