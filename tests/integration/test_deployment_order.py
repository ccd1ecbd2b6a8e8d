"""The order provision, grant, deploy: azd's hooks against a stand-in for the Azure CLI. azd itself is not run."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from tests.integration.test_scripts import ALWAYS, PRINCIPAL, ROOT, SCRIPTS, Az, az

__all__ = ["az"]

WITH_ONBOARDING = ALWAYS | {"GroupMember.ReadWrite.All"}


def hook(az: Az, mode: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": f"{az.folder}:{os.environ['PATH']}",
        "FAKE_AZ_STATE": str(az.folder / "state.json"),
        "PYTHONPATH": str(ROOT),
        "IDENTITY_PRINCIPAL_ID": PRINCIPAL,
    }
    command = ["bash", str(SCRIPTS / "permissions-for-azd.sh"), mode]
    return subprocess.run(
        command, env=environment | variables, capture_output=True, text=True, timeout=120, check=False
    )


def test_azd_grants_after_provisioning_and_checks_before_deploying() -> None:
    text = (ROOT / "azure.yaml").read_text()
    hooks = text.split("\nhooks:\n")[1].split("\nservices:")[0]
    modes = re.findall(r"^  (\w+):\n(?:    .*\n)*?    run: .*permissions-for-azd\.sh (\w+)$", hooks, re.MULTILINE)
    assert modes == [("postprovision", "grant"), ("predeploy", "check")]
    assert "continueOnError" not in hooks.split("predeploy:")[1]


def test_the_first_deployment_ends_before_code_while_a_permission_is_missing(az: Az) -> None:
    az.have(*sorted(ALWAYS - {"Group.Read.All"}))
    done = hook(az, "check")
    assert done.returncode == 1
    assert f"grant-graph-permissions.sh {PRINCIPAL}" in done.stderr
    assert az.state["writes"] == []


def test_after_provisioning_the_missing_permissions_are_granted_and_then_deploying_goes_on(az: Az) -> None:
    assert hook(az, "grant", GRAPH_FEATURES="onboarding").returncode == 0
    assert az.granted() == WITH_ONBOARDING
    assert hook(az, "check", GRAPH_FEATURES="onboarding").returncode == 0
    before = az.state
    assert hook(az, "grant", GRAPH_FEATURES="onboarding").returncode == 0
    assert az.state == before


def test_a_person_who_cannot_grant_is_told_the_command_with_its_features(az: Az) -> None:
    az.change(fail=1)
    done = hook(az, "grant", GRAPH_FEATURES="onboarding,protected-people")
    assert done.returncode == 1
    assert f"grant-graph-permissions.sh --with onboarding --with protected-people {PRINCIPAL}" in " ".join(
        done.stderr.split()
    )
    assert hook(az, "check").returncode == 1


def test_more_than_is_needed_does_not_stop_a_deployment(az: Az) -> None:
    az.have(*sorted(WITH_ONBOARDING), "Mail.Read")
    assert hook(az, "check").returncode == 0


def test_read_only_needs_only_permissions_to_read(az: Az) -> None:
    az.have("LicenseAssignment.Read.All", "User.Read.All", "Group.Read.All")
    assert hook(az, "check", GRAPH_READ_ONLY="true").returncode == 0
    assert hook(az, "check").returncode == 1


def test_a_tenant_that_cannot_be_read_stops_the_deployment_unless_somebody_has_granted(az: Az) -> None:
    az.change(paged=True)
    assert hook(az, "check").returncode == 1
    assert hook(az, "check", PERMISSIONS_GRANTED="true").returncode == 0


@pytest.mark.parametrize(("mode", "variables"), [("deploy", {}), ("check", {"IDENTITY_PRINCIPAL_ID": ""})])
def test_wrong_use_is_named(az: Az, mode: str, variables: dict[str, str]) -> None:
    done = hook(az, mode, **variables)
    assert done.returncode == 2
    assert done.stderr
