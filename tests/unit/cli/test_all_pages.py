"""Every list follows all pages, whatever the size of a page."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.support.cli import Cli
from tests.support.runs import Run

LISTS = (
    ("/api/groups", ("group", "list")),
    ("/api/operations", ("operation", "list")),
    ("/api/approvals", ("approval", "list")),
    ("/api/licenses", ("product", "list")),
    ("/api/onboarding/profiles", ("profile", "list")),
    ("/api/onboarding/proposals", ("profile", "proposals")),
    ("/api/onboarding/held", ("event", "held")),
    ("/api/onboarding/announced", ("event", "announced")),
    ("/api/onboarding", ("event", "list")),
    ("/api/firstContact", ("first-contact", "list")),
    ("/api/deadLetters/bulk", ("dead-letter", "acts")),
    ("/api/audit/search", ("audit", "search", "--by", "mia")),
    ("/api/audit", ("audit", "search")),
    ("/api/membersWithLicenseErrors", ("group", "errors")),
)


@pytest.mark.parametrize(("path", "command"), LISTS, ids=[" ".join(each) for _, each in LISTS])
def test_a_list_follows_all_pages(run: Run, cli: Cli, path: str, command: tuple[str, ...]) -> None:
    asked = []

    def page(request: httpx.Request) -> httpx.Response | None:
        if request.url.path != path:
            return None
        number = int(request.url.params.get("$skiptoken", "0"))
        asked.append(number)
        more: dict[str, Any] = {"count": 3, "checksum": "c"}
        if number < 2:
            more["@odata.nextLink"] = f"https://licensing.example{path}?$skiptoken={number + 1}"
        row = {"id": f"{number}", "state": "Failed", "engine": "direct", "problems": [{}]}
        return httpx.Response(200, json={"value": [row], **more})

    cli.here.before = page
    shown = cli(*command, "-o", "json")
    assert (shown.code, asked) == (0, [0, 1, 2]), shown.err
    assert [each["id"] for each in json.loads(shown.out)] == ["0", "1", "2"]
