"""Commands about people, operations, approvals, the audit log and dead letters."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.api_calls import another, claims_of, token
from tests.support.cli import Cli
from tests.support.runs import SMALL, TEAM, Run, user

UPN = f"{user(1)}@fabrikam.example"
OTHER_PERSON = token(another(claims_of(roles=["Licensing.Write", "Licensing.Approve", "Licensing.Configure"])))


def test_a_person_is_shown_with_licenses_groups_and_history(run: Run, cli: Cli) -> None:
    run.people(2)
    cli("group", "assign", TEAM, "SMALL", "--yes")
    shown = cli("user", "show", UPN)
    assert (shown.code, "SMALL" in shown.out, "Last 7 days" in shown.out) == (0, True, True)
    assert cli("user", "licenses", UPN, "-o", "json").json[0]["skuPartNumber"] == "SMALL"
    assert cli("user", "history", UPN, "--since", "2026-01-01", "-o", "json").json
    assert cli("user", "search", UPN, "-o", "json").json[0]["id"] == user(1)


def test_people_are_licensed_by_name(run: Run, cli: Cli) -> None:
    run.people(2)
    done = cli("user", "assign", "SMALL", "--user", UPN, "--user", user(2), "--without", "PLAN3", "--yes")
    assert (done.code, run.licenses(user(1)), run.licenses(user(2))) == (0, {"SMALL"}, {"SMALL"})
    assert cli("user", "remove", "SMALL", "--user", UPN).code == 2
    assert cli("user", "reprocess", UPN, "--yes").code == 0
    assert run.licenses(user(1)) == {"SMALL"}


@pytest.mark.parametrize("name", ["nobody@fabrikam.example", "User"])
def test_an_unknown_person_is_not_guessed(run: Run, cli: Cli, name: str) -> None:
    run.people(2)
    shown = cli("user", "assign", "SMALL", "--user", name, "--yes")
    assert (shown.code, "Unknown user" in shown.err) == (1, True)
    assert not cli.here.writes


def test_export_and_erase_of_a_person(run: Run, cli: Cli) -> None:
    run.people(1)
    cli("group", "assign", TEAM, "SMALL", "--yes")
    assert cli("user", "export", UPN).json["userId"] == user(1)
    rejected = cli("user", "erase", UPN, "--yes")
    assert (rejected.code, "Add --confirm" in rejected.err) == (1, True)
    done = cli("user", "erase", UPN, "--confirm", UPN, "--yes", "-o", "json")
    assert (done.code, "erased" in done.json) == (0, True)


def test_an_approval_is_read_approved_and_carried_out(run: Run, cli: Cli) -> None:
    people = run.people(60)
    cli("group", "assign", TEAM, "SMALL", "--yes")
    waits = cli("group", "remove", TEAM, "SMALL", "--yes", "-o", "json")
    operation = waits.json
    listed = cli("approval", "show", operation["id"], "-o", "csv").out.splitlines()
    assert len(listed) == 61
    own = cli("approval", "approve", operation["id"], "--checksum", operation["checksum"], "--yes")
    assert (own.code, "AnotherApproverRequired" in own.err) == (1, True)
    cli.here.headers = dict(OTHER_PERSON)
    wrong = cli("approval", "approve", operation["id"], "--checksum", "0" * 64, "--yes")
    assert wrong.code == 1
    assert all(run.licenses(each) for each in people)
    done = cli("approval", "approve", operation["id"], "--checksum", operation["checksum"], "--yes")
    assert done.code == 0, done.err
    assert not any(run.licenses(each) for each in people)


def test_a_rejected_approval_keeps_the_licenses(run: Run, cli: Cli) -> None:
    people = run.people(60)
    cli("group", "assign", TEAM, "SMALL", "--yes")
    operation_id = cli("group", "remove", TEAM, "SMALL", "--yes", "-o", "json").json["id"]
    assert cli("approval", "reject", operation_id, "--yes").code == 0
    assert all(run.licenses(each) for each in people)
    assert "Nothing waits" in cli("approval", "list").err


def test_an_approval_needs_the_checksum_that_was_read(run: Run, cli: Cli) -> None:
    run.people(60)
    cli("group", "assign", TEAM, "SMALL", "--yes")
    operation_id = cli("group", "remove", TEAM, "SMALL", "--yes", "-o", "json").json["id"]
    cli.here.headers = dict(OTHER_PERSON)
    shown = cli("approval", "approve", operation_id, "--yes")
    assert (shown.code, "--checksum" in shown.err) == (1, True)
    assert cli("approval", "approve", operation_id, answer="y\n").code == 0


def test_operations_are_listed_watched_and_controlled(run: Run, cli: Cli) -> None:
    people = run.people(60)
    operation_id = cli("group", "assign", TEAM, "SMALL", "--yes", "-o", "json").json["id"]
    assert cli("operation", "watch", operation_id).code == 0
    assert len(cli("operation", "members", operation_id, "-o", "json").json) == 60
    assert len(cli("operation", "list", "--top", "1", "-o", "json").json) == 1
    assert cli("operation", "pause", operation_id, "--yes").code == 1
    operation_id = cli("group", "remove", TEAM, "SMALL", "--yes", "-o", "json").json["id"]
    assert cli("operation", "cancel", operation_id, "--restore", "--yes").code == 0
    assert all(SMALL.sku_part_number in run.licenses(each) for each in people)


def test_a_preview_lists_expected_errors(run: Run, cli: Cli) -> None:
    run.people(3)
    run.directory.add_sku(run.directory.sku(SMALL.sku_id) or SMALL)
    shown = cli("group", "assign", TEAM, "SMALL", "--preview", "-o", "json").json
    assert cli("operation", "errors", shown["id"]).code == 0


def test_the_audit_log_is_searched_and_verified(run: Run, cli: Cli) -> None:
    run.people(1)
    cli("group", "assign", TEAM, "SMALL", "--yes")
    assert cli("audit", "search", "--group", TEAM, "-o", "json").json
    assert cli("audit", "search", "--by", "ada", "-o", "json").json
    assert cli("audit", "verify").code in (0, 1)


def test_dead_letters_are_replayed_and_deleted(run: Run, cli: Cli, tmp_path: Path) -> None:
    assert "No dead letters" in cli("dead-letter", "list").err
    assert cli("dead-letter", "list", "--queue", "members", "--since", "1d").code == 0
    assert cli("dead-letter", "replay", "0" * 32, "--yes").code == 1
    done = cli("dead-letter", "delete-all", "--queue", "members", "--yes", "--no-wait", "-o", "json")
    assert (done.code, done.json[0]["action"]) == (0, "delete")
    assert cli("dead-letter", "acts", "-o", "json").json
    bad = tmp_path / "bad.json"
    bad.write_text("{")
    assert "is not a JSON file" in cli("dead-letter", "replay", "0" * 32, "--corrected", str(bad), "--yes").err


def test_health_and_the_switch_for_writes(run: Run, cli: Cli) -> None:
    shown = cli("app", "health", "-o", "json")
    assert "queues" in json.loads(shown.out)
    assert cli("app", "changes").code == 0
    assert cli("app", "writing", "off", "--yes", "-o", "json").json["on"] is False
    unhealthy = cli("app", "health")
    assert (unhealthy.code, "does not write to Graph" in unhealthy.out) == (1, True)
    assert cli("app", "writing", "on", "--yes").code == 0
