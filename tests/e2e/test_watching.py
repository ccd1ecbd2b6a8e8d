"""A natively licensed group on the whole stack: watched with permissions to read alone, then diagnosed and fixed."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from local.client import CallError
from tests.support.stack_journeys import Journey, eventually, journey

READS = ["LicenseAssignment.Read.All", "User.Read.All", "Group.Read.All"]
WRITES = ["LicenseAssignment.ReadWrite.All", "User.ReadWrite.All"]
GROUP = str(uuid.uuid5(uuid.NAMESPACE_DNS, "drawers.watched.example"))
PEOPLE = [str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{number}.watched.example")) for number in range(60)]
PRODUCT = "VISIOCLIENT"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    """Sixty members, twenty licenses. Tokens that end within five minutes are renewed, so permissions count at once."""
    tenant = ("--settings", json.dumps({"tokenLifetimeSeconds": 280, "nativeDelaySeconds": 0}))
    with journey(tmp_path_factory.mktemp("watching"), members=50, tenant=tenant) as started:
        grant(started, READS)
        objects: dict[str, Any] = {
            "skus": [{"skuPartNumber": PRODUCT, "enabled": 20}],
            "users": [{"id": each} for each in PEOPLE],
            "groups": [{"id": GROUP, "displayName": "Drawers", "members": PEOPLE, "assignedLicenses": [PRODUCT]}],
        }
        started.client.tenant("POST", "/objects", objects)
        yield started


def grant(run: Journey, permissions: list[str]) -> None:
    run.client.tenant("PATCH", "/settings", {"permissions": {"product": permissions}})


def buy(run: Journey, licenses: int) -> None:
    run.client.tenant("POST", "/objects", {"skus": [{"skuPartNumber": PRODUCT, "enabled": licenses}]})


def in_error(run: Journey) -> dict[str, dict[str, Any]]:
    try:
        return run.errors(GROUP)
    except CallError as fault:
        assert fault.status == 404
        return {}


def writing(run: Journey) -> dict[str, Any]:
    """As the process says that has just called Graph."""
    products = run.client.api("GET", "/api/subscribedSkus")
    assert products["value"]
    return run.client.api("GET", "/api/writing")


def reprocessed(run: Journey) -> list[str]:
    return [each["userId"] for each in run.writes() if each["operation"] == "reprocessLicenseAssignment"]


def finishes(run: Journey) -> int:
    entries = run.rows(f"/api/audit?group={GROUP}")
    return sum(each["activityDisplayName"] == "Finish applying group based license to users" for each in entries)


def test_with_read_permissions_alone_each_member_in_error_is_shown_and_nothing_is_written(run: Journey) -> None:
    run.fire("watch_errors")
    shown = eventually(lambda: in_error(run), lambda found: len(found) == 40)
    causes = {(problem["error"], bool(problem["remedy"])) for row in shown.values() for problem in row["problems"]}
    assert causes == {("CountViolation", True)}
    status = run.client.api("GET", f"/api/groups/{GROUP}/status")
    assert (status["engine"], status["counts"]) == ("watched", {"Active": 20, "Error": 40})
    eventually(lambda: writing(run), lambda found: bool(found["readOnly"]))
    with pytest.raises(CallError, match="read permissions only"):
        run.start(f"/api/groups/{GROUP}/reprocessLicenseErrors")
    preview = run.finish(run.change(run.main, {"SPE_E3": []}, [], "?preview=true"))
    assert preview["plan"]["additions"]
    path = f"/api/groups/{GROUP}/moveLicensing"
    run.start(path, {"direction": "toDirect", "preview": True})
    move = eventually(lambda: run.client.api("GET", path), lambda found: found["state"] == "preview")
    assert (move["members"], move["newlyLicensedMembers"]) == (60, 40)
    assert [each["needed"] - each["available"] for each in move["licensesNeeded"]] == [40]
    assert run.writes() == []


def test_the_first_visit_opens_on_the_groups_that_microsoft_licenses_with_their_errors(run: Journey) -> None:
    first = run.client.page("/")
    assert "<h1>Groups licensed by Microsoft</h1>" in first
    assert f'href="/nativeGroups/{GROUP}"' in first
    row = first.split(f'href="/nativeGroups/{GROUP}"')[1].split("</tr>")[0]
    assert 'data-label="Members">60<' in row and 'data-label="With errors">40<' in row


def test_a_diagnosis_names_the_reason_and_a_reprocess_gives_the_licenses_that_there_are(run: Journey) -> None:
    grant(run, [*READS, *WRITES])
    eventually(lambda: writing(run), lambda found: not found["readOnly"])
    wrong = sorted(in_error(run))
    row = run.start(f"/api/groups/{GROUP}/members/{wrong[0]}/diagnose")
    assert "does not have any available licenses" in row["diagnosis"]["message"]
    assert reprocessed(run) == []  # the tenant's log has no rejected call
    buy(run, 50)
    run.start(f"/api/groups/{GROUP}/reprocessLicenseErrors", {"error": "CountViolation"})
    eventually(lambda: in_error(run), lambda found: len(found) == 10)
    eventually(lambda: finishes(run), lambda found: found == 1)  # else both runs process the last ten
    buy(run, 60)
    run.start(f"/api/groups/{GROUP}/reprocessLicenseErrors")
    eventually(lambda: in_error(run), lambda found: not found)
    assert sorted(reprocessed(run)) == wrong
    eventually(lambda: finishes(run), lambda found: found == 2)
    assert {counts["deadLetter"] for counts in run.queues().values()} == {0}
