"""The first-contact check on the whole stack: a run by API and timer, its page, and the script from outside."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from local.client import CallError
from local.stack import ROOT
from tests.support.stack_journeys import Journey, eventually, journey

USER, GROUP = (str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{kind}.first-contact.example")) for kind in ("user", "group"))
SCRIPT = ROOT / "infra" / "scripts" / "first-contact.sh"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    """A tenant that differs from the assumptions in one behavior."""
    tenant = ("--settings", json.dumps({"deltaUnits": True}))
    with journey(tmp_path_factory.mktemp("first-contact"), members=30, tenant=tenant) as started:
        objects: dict[str, Any] = {"users": [{"id": USER}], "groups": [{"id": GROUP, "members": []}]}
        started.client.tenant("POST", "/objects", objects)
        yield started


def ended(run: Journey, run_id: str) -> dict[str, Any]:
    """The run, once it has ended."""
    return eventually(
        lambda: run.client.api("GET", f"/api/firstContact/{run_id}"),
        lambda found: found["state"] in ("completed", "failed"),
    )


def test_a_read_only_run_writes_nothing(run: Journey) -> None:
    run.writes()
    begun = run.start("/api/firstContact", {"level": "readOnly"})
    with pytest.raises(CallError) as second:
        run.start("/api/firstContact", {"level": "readOnly"})
    assert second.value.status == 409
    found = ended(run, begun["id"])
    assert (found["state"], found["fault"]) == ("completed", None)
    assert found["requests"] <= 60
    assert {each["verdict"] for each in found["findings"]} >= {"asAssumed", "otherwise", "notTried"}
    assert [each["number"] for each in found["findings"] if each["verdict"] == "otherwise"] == [15]
    assert run.writes() == []


def test_a_basic_run_restores_the_test_user_and_group(run: Journey) -> None:
    run.writes()
    body = {"level": "basic", "testUserId": USER, "testGroupId": GROUP, "testSkuId": run.skus["FLOW_FREE"]}
    begun = run.decide("/api/firstContact", body)
    found = ended(run, begun["id"])
    assert (found["state"], found["fault"]) == ("completed", None)
    assert 0 < found["writes"] <= 12
    assert {each["userId"] for each in run.writes()} <= {USER, GROUP}
    directory = run.directory()
    (user,) = (each for each in directory["users"] if each["id"] == USER)
    (group,) = (each for each in directory["groups"] if each["id"] == GROUP)
    assert (user["licenseAssignmentStates"], user["usageLocation"], group["members"]) == ([], "DE", [])
    recorded = run.client.api("GET", f"/api/firstContact/{begun['id']}/recording")
    assert USER not in str(recorded)
    assert recorded["positions"]["41"] == "rejected"


def test_the_script_finds_that_no_caller_gets_past_the_sign_in(run: Journey) -> None:
    base = run.stack.endpoints.api.removesuffix("/api")
    done = subprocess.run([SCRIPT, base], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, "FAIL" in done.stdout) == (0, False), done.stdout + done.stderr
    assert done.stdout.count("ok ") == 11


def test_the_script_fails_at_an_open_address_and_rejects_a_wrong_argument(run: Journey) -> None:
    graph = run.stack.endpoints.graph.removesuffix("/v1.0")
    done = subprocess.run([SCRIPT, graph], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "FAIL health without sign-in" in done.stdout
    assert subprocess.run([SCRIPT, "licensing"], capture_output=True, timeout=30, check=False).returncode == 2
