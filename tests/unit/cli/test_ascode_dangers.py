"""Dangerous edits: each is rejected with its reason before anything is sent. A preview sends nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from seatkeeper.ascode import planfile
from shared.domain.directory import AssignedLicense, DirectoryGroup
from shared.domain.ids import GroupId, ServicePlanId, SkuId
from tests.support.runs import OTHER_TEAM, SMALL, TEAM, Run, user
from tests.unit.cli.ascode import HEAD, NAME, OTHER_NAME, SMALL_TEAM, AsCode

TWIN = GroupId("0f5c1d7e-6c0a-4a52-9b0f-3a4b9c1d2e41")


def group(name: str, products: str = "SMALL", more: str = "") -> str:
    return f"{HEAD}groups:\n  - group: {name}\n    products: [{products}]\n{more}"


@pytest.fixture
def rejected(run: Run, code: AsCode) -> Callable[..., None]:
    """Asserts that neither the plan of these files is made, nor anything sent, and that the reason is said."""

    def rejected(text: str, reason: str, *options: str) -> None:
        code.write(text)
        code.cli.here.asked.clear()
        shown = code.plan(*options)
        assert (shown.code, reason in " ".join(shown.err.split())) == (1, True), shown.err
        assert not code.plan_file.exists()
        assert not code.cli.here.writes

    return rejected


Rejected = Callable[..., None]


def applied(code: AsCode, text: str) -> None:
    code.write(text)
    assert code.plan().code == 2
    assert code.apply().code == 0


def test_an_unknown_key(run: Run, rejected: Rejected) -> None:
    rejected(group(NAME, more="    owners: nobody\n"), "licenses.yaml:5: Unknown key 'owners' in groups[1].")


def test_a_plan_older_than_the_state(run: Run, code: AsCode) -> None:
    run.people(2)
    code.write(SMALL_TEAM)
    assert code.plan().code == 2
    assert code.cli("group", "assign", TEAM, "LARGE", "--yes").code == 0
    code.cli.here.asked.clear()
    shown = code.apply()
    assert (shown.code, "The plan is stale." in shown.err, code.cli.here.writes) == (1, True, []), shown.err


def test_a_misspelled_product(run: Run, rejected: Rejected) -> None:
    rejected(group(NAME, "SMAL"), "licenses.yaml:4: Unknown product 'SMAL'. Did you mean SMALL?")


def test_a_misspelled_app(run: Run, rejected: Rejected) -> None:
    rejected(group(NAME, "SMALL: { off: [PLN2] }"), "Unknown app of SMALL 'PLN2'. Did you mean PLAN2?")


def test_every_app_off(run: Run, rejected: Rejected) -> None:
    rejected(group(NAME, "SMALL: { off: [PLAN1, PLAN2, PLAN3] }"), "Every app of SMALL would be off.")


def test_a_misspelled_group(run: Run, rejected: Rejected) -> None:
    rejected(group(NAME.replace("Group", "Grup")), "There is no group")


def test_a_renamed_group(run: Run, rejected: Rejected) -> None:
    run.directory.groups[TEAM] = replace(run.directory.groups[TEAM], display_name="All of Sales")
    rejected(f"{HEAD}groups:\n  - group: Sales\n    id: {TEAM}\n", "The group was renamed: ")


def test_an_id_and_a_name_that_disagree(run: Run, rejected: Rejected) -> None:
    rejected(f"{HEAD}groups:\n  - group: {NAME}\n    id: {OTHER_TEAM}\n", "The id and the name disagree")


def test_a_name_that_matches_two_groups(run: Run, code: AsCode, rejected: Rejected) -> None:
    run.people(1)
    run.directory.add_group(TWIN, group=DirectoryGroup(TWIN, NAME, security_enabled=True))
    rejected(group(NAME), "2 groups are named")
    code.write(f"{HEAD}groups:\n  - group: {NAME}\n    id: {TEAM}\n    products: [SMALL]\n")
    assert code.plan().code == 2


def test_two_entries_for_one_group_by_name_and_by_id(run: Run, rejected: Rejected) -> None:
    rejected(group(NAME, more=f"  - group: {TEAM}\n    products: [LARGE]\n"), "is the same group as")


def test_the_same_product_by_two_names(run: Run, rejected: Rejected) -> None:
    rejected(group(NAME, f"SMALL, {SMALL.sku_id}"), "is the same product as SMALL")


def test_prune_with_an_empty_folder(run: Run, code: AsCode, rejected: Rejected) -> None:
    run.people(1)
    applied(code, SMALL_TEAM)
    rejected(HEAD + "prune: true\n", "prune is true and no group is named")


def test_prune_of_a_group_with_a_running_operation(run: Run, code: AsCode, rejected: Rejected) -> None:
    run.people(60)
    applied(code, group(NAME, more=f"  - group: {OTHER_NAME}\n    products: [SMALL]\n"))
    assert code.cli("group", "remove", TEAM, "SMALL", "LARGE", "--yes").code == 1
    assert code.cli("group", "assign", TEAM, "EXTRA", "--yes").code == 0
    assert code.cli("group", "remove", TEAM, "SMALL", "--yes").code == 3
    rejected(group(OTHER_NAME, more="prune: true\n"), "is AwaitingApproval. Wait for it.")


def test_prune_takes_no_license(run: Run, code: AsCode) -> None:
    (person,) = run.people(1)
    applied(code, group(NAME, more=f"  - group: {OTHER_NAME}\n    products: [SMALL]\n"))
    code.write(group(OTHER_NAME, more="prune: true\n"))
    assert code.drift().code == 2
    shown = code.plan()
    said = " ".join(shown.out.split())
    assert (shown.code, "1 member keeps the licenses" in said) == (2, True), shown.out + shown.err
    assert "It is not managed any more, and its members keep SMALL." in said
    assert "0 to remove" in said
    assert code.apply().code == 0
    new = run.directory.add_user(user(9), groups=[TEAM])
    for hours in range(3):
        run.later(hours=hours + 1)
        code.cli.here.wait(run.reconcile(person, new, cause=f"later-{hours}"))
    assert (run.licenses(person), run.licenses(new)) == ({"SMALL"}, set())
    assert (code.plan().code, code.drift().code) == (0, 0)


def test_without_prune_a_group_that_no_file_names_stays_managed(run: Run, code: AsCode) -> None:
    run.people(1)
    applied(code, group(NAME, more=f"  - group: {OTHER_NAME}\n    products: [SMALL]\n"))
    code.write(group(OTHER_NAME))
    assert (code.plan().code, code.drift().code) == (0, 0)


def test_prune_leaves_a_paused_group_alone(run: Run, code: AsCode) -> None:
    run.people(1)
    applied(code, group(NAME, more=f"  - group: {OTHER_NAME}\n    products: [SMALL]\n"))
    paused = f"  - group: {NAME}\n    products: [LARGE]\n    state: paused\n"
    code.write(group(OTHER_NAME, more=f"{paused}prune: true\n"))
    shown = code.plan()
    assert (shown.code, f"Not changed: {NAME}: paused" in shown.err) == (0, True), shown.err
    assert (code.apply().code, code.drift().code) == (0, 0)


def test_a_member_who_joins_after_the_plan_makes_a_prune_stale(run: Run, code: AsCode) -> None:
    run.people(2)
    applied(code, group(NAME, more=f"  - group: {OTHER_NAME}\n    products: [SMALL]\n"))
    code.write(group(OTHER_NAME, more="prune: true\n"))
    assert code.plan().code == 2
    code.cli.here.asked.clear()
    run.directory.add_user(user(9), groups=[TEAM])
    shown = code.apply()
    assert (shown.code, "it had 2 members and has 3." in shown.err) == (1, True)
    assert not code.cli.here.writes


def test_a_plan_of_another_tenant(run: Run, code: AsCode) -> None:
    run.people(1)
    code.write(SMALL_TEAM)
    code.plan()
    planfile.write({**code.document, "tenantId": "other"}, code.plan_file)
    shown = code.apply()
    assert (shown.code, "made for another tenant" in shown.err) == (1, True)
    assert not code.cli.here.writes


@pytest.mark.parametrize("name", ["licenses.yaml", "more.yaml"])
def test_a_file_changed_after_the_plan(run: Run, code: AsCode, name: str) -> None:
    run.people(1)
    code.write(SMALL_TEAM)
    code.plan()
    code.write(group(NAME, "LARGE") if name == "licenses.yaml" else HEAD, name)
    shown = code.apply()
    assert (shown.code, name in shown.err) == (1, True)
    assert not code.cli.here.writes


def test_line_ends_that_git_changes_are_no_change(run: Run, code: AsCode) -> None:
    run.people(1)
    code.write(SMALL_TEAM)
    code.plan()
    (code.files / "licenses.yaml").write_bytes(SMALL_TEAM.replace("\n", "\r\n").encode())
    assert code.apply().code == 0


def test_a_removal_over_the_threshold(run: Run, code: AsCode, rejected: Rejected) -> None:
    run.people(30)
    applied(code, group(NAME, "SMALL, EXTRA"))
    rejected(group(NAME), "30 of 30 people in")
    rejected(group(NAME, more="safety: { removals: { hold: over 29 } }\n"), "holds above 29")
    code.write(group(NAME, more="safety: { removals: { hold: over 30 } }\n"))
    assert code.plan().code == 2
    code.write(group(NAME))
    assert code.plan("--allow", "removals").code == 2


def test_an_addition_over_the_threshold(run: Run, code: AsCode, rejected: Rejected) -> None:
    run.people(30)
    rejected(group(NAME, more="safety: { additions: { hold: over 10% } }\n"), "would gain 30 licenses")


def test_protected_people(run: Run, code: AsCode, rejected: Rejected) -> None:
    people = run.people(3)
    applied(code, group(NAME, "SMALL, EXTRA"))
    run.protect(people[0])
    rejected(group(NAME), f"Protected people in {NAME} would lose something: {people[0]}@fabrikam.example")
    code.write(group(NAME))
    assert code.plan("--allow", "protected").code == 2


def test_an_app_whose_prerequisite_is_off(run: Run, code: AsCode, rejected: Rejected) -> None:
    needing, needed = _dependent_apps(run)
    rejected(group(NAME, f"SUITE: {{ off: [{needed}] }}"), "would fail because an app needs another one that is off")
    code.write(group(NAME, f"SUITE: {{ off: [{needed}, {needing}] }}"))
    assert code.plan().code == 2


def _dependent_apps(run: Run) -> tuple[str, str]:
    """A product with an app that needs another one of it, by Microsoft's list."""
    from shared.domain import catalog_data
    from shared.domain.directory import ServicePlan, SubscribedSku

    plan, needs = next(iter(catalog_data.DEPENDENCIES.items()))
    needed = min(needs[0])
    plans = (ServicePlan(plan, "NEEDING"), ServicePlan(ServicePlanId(needed), "NEEDED"), SMALL.service_plans[0])
    run.directory.add_sku(SubscribedSku(SkuId(str(TWIN)), "SUITE", plans, enabled=100))
    run.people(2)
    return "NEEDING", "NEEDED"


