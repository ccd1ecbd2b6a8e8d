"""Commands about groups: what they show, and that a write shows its plan first."""

from __future__ import annotations

import json
from uuid import UUID

import pytest

from shared.domain.assignment import GroupLicenseAssignment, SkuAssignment
from shared.domain.directory import DirectoryGroup
from shared.domain.ids import GroupId
from tests.support.cli import Cli
from tests.support.runs import LARGE, OTHER_TEAM, SMALL, TEAM, Run, product, user

NAME = f"Group {TEAM}"


def test_a_group_is_assigned_a_product_by_name_and_listed(run: Run, cli: Cli) -> None:
    people = run.people(3)
    done = cli("group", "assign", NAME, "small", "--yes")
    assert (done.code, "3 applied" in done.out) == (0, True)
    assert all(run.licenses(each) == {"SMALL"} for each in people)
    (row,) = cli("group", "list", "-o", "json").json
    assert row["displayName"] == NAME
    assert row["counts"] == {"Active": 3}


def test_without_a_terminal_or_yes_only_the_plan_is_shown(run: Run, cli: Cli) -> None:
    (person,) = run.people(1)
    shown = cli("group", "assign", TEAM, "SMALL")
    assert (shown.code, "+1 SMALL" in shown.out, "Nothing was done" in shown.err) == (2, True, True)
    assert not run.licenses(person)
    preview_id = shown.out.split()[1]
    confirmed = cli("operation", "confirm", preview_id, "--yes")
    assert (confirmed.code, run.licenses(person)) == (0, {"SMALL"})


def test_a_person_is_asked_and_can_decline(run: Run, cli: Cli) -> None:
    (person,) = run.people(1)
    declined = cli("group", "assign", TEAM, "SMALL", answer="n\n")
    assert (declined.code, run.licenses(person)) == (1, set())
    assert "Carry this out? [y/N]" in declined.err
    assert cli("group", "assign", TEAM, "SMALL", answer="y\n").code == 0
    assert run.licenses(person) == {"SMALL"}


def test_a_removal_that_another_person_must_approve_ends_with_3(run: Run, cli: Cli) -> None:
    people = run.people(60)
    cli("group", "assign", TEAM, "SMALL", "--yes")
    waits = cli("group", "remove", TEAM, "SMALL", "--yes")
    assert waits.code == 3
    assert "AwaitingApproval" in waits.out
    assert all(run.licenses(each) for each in people)
    listed = cli("approval", "list", "-o", "json").json
    assert [each["plan"]["usersLosing"] for each in listed] == [60]


def test_an_unknown_product_suggests_the_closest_and_writes_nothing(run: Run, cli: Cli) -> None:
    run.people(1)
    wrong = cli("group", "assign", TEAM, "SMAL", "--yes")
    assert (wrong.code, "Did you mean SMALL?" in wrong.err) == (1, True)
    wrong = cli("group", "assign", TEAM, "SMALL", "--without", "PLAN 2, PLN3", "--yes")
    assert (wrong.code, "Did you mean PLAN3?" in wrong.err) == (1, True)
    assert not cli.here.writes


def test_an_ambiguous_name_lists_the_candidates(run: Run, cli: Cli) -> None:
    twin = GroupId("0f5c1d7e-6c0a-4a52-9b0f-3a4b9c1d2e41")
    run.directory.add_group(twin, group=DirectoryGroup(twin, NAME, security_enabled=True))
    shown = cli("group", "assign", NAME, "SMALL", "--yes")
    assert shown.code == 1
    assert "2 groups match" in shown.err
    assert TEAM in shown.err and twin in shown.err
    assert not cli.here.writes


def test_apps_are_turned_off_by_name(run: Run, cli: Cli) -> None:
    run.people(1)
    assert cli("group", "assign", TEAM, "SMALL", "--without", "plan 2,PLAN3", "--yes").code == 0
    shown = cli("group", "show", TEAM, "-o", "json").json
    (license,) = shown["assignment"]["assignedLicenses"]
    off = {plan.service_plan_id for plan in SMALL.service_plans if plan.service_plan_name in ("PLAN2", "PLAN3")}
    assert set(license["disabledPlans"]) == off
    assert "PLAN2, PLAN3" in cli("group", "show", TEAM).out


