"""The scripts for a tenant's administrator, against a stand-in for the Azure CLI that remembers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from functions.web.principal import SCOPE
from shared.domain.access import APP_ROLES
from tests.integration.fake_az import GRAPH_APP, TENANT

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "infra" / "scripts"
PRINCIPAL = "4d1f5a3e-0000-4000-8000-00000000000a"
OTHER = "4d1f5a3e-0000-4000-8000-00000000000b"
SERVICE = "4d1f5a3e-0000-4000-8000-00000000000c"
URL = "https://func-x.azurewebsites.net"

ALWAYS = {"LicenseAssignment.ReadWrite.All", "LicenseAssignment.Read.All", "User.Read.All", "Group.Read.All"}
KNOWN = [*sorted(ALWAYS), "User.ReadWrite.All", "Member.Read.Hidden", "GroupMember.ReadWrite.All", "Mail.Read"]
KNOWN += ["RoleManagement.Read.Directory", "PrivilegedEligibilitySchedule.Read.AzureADGroup"]
KNOWN += ["AdministrativeUnit.Read.All"]


def role_id(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, name))


@dataclass(slots=True)
class Az:
    """The directory behind the stand-in, and runs of scripts against it."""

    folder: Path

    @property
    def state(self) -> Any:
        return json.loads((self.folder / "state.json").read_text())

    def change(self, **fields: Any) -> None:
        (self.folder / "state.json").write_text(json.dumps({**self.state, **fields}))

    def run(self, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": f"{self.folder}:{os.environ['PATH']}",
            "FAKE_AZ_STATE": str(self.folder / "state.json"),
            "PYTHONPATH": str(ROOT),
        }
        command = ["bash", str(SCRIPTS / script), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)

    def grant(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run("grant-graph-permissions.sh", *arguments, PRINCIPAL)

    def register(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run("register-app.sh", "--url", URL, "--identity", PRINCIPAL, *arguments)

    def granted(self) -> set[str]:
        names = {role_id(name): name for name in KNOWN}
        return {names[each["appRoleId"]] for each in self.state["grants"]}

    def have(self, *names: str) -> None:
        rows = [{"id": f"g-{name}", "appRoleId": role_id(name), "resourceId": SERVICE} for name in names]
        self.change(grants=rows)


@pytest.fixture
def az(tmp_path: Path) -> Az:
    command = tmp_path / "az"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tests.integration.fake_az "$@"\n')
    command.chmod(0o755)
    roles = [{"value": name, "id": role_id(name), "allowedMemberTypes": ["Application"]} for name in KNOWN]
    delegated = {"value": "User.Read.All", "id": role_id("delegated"), "allowedMemberTypes": ["User"]}
    graph = {"id": SERVICE, "appId": GRAPH_APP, "appRoles": [delegated, *roles]}
    state = {"graph": graph, "grants": [], "applications": [], "servicePrincipals": [], "writes": []}
    (tmp_path / "state.json").write_text(json.dumps(state))
    return Az(tmp_path)


def test_exactly_what_is_always_needed_is_granted_each_with_its_reason(az: Az) -> None:
    done = az.grant()
    assert (done.returncode, done.stderr) == (0, "")
    assert az.granted() == ALWAYS
    lines = [line.split(maxsplit=2) for line in done.stdout.splitlines()[:4]]
    assert {line[1] for line in lines} == ALWAYS
    assert all(line[0] == "now-granted" and len(line[2]) > 20 for line in lines)


def test_granting_again_writes_nothing(az: Az) -> None:
    az.grant("--with", "usage-location")
    before = az.state
    again = az.grant("--with", "usage-location")
    assert again.returncode == 0
    assert az.state == before
    assert again.stdout.count("granted ") == 5
    assert "now-granted" not in again.stdout


def test_a_feature_adds_its_permission_and_only_that(az: Az) -> None:
    az.grant("--with", "onboarding", "--with", "hidden-groups")
    assert az.granted() == ALWAYS | {"GroupMember.ReadWrite.All", "Member.Read.Hidden"}


def test_read_only_grants_only_permissions_to_read_and_reports_one_to_write(az: Az) -> None:
    done = az.grant("--read-only", "--with", "protected-people")
    assert done.returncode == 0, done.stderr
    assert {name for name in az.granted() if "ReadWrite" in name} == set()
    assert {"LicenseAssignment.Read.All", "User.Read.All", "Group.Read.All"} <= az.granted()
    assert az.grant("--read-only", "--check", "--with", "protected-people").returncode == 0
    az.have("LicenseAssignment.ReadWrite.All", *az.granted())
    assert az.grant("--read-only", "--check", "--with", "protected-people").returncode == 1


def test_read_only_with_a_feature_that_writes_is_rejected(az: Az) -> None:
    done = az.grant("--read-only", "--with", "onboarding")
    assert (done.returncode, "GroupMember.ReadWrite.All" in done.stderr) == (2, True)
    assert az.granted() == set()


def test_a_dry_run_says_what_is_missing_and_writes_nothing(az: Az) -> None:
    az.have("User.Read.All")
    done = az.grant("--dry-run")
    assert done.returncode == 0
    assert done.stdout.count("would-grant") == 3
    assert az.state["writes"] == []


def without_az(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The script on a machine that has the usual tools and no Azure CLI."""
    for name in ("bash", "grep", "cut", "awk", "cat", "dirname"):
        (tmp_path / name).symlink_to(shutil.which(name) or name)
    command = ["bash", str(SCRIPTS / "grant-graph-permissions.sh"), *arguments, PRINCIPAL]
    environment = {"PATH": str(tmp_path)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_a_dry_run_without_the_azure_cli_lists_the_needed_permissions(tmp_path: Path) -> None:
    done = without_az(tmp_path, "--dry-run", "--with", "onboarding", "--with", "usage-location")
    assert (done.returncode, done.stderr) == (0, "")
    shown = {line.split()[1] for line in done.stdout.splitlines() if line.startswith("needed ")}
    assert shown == ALWAYS | {"GroupMember.ReadWrite.All", "User.ReadWrite.All"}
    assert "az) is not installed" in done.stdout


@pytest.mark.parametrize("mode", [[], ["--check"], ["--revoke"]])
def test_other_modes_without_the_azure_cli_name_it(tmp_path: Path, mode: list[str]) -> None:
    done = without_az(tmp_path, *mode)
    assert (done.returncode, done.stdout) == (2, "")
    assert "the Azure CLI (az) is not installed" in done.stderr


def test_a_check_fails_for_a_missing_permission_and_passes_when_all_are_there(az: Az) -> None:
    az.have(*sorted(ALWAYS - {"Group.Read.All"}))
    missing = az.grant("--check")
    assert missing.returncode == 1
    assert "missing      Group.Read.All" in missing.stdout
    az.have(*sorted(ALWAYS))
    assert az.grant("--check").returncode == 0
    assert az.state["writes"] == []


def test_a_check_fails_for_more_than_is_needed_be_it_named_in_the_table_or_not(az: Az) -> None:
    az.have(*sorted(ALWAYS), "User.ReadWrite.All")
    unneeded = az.grant("--check")
    assert unneeded.returncode == 1
    assert "unneeded     User.ReadWrite.All" in unneeded.stdout
    assert az.grant("--check", "--with", "usage-location").returncode == 0
    az.have(*sorted(ALWAYS), "Mail.Read")
    unmanaged = az.grant("--check")
    assert unmanaged.returncode == 1
    assert "unmanaged    Mail.Read" in unmanaged.stdout


def test_revoking_takes_what_the_app_ever_needs_and_leaves_what_others_granted(az: Az) -> None:
    az.have(*sorted(ALWAYS), "User.ReadWrite.All", "Mail.Read")
    done = az.grant("--revoke")
    assert done.returncode == 0
    assert az.granted() == {"Mail.Read"}
    assert done.stdout.count("revoked") == 5


def test_a_rejected_grant_ends_the_script_and_is_not_told_as_granted(az: Az) -> None:
    az.change(fail=2)
    done = az.grant()
    assert done.returncode != 0
    assert "Insufficient privileges" in done.stderr
    assert done.stdout.count("now-granted") == 1


def test_a_partial_list_of_grants_is_rejected(az: Az) -> None:
    az.change(paged=True)
    done = az.grant()
    assert done.returncode == 2
    assert az.state["writes"] == []


def test_a_permission_the_tenant_does_not_know_is_told(az: Az) -> None:
    graph = az.state["graph"]
    graph["appRoles"] = [each for each in graph["appRoles"] if each["value"] != "LicenseAssignment.Read.All"]
    az.change(graph=graph)
    done = az.grant()
    assert done.returncode == 2
    assert "no application permission LicenseAssignment.Read.All" in done.stderr


@pytest.mark.parametrize("arguments", [["--with", "everything"], ["--all"], ["--with"], [OTHER]])
def test_what_is_no_option_is_rejected_before_anything_is_asked(az: Az, arguments: list[str]) -> None:
    done = az.grant(*arguments)
    assert done.returncode == 2
    assert done.stderr
    assert az.state["writes"] == []


def test_every_permission_of_the_table_has_a_feature_and_a_reason_and_is_in_the_reference() -> None:
    rows = [line.split("\t") for line in (SCRIPTS / "permissions.tsv").read_text().splitlines() if line[0] != "#"]
    reference = (ROOT / "docs" / "reference" / "permissions.md").read_text()
    assert all(len(row) == 3 and len(row[2]) > 20 for row in rows)
    assert all(f"`{permission}`" in reference for _, permission, _ in rows)


def test_a_registration_is_made_with_roles_claims_and_trust_and_no_secret(az: Az) -> None:
    done = az.register()
    assert (done.returncode, done.stderr) == (0, "")
    (app,) = az.state["applications"]
    assert {each["value"] for each in app["appRoles"]} == set(APP_ROLES)
    assert {each["value"]: each["allowedMemberTypes"] for each in app["appRoles"]}["Licensing.Approve"] == ["User"]
    assert len({each["id"] for each in app["appRoles"]}) == len(APP_ROLES)
    requested = {kind: {each["name"] for each in claims} for kind, claims in app["optionalClaims"].items()}
    assert requested == {"idToken": {"auth_time", "acct"}, "accessToken": {"auth_time", "acct", "idtyp"}}
    (scope,) = app["api"]["oauth2PermissionScopes"]
    assert (scope["value"], scope["type"], scope["isEnabled"]) == (SCOPE, "Admin", True)
    assert app["groupMembershipClaims"] == "DirectoryRole"
    assert app["identifierUris"] == [f"api://{app['appId']}"]
    assert app["web"]["redirectUris"] == [f"{URL}/.auth/login/aad/callback"]
    (credential,) = app["credentials"]
    assert (credential["subject"], credential["audiences"]) == (PRINCIPAL, ["api://AzureADTokenExchange"])
    assert credential["issuer"] == f"https://login.microsoftonline.com/{TENANT}/v2.0"
    assert [each["appId"] for each in az.state["servicePrincipals"]] == [app["appId"]]
    assert f"azd env set SIGN_IN_CLIENT_ID {app['appId']}" in done.stdout
    assert not any("assword" in json.dumps(each) or "ecret" in json.dumps(each) for each in az.state["writes"])


def test_registering_again_makes_nothing_twice(az: Az) -> None:
    az.register()
    before = {name: az.state[name] for name in ("applications", "servicePrincipals")}
    assert az.register().returncode == 0
    assert {name: az.state[name] for name in before} == before


def test_a_scope_that_people_could_consent_to_becomes_one_for_administrators(az: Az) -> None:
    az.register()
    rows = az.state["applications"]
    rows[0]["api"]["oauth2PermissionScopes"][0]["type"] = "User"
    az.change(applications=rows)
    done = az.register()
    assert (done.returncode, done.stderr) == (0, "")
    (scope,) = az.state["applications"][0]["api"]["oauth2PermissionScopes"]
    assert (scope["type"], scope["isEnabled"]) == ("Admin", True)
    assert "done: disable the scope" in done.stdout


def test_a_new_identity_replaces_the_old_one_in_the_trust(az: Az) -> None:
    az.register()
    az.run("register-app.sh", "--url", URL, "--identity", OTHER)
    (app,) = az.state["applications"]
    assert [each["subject"] for each in app["credentials"]] == [OTHER]


def test_two_registrations_of_the_name_need_a_choice(az: Az) -> None:
    rows = [
        {"id": f"o{n}", "appId": guid, "displayName": "Group-based licensing", "appRoles": [], "credentials": []}
        for n, guid in enumerate((PRINCIPAL, OTHER))
    ]
    az.change(applications=rows)
    rejected = az.register()
    assert rejected.returncode == 2
    assert PRINCIPAL in rejected.stderr
    assert OTHER in rejected.stderr
    assert az.state["writes"] == []
    assert az.register("--client-id", OTHER).returncode == 0
    assert [bool(each["credentials"]) for each in az.state["applications"]] == [False, True]


def test_app_roles_of_another_are_not_overwritten(az: Az) -> None:
    az.register()
    rows = az.state["applications"]
    rows[0]["appRoles"].append({"value": "Payroll.Read", "id": OTHER})
    az.change(applications=rows)
    rejected = az.register()
    assert rejected.returncode == 2
    assert "Payroll.Read" in rejected.stderr
    assert az.state["applications"] == rows


def test_a_dry_run_of_registering_writes_nothing(az: Az) -> None:
    done = az.register("--dry-run")
    assert done.returncode == 0
    assert "would: make the registration" in done.stdout
    assert az.state["writes"] == []


@pytest.mark.parametrize(
    "arguments",
    [["--url", "http://x.example"], ["--identity", "me"], ["--name", "a' or '"], ["--client-id", "x"], ["--force"]],
)
def test_bad_arguments_of_registering_are_rejected(az: Az, arguments: list[str]) -> None:
    done = az.register(*arguments)
    assert done.returncode == 2
    assert az.state["writes"] == []