def test_an_engine_changed_as_a_side_effect(run: Run, code: AsCode, rejected: Rejected) -> None:
    run.people(1)
    native = replace(run.directory.groups[OTHER_TEAM], native_skus=(AssignedLicense(SMALL.sku_id),))
    run.directory.groups[OTHER_TEAM] = native
    rejected(group(OTHER_NAME, "LARGE"), "a file cannot change the engine. Write engine: watched")
    applied(code, SMALL_TEAM)
    rejected(
        f"{HEAD}groups:\n  - group: {NAME}\n    engine: native\n", "a file cannot change the engine. Remove engine"
    )


@pytest.mark.parametrize(
    ("test", "reason"),
    [
        ("has: [LARGE]", "would not have LARGE."),
        ("hasNot: [SMALL]", "would have SMALL."),
        ("has: [LAGRE]", "Did you mean LARGE?"),
    ],
)
def test_a_failed_policy_test(run: Run, rejected: Rejected, test: str, reason: str) -> None:
    (person,) = run.people(1)
    rejected(group(NAME, more=f"tests:\n  - user: {person}\n    {test}\n"), reason)


def test_a_policy_test_sees_the_state_after_the_plan(run: Run, code: AsCode) -> None:
    (person,) = run.people(1)
    run.directory.add_user(user(2), has=[AssignedLicense(SMALL.sku_id)])
    tests = (
        f"tests:\n  - user: {person}\n    has: [LARGE]\n    hasNot: [SMALL]\n  - user: {user(2)}\n    has: [SMALL]\n"
    )
    applied(code, SMALL_TEAM)
    code.write(group(NAME, "LARGE", tests))
    shown = code.plan()
    assert shown.code == 2, shown.err


def test_a_group_that_cannot_be_licensed(run: Run, rejected: Rejected) -> None:
    run.directory.groups[TEAM] = replace(run.directory.groups[TEAM], security_enabled=False)
    rejected(group(NAME), "cannot be licensed. It is not a security group.")


def test_what_the_app_would_reject_is_a_reason_too(run: Run, code: AsCode, rejected: Rejected) -> None:
    sku = replace(SMALL, sku_id=SkuId(str(TWIN)), sku_part_number="COMPANY", applies_to="Company")
    run.directory.add_sku(sku)
    rejected(group(NAME, str(TWIN)), "applies to the company")


def test_all_reasons_are_named_at_once(run: Run, code: AsCode) -> None:
    code.write(group(NAME, "SMAL, LARG", "  - group: Nowhere\n"))
    assert code.plan().err.count("licenses.yaml:") == 3