def test_errors_have_their_remedy_in_every_format(run: Run, cli: Cli) -> None:
    run.people(3)
    run.directory.add_sku(product(7, "FEW", (20,), seats=1))
    assert cli("group", "assign", TEAM, "FEW", "--yes").code == 0
    rows = cli("group", "errors", "-o", "json").json
    assert [each["error"] for each in rows] == ["CountViolation"] * 2
    csv = cli("group", "errors", TEAM, "--product", "few", "-o", "csv").out.splitlines()
    assert csv[0] == "User,Name,Error,Product,Message,Remedy,Since,ID"
    assert len(csv) == 3
    named = cli("group", "errors", TEAM, "--name", rows[0]["displayName"], "-o", "tsv").out.splitlines()
    assert [line.split("\t")[2] for line in named] == ["CountViolation"]
    assert cli("group", "errors", TEAM, "--error", "MutuallyExclusiveViolation").out == ""


def test_options_are_set_and_the_others_stay(run: Run, cli: Cli) -> None:
    run.people(2)
    cli("group", "assign", TEAM, "SMALL", "--yes")
    done = cli("group", "set", TEAM, "--keep-for", "30", "--exclude", OTHER_TEAM, "--no-guests", "--yes")
    assert done.code == 0, done.err
    options = cli("group", "show", TEAM, "-o", "json").json["assignment"]["options"]
    assert (options["grace"], options["excludedGroups"], options["includeGuests"]) == ("P30D", [OTHER_TEAM], False)
    assert options["includeDisabledAccounts"] is True


@pytest.mark.parametrize("verb", ["manage", "turn-on-apps"])
def test_unmanaged_licenses_have_a_preview_too(run: Run, cli: Cli, verb: str) -> None:
    run.people(2)
    cli("group", "assign", TEAM, "SMALL", "--yes")
    shown = cli("group", verb, TEAM, "SMALL", "--preview")
    assert shown.code == 2, shown.err
    assert cli("group", verb, TEAM, "SMALL", "--yes").code == 0


def test_members_are_found_by_state_and_by_name(run: Run, cli: Cli) -> None:
    run.people(3)
    cli("group", "assign", TEAM, "SMALL", "--yes")
    assert len(cli("group", "members", TEAM, "--state", "Active", "-o", "json").json) == 3
    assert len(cli("group", "members", TEAM, "--name", f"User {user(1)}", "-o", "json").json) == 1


def test_reprocess_follows_the_operation_and_no_wait_does_not(run: Run, cli: Cli) -> None:
    run.people(2)
    cli("group", "assign", TEAM, "SMALL", "LARGE", "--yes")
    assert cli("group", "reprocess", TEAM, "--yes").code == 0
    started = json.loads(cli("group", "reprocess", TEAM, "--yes", "--no-wait", "-o", "json").out)
    assert started["state"] == "QueuedForProcessing"
    assert LARGE.sku_part_number in cli("group", "list").out


def test_more_groups_than_a_page_has_are_listed(run: Run, cli: Cli) -> None:
    given = (SkuAssignment(SMALL.sku_id, frozenset()),)
    for number in range(1100):
        assignment = GroupLicenseAssignment(GroupId(str(UUID(int=9000 + number))), given, version=1)
        cli.here.wait(run.world.stores.assignments.save(assignment, None))
    assert len(cli("group", "list", "-o", "json").json) == 1100


def test_a_group_is_not_managed_any_more(run: Run, cli: Cli) -> None:
    (person,) = run.people(1)
    assert cli("group", "assign", TEAM, "SMALL", "--yes").code == 0
    shown = cli("group", "stop-managing", TEAM, "--preview")
    assert (shown.code, "1 member keeps the licenses" in shown.out) == (2, True), shown.out
    preview = cli("group", "stop-managing", TEAM, "--preview", "-o", "json").json
    confirmed = cli("operation", "confirm", preview["id"], "--yes", "-o", "json")
    assert (confirmed.code, confirmed.json["kind"]) == (0, "stopManaging")
    run.directory.leave(TEAM, person)
    cli.here.wait(run.reconcile(person))
    assert run.licenses(person) == {"SMALL"}
    again = cli("group", "stop-managing", TEAM, "--yes")
    assert (again.code, "assigns no product" in again.err) == (1, True)
