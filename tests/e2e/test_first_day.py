"""The first day on the whole stack: permissions, notifications, a canary group, a preview and writing, one after the
other, on the start page and on Health. The list goes when all are done, and a later fault does not bring it back."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.stack_journeys import Journey, eventually, journey

CANARY = str(uuid.uuid5(uuid.NAMESPACE_DNS, "canary.first-day.example"))
BIRD = str(uuid.uuid5(uuid.NAMESPACE_DNS, "bird.first-day.example"))
SETTINGS = {"CANARY_GROUP": CANARY, "CANARY_MEMBER": BIRD, "PROTECTED_PEOPLE": "off", "ONBOARDING_GROUPS": "none"}
ALWAYS = ["LicenseAssignment.ReadWrite.All", "LicenseAssignment.Read.All", "User.Read.All", "Group.Read.All"]
MEMBERSHIPS = "GroupMember.ReadWrite.All"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    """Tokens that end within five minutes are renewed, so that permissions count at once. Writing is off."""
    tenant = ("--settings", json.dumps({"tokenLifetimeSeconds": 280, "notificationHttp": True}))
    folder = tmp_path_factory.mktemp("first-day")
    with journey(folder, members=50, tenant=tenant, settings=SETTINGS, validated=False) as started:
        bird, group = {"id": BIRD, "displayName": "Bird"}, {"id": CANARY, "displayName": "Canary"}
        started.client.tenant("POST", "/objects", {"users": [bird], "groups": [group]})
        grant(started, ALWAYS[1:])
        started.decide("/api/writing/turnOff")
        yield started


def grant(run: Journey, permissions: list[str]) -> None:
    run.client.tenant("PATCH", "/settings", {"permissions": {"product": permissions}})


def health(run: Journey) -> dict[str, Any]:
    """As the process says that has just called Graph."""
    assert run.client.api("GET", "/api/subscribedSkus")["value"]
    return run.client.api("GET", "/api/overview")


def steps(run: Journey) -> dict[str, str]:
    return {each["name"]: each["state"] for each in health(run)["firstDay"]}


def canary(run: Journey) -> dict[str, Any]:
    found: dict[str, Any] = health(run)["canary"]
    return found


def is_member(run: Journey) -> bool:
    return any(BIRD in each["members"] for each in run.directory()["groups"] if each["id"] == CANARY)


def test_a_new_deployment_lists_every_step_and_names_the_missing_permission(run: Journey) -> None:
    found = eventually(lambda: health(run), lambda each: each["permissions"]["known"])
    assert [each["permission"] for each in found["permissions"]["missing"]] == [ALWAYS[0]]
    assert found["permissions"]["tokenExpirationDateTime"]
    assert steps(run) == dict.fromkeys(("permissions", "subscription", "canary", "preview", "writing"), "open")
    shown = run.client.page("/")
    for text in ("First preview", "Canary group", f"The token lacks {ALWAYS[0]}", 'href="/health#permissions"'):
        assert text in shown


def test_without_the_permission_for_memberships_the_app_leaves_the_canary_to_a_person(run: Journey) -> None:
    grant(run, ALWAYS)
    eventually(lambda: steps(run), lambda found: found["permissions"] == "done")
    run.decide("/api/writing/turnOn")
    run.fire("sync_all")
    found = eventually(lambda: canary(run), lambda each: bool(each["fault"]))
    assert MEMBERSHIPS in found["fault"]
    assert not is_member(run)


def test_the_app_changes_the_canary_and_the_change_arrives_by_notification_and_delta(run: Journey) -> None:
    grant(run, [*ALWAYS, MEMBERSHIPS])
    run.fire("renew_subscription")
    eventually(lambda: steps(run), lambda found: found["subscription"] == "done")
    run.fire("query_deltas")
    run.until_quiet()

    def changed() -> bool:
        # The process that runs the timer renews its token before it calls Graph again.
        if not is_member(run):
            run.fire("sync_all")
        return is_member(run)

    eventually(changed, bool)
    waits = eventually(lambda: canary(run), lambda each: bool(each["notifiedDateTime"]))
    assert waits["state"] in ("waiting", "proven")
    run.fire("query_deltas")
    proven = eventually(lambda: canary(run), lambda each: each["state"] == "proven")
    assert not proven["fault"]
    assert [each["activityDisplayName"] for each in run.rows(f"/api/audit?group={CANARY}")] == ["Add member to group"]


def test_after_a_preview_the_list_goes_and_stays_away(run: Journey) -> None:
    assert run.finish(run.change(run.main, {"SPE_E3": []}, [], "?preview=true"))["plan"]["additions"]
    assert steps(run)["preview"] == "done"
    run.fire("watchdog")
    eventually(lambda: steps(run), lambda found: not found)
    assert "First preview" not in run.client.page("/")
    run.decide("/api/writing/turnOff")
    assert not steps(run)
    assert "First preview" not in run.client.page("/")
