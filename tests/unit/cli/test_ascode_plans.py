"""Plans: what they show, that they are the same bytes for the same state, and how they are applied."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.domain.directory import LicenseAssignmentState
from tests.support.api_calls import another, app_token, claims_of, token
from tests.support.runs import OTHER_TEAM, SMALL, TEAM, Run, product, user
from tests.unit.cli.ascode import HEAD, NAME, OTHER_NAME, SMALL_TEAM, AsCode

OTHER_PERSON = token(another(claims_of(roles=["Licensing.Write", "Licensing.Approve", "Licensing.Configure"])))


def groups(*rows: tuple[str, str]) -> str:
    return HEAD + "groups:\n" + "".join(f"  - group: {name}\n    products: [{listed}]\n" for name, listed in rows)


def test_a_plan_is_applied_and_then_empty(run: Run, code: AsCode) -> None:
    people = run.people(3)
    code.write(SMALL_TEAM)
    planned = code.plan()
    assert (planned.code, "Plan: 3 to assign, 0 to remove, 0 would fail." in " ".join(planned.out.split())) == (2, True)
    assert not any(run.licenses(each) for each in people)
    done = code.apply()
    assert (done.code, f"{NAME}: ProcessingComplete: 3 applied" in " ".join(done.out.split())) == (0, True), done.err
    assert all(run.licenses(each) == {"SMALL"} for each in people)
    again = code.plan()
    assert (again.code, "no changes" in again.out, code.drift().code) == (0, True, 0)


def test_the_same_state_gives_the_same_bytes(run: Run, code: AsCode) -> None:
    run.people(30)
    run.directory.join(OTHER_TEAM, user(1))
    code.write(groups((NAME, "SMALL"), (OTHER_NAME, "LARGE")))
    code.plan()
    code.apply()
    code.write(groups((NAME, "LARGE"), (OTHER_NAME, "SMALL")))
    code.plan("--allow", "removals")
    first = code.plan_file.read_bytes()
    run.later(minutes=3)
    code.plan("--allow", "removals")
    assert code.plan_file.read_bytes() == first


def test_a_plan_names_everyone_who_would_lose_something(run: Run, code: AsCode) -> None:
    run.people(15)
    code.write(groups((NAME, "SMALL, EXTRA")))
    code.plan()
    code.apply()
    code.write(groups((NAME, "SMALL")))
    shown = code.plan()
    assert shown.code == 2, shown.err
    losing = code.document["groups"][0]["losing"]
    assert [each["userPrincipalName"] for each in losing] == sorted(f"{user(n)}@fabrikam.example" for n in range(1, 16))
    assert all(each["loses"] == ["EXTRA"] for each in losing)
    assert "and 5 more, all named in the plan file" in shown.out
    assert "1 group needs an approval" in " ".join(shown.out.split())


def test_a_plan_says_whom_an_approval_counts(run: Run, code: AsCode) -> None:
    run.people(60)
    same = run.directory.add_sku(product(8, "SAME", (9,)))
    code.write(groups((NAME, "SMALL, EXTRA")))
    code.plan()
    code.apply()
    for number in range(1, 4):
        person = run.directory.truth(user(number))
        unmanaged = LicenseAssignmentState(same)
        states = (*person.license_assignment_states, unmanaged)
        run.directory.change_user(replace(person, license_assignment_states=states))
    code.write(groups((NAME, "SMALL")))
    shown = " ".join(code.plan("--allow", "removals").out.split())
    assert len(code.document["groups"][0]["losing"]) == 60
    assert "57 of these 60 people lose an app that no other license assigns. An approval counts only them." in shown
    assert code.apply().code == 3
    assert [each["plan"]["usersLosing"] for each in code.cli("approval", "list", "-o", "json").json] == [57]


def test_a_plan_without_such_people_does_not_mention_them(run: Run, code: AsCode) -> None:
    run.people(2)
    code.write(groups((NAME, "SMALL, EXTRA")))
    code.plan()
    code.apply()
    code.write(groups((NAME, "SMALL")))
    assert "An approval counts only them" not in " ".join(code.plan().out.split())


def test_licenses_and_expected_errors_are_counted(run: Run, code: AsCode) -> None:
    run.people(3)
    run.directory.add_sku(product(7, "FEW", (20,), seats=1))
    code.write(groups((NAME, "FEW")))
    shown = " ".join(code.plan().out.split())
    assert "FEW is short by 2 licenses." in shown
    assert "0 would fail, 2 would wait." in shown


def test_a_person_who_moves_between_groups_loses_nothing(run: Run, code: AsCode) -> None:
    run.people(2)
    run.directory.join(OTHER_TEAM, user(1))
    code.write(groups((NAME, "SMALL")))
    code.plan()
    code.apply()
    code.write(groups((NAME, ""), (OTHER_NAME, "SMALL")))
    shown = code.plan()
    assert shown.code == 2, shown.err
    assert [each["id"] for row in code.document["groups"] for each in row["losing"]] == [user(2)]
    assert code.apply().code == 0
    assert (run.licenses(user(1)), run.licenses(user(2))) == ({"SMALL"}, set())


def test_what_both_groups_end_is_named_once_in_the_totals(run: Run, code: AsCode) -> None:
    run.people(2)
    run.directory.join(OTHER_TEAM, user(1))
    code.write(groups((NAME, "SMALL"), (OTHER_NAME, "SMALL")))
    code.plan()
    code.apply()
    code.write(groups((NAME, ""), (OTHER_NAME, "")))
    shown = code.plan()
    assert (code.document["totals"]["losing"], code.document["totals"]["remove"]) == (2, 2), shown.out
    assert code.apply().code == 0
    assert not run.licenses(user(1)) and not run.licenses(user(2))


@pytest.mark.parametrize(
    "change",
    [
        lambda run, code: run.directory.join(TEAM, run.directory.add_user(user(9))),
        lambda run, code: run.directory.leave(TEAM, user(1)),
        lambda run, code: code.cli("group", "assign", TEAM, "EXTRA", "--yes"),
        lambda run, code: code.cli("group", "set", TEAM, "--no-guests", "--yes"),
    ],
    ids=["joined", "left", "assigned", "options"],
)
def test_a_plan_older_than_the_state_is_rejected_and_nothing_is_sent(run: Run, code: AsCode, change: Any) -> None:
    people = run.people(3)
    code.write(groups((NAME, "SMALL")))
    code.plan()
    code.apply()
    code.write(groups((NAME, "SMALL, LARGE")))
    code.plan()
    change(run, code)
    code.cli.here.asked.clear()
    stale = code.apply()
    assert (stale.code, "The plan is stale" in stale.err) == (1, True), stale.err
    assert not code.cli.here.writes
    assert all("LARGE" not in run.licenses(each) for each in people)


def test_a_plan_that_was_edited_is_rejected(run: Run, code: AsCode) -> None:
    run.people(1)
    code.write(SMALL_TEAM)
    code.plan()
    document = code.document
    document["groups"][0]["change"]["addLicenses"][0]["disabledPlans"] = [SMALL.service_plans[0].service_plan_id]
    code.plan_file.write_text(json.dumps(document))
    shown = code.apply()
    assert (shown.code, "changed after it was written" in shown.err) == (1, True)


def test_the_checksum_of_a_review_must_be_that_of_the_plan(run: Run, code: AsCode) -> None:
    run.people(1)
    code.write(SMALL_TEAM)
    code.plan()
    assert code.apply("--checksum", "0" * 64).code == 1
    assert code.apply("--checksum", code.document["checksum"]).code == 0


def test_after_a_crash_the_same_command_continues(run: Run, code: AsCode) -> None:
    run.people(2)
    run.directory.join(OTHER_TEAM, user(1))
    run.directory.join(OTHER_TEAM, run.directory.add_user(user(9)))
    code.write(groups((NAME, "SMALL"), (OTHER_NAME, "SMALL, EXTRA")))
    code.plan()
    assert code.document["totals"]["assign"] == 5

    def crash(request: httpx.Request) -> httpx.Response | None:
        sends = request.url.path == f"/api/groups/{OTHER_TEAM}/assignLicense" and "preview" not in request.url.params
        if sends:
            raise KeyboardInterrupt
        return None

    code.cli.here.before = crash
    stopped = code.apply()
    assert (stopped.code, "An operation that was started continues" in stopped.err) == (130, True)
    assert run.licenses(user(2)) == {"SMALL"} and not run.licenses(user(9))
    code.cli.here.before = lambda request: None
    code.cli.here.asked.clear()
    done = code.apply()
    assert done.code == 0, done.err
    assert len(code.cli.here.writes) == 1
    assert run.licenses(user(1)) == run.licenses(user(9)) == {"SMALL", "EXTRA"}
    code.cli.here.asked.clear()
    again = code.apply()
    assert (again.code, code.cli.here.writes) == (0, [])


def test_after_a_crash_a_change_in_between_is_rejected(run: Run, code: AsCode) -> None:
    run.people(2)
    run.directory.join(OTHER_TEAM, user(1))
    code.write(groups((NAME, "SMALL"), (OTHER_NAME, "EXTRA")))
    code.plan()
    sent: list[str] = []

    def crash(request: httpx.Request) -> httpx.Response | None:
        if request.method == "POST" and "assignLicense" in request.url.path and "preview" not in request.url.params:
            sent.append(request.url.path)
            if len(sent) == 2:
                raise KeyboardInterrupt
        return None

    code.cli.here.before = crash
    code.apply()
    code.cli.here.before = lambda request: None
    run.directory.join(OTHER_TEAM, user(2))
    stale = code.apply()
    assert (stale.code, "it had 1 members and has 2" in stale.err) == (1, True), stale.err
    assert "EXTRA" not in run.licenses(user(2))


def test_a_removal_that_the_caller_cannot_approve_waits(run: Run, code: AsCode) -> None:
    people = run.people(60)
    code.write(groups((NAME, "SMALL, EXTRA")))
    code.plan()
    code.apply()
    code.write(groups((NAME, "SMALL")))
    code.cli.here.headers = app_token(roles=["Licensing.Write", "Licensing.Configure"])
    assert code.plan("--allow", "removals").code == 2
    waits = code.apply("-o", "json")
    assert (waits.code, waits.json[0]["state"]) == (3, "AwaitingApproval")
    code.cli.here.headers = OTHER_PERSON
    shown = code.cli("approval", "list", "-o", "json").json[0]
    assert code.cli("approval", "approve", shown["id"], "--checksum", shown["checksum"], "--yes").code == 0
    assert all(run.licenses(each) == {"SMALL"} for each in people)
    assert code.plan().code == 0


def test_options_alone_are_planned_and_reach_every_member(run: Run, code: AsCode) -> None:
    run.people(2)
    guest = run.directory.add_user(user(8), groups=[TEAM], guest=True)
    code.write(SMALL_TEAM + "    guests: false\n")
    code.plan()
    code.apply()
    assert not run.licenses(guest)
    code.write(SMALL_TEAM)
    shown = code.plan()
    assert (shown.code, "includeGuests: false -> true" in shown.out) == (2, True)
    assert code.apply().code == 0
    assert run.licenses(guest) == {"SMALL"}


def test_paused_and_watched_groups_are_left_alone(run: Run, code: AsCode) -> None:
    run.people(1)
    code.write(SMALL_TEAM + f"    state: paused\n  - group: {OTHER_NAME}\n    engine: watched\n")
    shown = code.plan()
    assert (shown.code, "paused" in shown.err, "watched" in shown.err) == (0, True, True)


def test_drift_shows_what_was_changed_by_hand(run: Run, code: AsCode) -> None:
    run.people(1)
    code.write(SMALL_TEAM)
    code.plan()
    code.apply()
    code.cli("group", "assign", TEAM, "SMALL", "EXTRA", "--without", "PLAN2", "--yes")
    shown = code.drift()
    assert shown.code == 2
    assert "- EXTRA" in shown.out
    assert "~ SMALL turns on PLAN2" in shown.out


def test_an_export_plans_to_nothing(run: Run, code: AsCode, tmp_path: Path) -> None:
    run.people(2)
    code.cli("group", "assign", TEAM, "SMALL", "EXTRA", "--without", "PLAN2", "--yes")
    code.cli("group", "set", TEAM, "--keep-for", "30", "--exclude", OTHER_TEAM, "--usage-location", "NO", "--yes")
    code.cli("group", "assign", OTHER_TEAM, "LARGE", "--yes")
    text = code.cli("import", "direct").out
    code.write(text)
    assert code.validate().code == 0
    assert (code.plan().code, code.drift().code) == (0, 0), text
    assert code.cli("import", "direct", "--group", NAME).out.count("- group:") == 1


def test_a_csv_file_becomes_yaml(code: AsCode, tmp_path: Path) -> None:
    file = tmp_path / "groups.csv"
    file.write_text("Group;Product;Disabled apps\nSG-A;SPE_E3;Sway, Yammer\nSG-A;Visio;\nSG-B;SPE_F1;\n")
    text = code.cli("import", str(file)).out
    code.write(text)
    assert code.validate().code == 0
    assert "      - SPE_E3: { off: [Sway, Yammer] }\n      - Visio\n" in text
    file.write_text("Group;Prodct\nSG-A;SPE_E3\n")
    assert "Did you mean product?" in code.cli("import", str(file)).err
    file.write_text("group,product\nSG-A,\n")
    assert "Line 2" in code.cli("import", str(file)).err


def test_an_excluded_group_alone_takes_the_product_from_its_members(run: Run, code: AsCode) -> None:
    people = run.people(3)
    run.directory.join(OTHER_TEAM, people[0])
    code.write(SMALL_TEAM)
    code.plan()
    code.apply()
    code.write(f"{SMALL_TEAM}    exclude: [{OTHER_NAME}]\n")
    assert code.plan().code == 2
    (row,) = code.document["groups"]
    assert [each["id"] for each in row["losing"]] == people[:1]
    assert code.apply().code == 0
    assert [run.licenses(each) for each in people] == [set(), {"SMALL"}, {"SMALL"}]
