"""Commands about HR events and profiles."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.api_calls import another, app_token, claims_of, token
from tests.support.cli import Cli
from tests.support.runs import TEAM, Run, user

ROLES = ["Licensing.ReadWrite"]
SOURCE = "urn:hr:test"


@pytest.fixture
def hr(cli: Cli) -> Cli:
    cli.here.headers = app_token(roles=ROLES)
    cli.variables["SEATKEEPER_EVENT_SOURCE"] = SOURCE
    return cli


def _profile(hr: Cli, tmp_path: Path) -> None:
    file = tmp_path / "sales.json"
    file.write_text(json.dumps({"displayName": "Sales", "match": {"department": ["Sales"]}, "groups": [TEAM]}))
    own, hr.here.headers = dict(hr.here.headers), token(claims_of(roles=ROLES))
    assert hr("profile", "save", "sales", "--file", str(file), "--yes").code == 3
    (waiting,) = hr("profile", "proposals", "-o", "json").json
    hr.here.headers = token(another(claims_of(roles=ROLES)))
    assert hr("profile", "approve", "sales", "--version", waiting["version"], "--yes").code == 0
    hr.here.headers = own


def test_a_profile_is_saved_approved_shown_and_deleted(run: Run, hr: Cli, tmp_path: Path) -> None:
    _profile(hr, tmp_path)
    assert hr("profile", "list", "-o", "json").json[0]["name"] == "sales"
    assert hr("profile", "show", "sales").json["groups"] == [TEAM]
    hr.here.headers = token(claims_of(roles=ROLES))
    assert hr("profile", "delete", "sales", "--yes").code == 3


def test_a_joiner_is_tried_then_sent(run: Run, hr: Cli, tmp_path: Path) -> None:
    _profile(hr, tmp_path)
    upn = f"{run.directory.add_user(user(1))}@fabrikam.example"
    options = ("--user", upn, "--on", "2026-01-01", "--set", "department=Sales")
    tried = hr("event", "joiner", *options, "--dry-run")
    assert (tried.code, "sales" in tried.out, not hr.here.writes[3:]) == (0, True, True)
    sent = hr("event", "joiner", *options, "--yes", "-o", "json")
    assert sent.code == 0, sent.err
    assert hr("event", "show", sent.json["id"]).code == 0
    assert len(hr("event", "list", "-o", "json").json) == 1


def test_a_misspelled_attribute_is_suggested(hr: Cli) -> None:
    shown = hr("event", "joiner", "--employee-id", "1", "--set", "departmnt=Sales", "--yes")
    assert (shown.code, "Did you mean department?" in shown.err) == (1, True)
    assert not hr.here.writes


def test_of_a_file_bad_rows_are_named_and_good_ones_sent(run: Run, hr: Cli, tmp_path: Path) -> None:
    file = tmp_path / "hires.csv"
    file.write_text(
        "type;userPrincipalName;effectiveDate;department\n"
        "joiner;a@fabrikam.example;2026-01-01;Sales\n"
        "joinr;b@fabrikam.example;2026-01-01;Sales\n"
        "joiner;;2026-01-01;Sales\n"
        "joiner;c@fabrikam.example;tomorrow;Sales\n"
        "joiner;d@fabrikam.example;2026-01-01;Sales\n",
        encoding="utf-8-sig",
    )
    checked = hr("event", "import", str(file), "--check", "-o", "json").json
    assert [bool(each["fault"]) for each in checked] == [False, True, True, False, False]
    done = hr("event", "import", str(file), "--yes", "-o", "json")
    assert done.code == 1
    assert [(each["line"], bool(each["fault"])) for each in done.json] == [
        (2, False),
        (3, True),
        (4, True),
        (5, True),
        (6, False),
    ]
    assert "Did you mean joiner?" in done.json[1]["fault"]
    again = hr("event", "import", str(file), "--yes", "-o", "json").json
    assert [each["id"] for each in again] == [each["id"] for each in done.json]


def test_a_heading_that_is_wrong_stops_everything(hr: Cli, tmp_path: Path) -> None:
    file = tmp_path / "hires.csv"
    file.write_text("type,userPrincipalNam\njoiner,a@fabrikam.example\n")
    shown = hr("event", "import", str(file), "--yes")
    assert (shown.code, "Did you mean userPrincipalName?" in shown.err) == (1, True)
    assert not hr.here.writes


def test_held_and_announced_leavers_are_listed(hr: Cli) -> None:
    assert "No leavers are held" in hr("event", "held").err
    assert "No leavers are announced" in hr("event", "announced").err
    assert hr("event", "schema").json["title"].startswith("HR event")
    assert hr("event", "approve-held", "--checksum", "0", "--yes").code == 1
    assert hr("event", "decide", "0" * 32, "--yes").code == 1
