"""Profiles of HR onboarding in files: checked, planned, proposed to another person, exported, compared."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.support.api_calls import another, app_token, claims_of, token
from tests.support.cli import ADMINISTRATOR
from tests.support.runs import OTHER_TEAM, TEAM, Run, user
from tests.unit.cli.ascode import HEAD, NAME, SMALL_TEAM, AsCode

ROLES = ["Licensing.Write", "Licensing.Approve", "Licensing.Configure"]
OTHER_PERSON = token(another(claims_of(roles=ROLES)))
SALES = f"""{HEAD}profiles:
  sales:
    displayName: Sales
    when: {{ department: [Sales, "Field *"], country: [DE] }}
    groups: [{NAME}]
    products:
      - SMALL: {{ off: [PLAN1] }}
      - EXTRA
    usageLocation: DE
    priority: 5
    selectable: true
"""


def approve_all(code: AsCode) -> None:
    code.cli.here.headers = dict(OTHER_PERSON)
    for each in code.cli("profile", "proposals", "-o", "json").json:
        done = code.cli("profile", "approve", each["name"], "--version", each["version"], "--yes")
        assert done.code == 0, done.err
    code.cli.here.headers = dict(ADMINISTRATOR)


def in_force(code: AsCode, text: str) -> None:
    code.write(text)
    assert code.plan().code == 2
    assert code.apply().code == 3
    approve_all(code)


def test_a_profile_is_planned_in_words_proposed_and_in_force_after_an_approval(run: Run, code: AsCode) -> None:
    run.people(1)
    code.write(SALES)
    valid = code.validate()
    assert (valid.code, "0 groups, 1 profile and 0 tests" in valid.out) == (0, True), valid.out
    planned = code.plan()
    said = " ".join(planned.out.split())
    assert planned.code == 2, planned.err
    for line in (
        "Profile sales new profile",
        "~ when country: any -> DE",
        "~ when department: any -> Field *, Sales",
        f"+ {NAME}",
        "+ EXTRA",
        "~ SMALL without PLAN1",
        "~ usageLocation: none -> DE",
        "~ priority: 0 -> 5",
        "~ selectable: false -> true",
        "Plan: 1 profile to save.",
    ):
        assert line in said, (line, planned.out)
    assert not code.cli.here.writes
    applied = code.apply()
    assert (applied.code, "Profile sales: AwaitingApproval" in applied.out) == (3, True), applied.out
    assert "Next: seatkeeper profile proposal sales" in applied.out
    assert code.cli("profile", "list", "-o", "json").json == []
    again = code.plan()
    assert "waits for the approval of another person" in " ".join(again.out.split())
    approve_all(code)
    assert (code.plan().code, code.drift().code) == (0, 0)
    (saved,) = code.cli("profile", "list", "-o", "json").json
    assert (saved["groups"], saved["priority"], saved["exclusive"]) == ([TEAM], 5, False)


def test_the_same_plan_again_sends_nothing_twice(run: Run, code: AsCode) -> None:
    run.people(1)
    code.write(SALES)
    code.plan()
    assert code.apply().code == 3
    code.cli.here.asked.clear()
    again = code.apply()
    assert (again.code, code.cli.here.writes) == (3, [])
    approve_all(code)
    code.cli.here.asked.clear()
    done = code.apply()
    assert (done.code, "Profile sales: Saved" in done.out, code.cli.here.writes) == (0, True, [])


def test_what_changes_nothing_for_people_is_saved_at_once(run: Run, code: AsCode) -> None:
    run.people(1)
    in_force(code, SALES)
    code.write(SALES.replace("displayName: Sales", "displayName: Field sales"))
    planned = code.plan()
    assert "~ displayName: Sales -> Field sales" in planned.out
    done = code.apply()
    assert (done.code, "Profile sales: Saved" in done.out) == (0, True), done.out


def test_a_file_states_a_profile_as_a_whole(run: Run, code: AsCode) -> None:
    run.people(1)
    in_force(code, SALES)
    code.write(f"{HEAD}profiles:\n  sales: {{ when: {{ department: [Sales] }}, groups: [{OTHER_TEAM}] }}\n")
    said = " ".join(code.plan().out.split())
    for line in (f"- {NAME}", "- EXTRA", "- SMALL", "~ when country: DE -> any", "~ selectable: true -> false"):
        assert line in said


def test_a_profile_that_was_changed_after_the_plan_makes_it_stale(run: Run, code: AsCode) -> None:
    run.people(1)
    in_force(code, SALES)
    code.write(SALES.replace("priority: 5", "priority: 6") + SMALL_TEAM.removeprefix(HEAD))
    assert code.plan().code == 2
    row = code.cli("profile", "show", "sales").json
    file = code.files.parent / "sales.json"
    file.write_text(json.dumps({**row, "displayName": "Other"}))
    assert code.cli("profile", "save", "sales", "--file", str(file), "--yes").code == 0
    code.cli.here.asked.clear()
    stale = code.apply()
    assert (stale.code, "Profile sales: it was changed after the plan." in " ".join(stale.err.split())) == (1, True)
    assert not code.cli.here.writes


def test_groups_and_profiles_are_applied_by_one_plan(run: Run, code: AsCode) -> None:
    (person,) = run.people(1)
    code.write(SALES + SMALL_TEAM.removeprefix(HEAD))
    planned = code.plan()
    assert "1 profile to save." in " ".join(planned.out.split())
    assert code.apply().code == 3
    assert run.licenses(person) == {"SMALL"}
    drift = code.drift()
    assert (drift.code, "Drift: 1 profile differs." in drift.out) == (2, True), drift.out


def test_an_export_has_the_profiles_and_plans_to_nothing(run: Run, code: AsCode) -> None:
    run.people(1)
    in_force(code, SALES + "  empty: {}\n  other:\n    when: { jobTitle: ['true'] }\n    exclusive: true\n")
    exported = code.cli("import", "direct").out
    assert exported.index("groups:") < exported.index("profiles:")
    code.write(exported)
    valid = code.validate()
    assert valid.code == 0, valid.err + exported
    assert (code.plan().code, code.drift().code) == (0, 0), exported
    assert "profiles:" not in code.cli("import", "direct", "--group", NAME).out


def test_prune_deletes_no_profile(run: Run, code: AsCode) -> None:
    run.people(1)
    in_force(code, SALES)
    code.write(f"{SMALL_TEAM}prune: true\n")
    code.plan()
    assert code.apply().code == 0
    assert [each["name"] for each in code.cli("profile", "list", "-o", "json").json] == ["sales"]


def test_what_the_app_rejects_is_named_and_the_groups_are_carried_out(run: Run, code: AsCode) -> None:
    (person,) = run.people(1)
    code.write(SALES + SMALL_TEAM.removeprefix(HEAD))
    code.plan()
    code.cli.here.headers = token(claims_of(roles=["Licensing.Write", "Licensing.Approve"]))
    done = code.apply()
    assert (done.code, "Profile sales: NotSent" in done.out) == (1, True), done.out + done.err
    assert run.licenses(person) == {"SMALL"}


def test_after_a_group_that_was_rejected_no_profile_is_sent(run: Run, code: AsCode) -> None:
    run.people(1)
    code.write(SALES + SMALL_TEAM.removeprefix(HEAD))
    code.plan()
    rejection = {"error": {"code": "Conflict", "message": "Try again."}}

    def answered(request: httpx.Request) -> httpx.Response | None:
        starts = request.url.path.endswith("/assignLicense") and request.url.params.get("preview") != "true"
        return httpx.Response(409, json=rejection, request=request) if starts else None

    code.cli.here.before = answered
    done = code.apply()
    said = " ".join(done.out.split())
    assert (done.code, f"Profile sales: NotSent. Not sent, because {NAME} was rejected." in said) == (1, True), said
    assert ("PUT", "/api/onboarding/profiles/sales") not in code.cli.here.asked


def test_an_application_cannot_save_a_profile(run: Run, code: AsCode) -> None:
    run.people(1)
    code.write(SALES)
    code.plan()
    code.cli.here.headers = app_token(roles=["Licensing.Write", "Licensing.Configure"])
    done = code.apply()
    assert (done.code, "Profile sales: NotSent" in done.out) == (1, True), done.out + done.err


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("when:", "if:", "Unknown key 'if' in profiles.sales."),
        ("department:", "departement:", "Unknown key 'departement' in profiles.sales.when. Did you mean department?"),
        ("[Sales, ", "[7, ", "Put it in quotes."),
        ("sales:", "Sales:", "'Sales' is not valid. It must be: small letters"),
        ("priority: 5", "priority: 5000", "must be from -1000 to 1000"),
        ("priority: 5", "priority: true", "must be a whole number"),
        ("selectable: true", "selectable: 1", "must be true or false"),
        ("- EXTRA", "- SMALL", "sales lists SMALL twice."),
        ("country: [DE]", "country: []", "is empty"),
    ],
)
def test_a_mistake_in_a_profile_is_found_offline(code: AsCode, old: str, new: str, reason: str) -> None:
    code.write(SALES.replace(old, new))
    shown = code.validate()
    assert (shown.code, reason in " ".join(shown.err.split())) == (1, True), shown.err
    assert not code.cli.here.seen


def test_a_profile_in_two_files_is_a_mistake(code: AsCode) -> None:
    code.write(SALES)
    code.write(SALES, "other.yaml")
    assert "other.yaml:3: The profile sales is in licenses.yaml:3 already." in " ".join(code.validate().err.split())


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (f"[{NAME}]", "[Grup]", "licenses.yaml:3: groups:"),
        (f"[{NAME}]", f"[{user(98)}]", "licenses.yaml:3: groups: There is no group"),
        ("- EXTRA", "- EXTR", "Unknown product 'EXTR'. Did you mean EXTRA?"),
        ("[PLAN1]", "[PLN1]", "Unknown app of SMALL 'PLN1'."),
    ],
)
def test_an_unknown_name_in_a_profile_is_found_by_the_plan(
    run: Run, code: AsCode, old: str, new: str, reason: str
) -> None:
    run.people(1)
    code.write(SALES.replace(old, new))
    shown = code.plan()
    assert (shown.code, reason in " ".join(shown.err.split())) == (1, True), shown.err
    assert not code.plan_file.exists()
