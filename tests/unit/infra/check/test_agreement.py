"""Settings agree in the four places that name them, and queues in their declaration, in Bicep and in the code."""

from __future__ import annotations

import copy
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from infra.check.agreement import PLACES, queue_faults, queues_of_bicep, settings_faults, settings_of_bicep
from infra.check.constants import Constants, Unknown
from infra.check.project import load
from shared.config import Settings
from shared.domain import messages
from shared.handlers.membership.subscription import LIFECYCLE_PATH, NOTIFICATIONS_PATH
from tests.support.project import ROOT, settings_of_the_code

MODULES = ROOT / "infra" / "modules"
AT_DEPLOYMENT = {
    "TENANT_ID": "8da3075e-f5eb-5d83-bb90-9a271280a4fd",
    "ServiceBusConnection__fullyQualifiedNamespace": "sb-x.servicebus.windows.net",
    "TablesConnection__endpoint": "https://stx.table.core.windows.net/",
    "AZURE_CLIENT_ID": "4d1f5a3e-0000-4000-8000-00000000000a",
    "API_AUDIENCE": "api://x,x",
    "ALLOWED_CLIENTS": "4d1f5a3e-0000-4000-8000-00000000000b",
    "ALLOW_GUESTS": "false",
    "ONBOARDING_SENDERS": "urn:hr:example queue",
    "ONBOARDING_GROUPS": "4d1f5a3e-0000-4000-8000-00000000000c",
    "WRITING": "initially-off",
    "PUBLIC_URL": "https://func-x.azurewebsites.net",
}
"""Stands in for what only a deployment knows."""


def names() -> dict[str, set[str]]:
    """Place -> settings it names, as the files are."""
    table = (
        (ROOT / "docs" / "reference" / "settings.md")
        .read_text()
        .split("| setting | default | meaning |")[1]
        .split("\n\n")[0]
    )
    example = json.loads((ROOT / "local.settings.example.json").read_text())["Values"]
    return {
        "shared/config.py": settings_of_the_code(),
        "local.settings.example.json": example.keys() - {"FUNCTIONS_WORKER_RUNTIME"},
        "infra/modules/app.bicep": set(settings_of_bicep(MODULES)),
        "docs/reference/settings.md": set(re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)),
    }


def test_settings_are_the_same_in_all_four_places() -> None:
    assert settings_faults(names()) == []


def test_the_reference_has_the_defaults_of_bicep() -> None:
    bicep = (MODULES / "app.bicep").read_text().split("var settings = {")[1].split("\n}")[0]
    table = (ROOT / "docs" / "reference" / "settings.md").read_text().split("| setting | default | meaning |")[1]
    shown = dict(re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", table, re.MULTILINE))
    literal = {name: f"`{value}`" if value else "empty" for name, value in re.findall(r"(\w+): '([^'$]*)'\n", bicep)}
    literal["DIRECTORY_ROLES"] = "see [roles](../roles.md)"
    assert len(literal) > 30
    assert {name: shown[name] for name in literal} == literal


@pytest.mark.parametrize("place", PLACES)
def test_a_setting_missing_in_one_place_is_found(place: str) -> None:
    found = names()
    found[place] = found[place] - {"WRITE_BURST"}
    assert settings_faults(found), f"nothing found with WRITE_BURST missing in {place}"


@pytest.mark.parametrize("place", PLACES[1:])
def test_a_setting_that_nobody_reads_is_found(place: str) -> None:
    found = names()
    found[place] = found[place] | {"WRITE_BRUST"}
    assert settings_faults(found) == [f"{place} has the setting WRITE_BRUST, which the app does not read"]


def test_a_connection_string_in_bicep_is_found() -> None:
    found = names()
    found["infra/modules/app.bicep"] = found["infra/modules/app.bicep"] | {"ServiceBusConnection"}
    assert settings_faults(found) == ["infra/modules/app.bicep sets ServiceBusConnection, which is not for it"]


def test_exactly_health_and_what_graph_calls_are_reached_without_a_sign_in_and_are_routes_of_the_app() -> None:
    file = load(MODULES / "app.bicep")
    paths = file.named("pathsWithoutSignIn")
    assert paths is not None
    assert paths.value is not None
    open_paths = Constants(file, MODULES).value(paths.value, {})
    assert sorted(open_paths) == sorted([NOTIFICATIONS_PATH, LIFECYCLE_PATH, "/api/health"])
    sources = "".join(path.read_text() for path in (ROOT / "functions").glob("*.py"))
    routes = {f"/{route}" for route in re.findall(r'route\(route="([^"{]+)"', sources)}
    assert set(open_paths) == routes
    text = (MODULES / "app.bicep").read_text()
    assert text.count("pathsWithoutSignIn") == 2
    assert "      excludedPaths: pathsWithoutSignIn\n" in text


SECRETS = re.compile(
    r"listKeys|listConnectionStrings|listAccountSas|listServiceSas|@secure|[Pp]assword|SharedAccessKey|AccountKey|[Ii]nstrumentationKey"
)


def test_no_file_of_the_infrastructure_reads_hands_out_or_names_a_secret() -> None:
    files = [*(ROOT / "infra").rglob("*.bicep"), ROOT / "infra" / "main.parameters.json", ROOT / "azure.yaml"]
    assert len(files) >= 9
    for file in files:
        lines = [line for line in file.read_text().splitlines() if not line.lstrip().startswith("//")]
        assert [line for line in lines if SECRETS.search(line) and "resource " not in line] == [], file.name


def test_the_identity_has_four_built_in_roles_and_one_of_its_own_each_named_and_argued() -> None:
    text = "".join(path.read_text() for path in MODULES.glob("*.bicep"))
    named = re.findall(r"^var (\w+) = '[0-9a-f]{8}-", text, re.MULTILINE)
    assert sorted(named) == [
        "monitoringMetricsPublisher",
        "serviceBusDataOwner",
        "storageBlobDataOwner",
        "storageTableDataContributor",
    ]
    assert all(re.search(rf"^// .+\nvar {name} =", text, re.MULTILINE) for name in named)
    assert text.count("'Microsoft.Authorization/roleAssignments@") == 5
    assert re.search(r"^// .+\nresource auditAppender 'Microsoft.Authorization/roleDefinitions@", text, re.MULTILINE)


def test_what_bicep_sets_is_accepted_and_is_what_the_code_has_as_its_defaults() -> None:
    bicep = settings_of_bicep(MODULES)
    assert {name for name, value in bicep.items() if isinstance(value, Unknown)} == AT_DEPLOYMENT.keys()
    deployed = Settings.from_env({**bicep, **AT_DEPLOYMENT})
    assert deployed == Settings.from_env(AT_DEPLOYMENT)


def parameters() -> dict[str, Any]:
    given = json.loads((ROOT / "infra" / "main.parameters.json").read_text())["parameters"]
    return {name: each["value"] for name, each in given.items()}


def test_settings_that_a_deployment_changes_are_settings_that_there_are_with_values_they_take() -> None:
    changed = parameters()["changedSettings"]
    assert changed.keys() <= names()["shared/config.py"]
    Settings.from_env({**settings_of_bicep(MODULES), **AT_DEPLOYMENT, **changed})


def test_every_parameter_can_be_set_in_the_environment_of_azd_with_the_default_that_bicep_has() -> None:
    bicep = (ROOT / "infra" / "main.bicep").read_text()
    defaults = dict(re.findall(r"^param (\w+) \w+(?: = (.+))?$", bicep, re.MULTILINE))
    given = parameters()
    assert defaults.keys() - given.keys() == {"tags"}
    for name, value in given.items():
        if isinstance(value, str):
            found = re.fullmatch(r"\$\{[A-Z_]+(?:=(.*))?\}", value)
            assert found, name
            assert (found.group(1) or "") == defaults[name].strip("'"), name


def declared() -> list[dict[str, Any]]:
    config = json.loads((ROOT / "infra" / "servicebus-config.json").read_text())
    queues: list[dict[str, Any]] = config["UserConfig"]["Namespaces"][0]["Queues"]
    return queues


def used() -> set[str]:
    """The queues that have a trigger."""
    sources = "".join(path.read_text() for path in (ROOT / "functions").glob("*.py"))
    return {str(getattr(messages, name)) for name in re.findall(r"queue_name=(\w+)", sources)}


def test_queues_are_the_same_in_their_declaration_in_bicep_and_in_the_code() -> None:
    assert len(used()) >= 5
    assert queue_faults(declared(), queues_of_bicep(MODULES), used()) == []


def with_module(tmp_path: Path, old: str, new: str) -> list[dict[str, Any]]:
    """What Bicep makes after one replacement."""
    shutil.copytree(ROOT / "infra" / "modules", tmp_path / "modules")
    shutil.copy(ROOT / "infra" / "servicebus-config.json", tmp_path)
    path = tmp_path / "modules" / "servicebus.bicep"
    assert path.read_text().count(old) == 1
    path.write_text(path.read_text().replace(old, new))
    return queues_of_bicep(tmp_path / "modules")


@pytest.mark.parametrize(
    ("old", "new", "observed"),
    [
        ("queue.Properties.LockDuration", "'PT30S'", "queue jobs: LockDuration is declared as PT1M, Bicep gives PT30S"),
        (
            "      requiresDuplicateDetection: queue.Properties.RequiresDuplicateDetection\n",
            "",
            "queue jobs: RequiresDuplicateDetection is declared as True, Bicep gives nothing",
        ),
        (
            "duplicateDetectionHistoryTimeWindow: queue.Properties.DuplicateDetectionHistoryTimeWindow",
            "duplicateDetectionHistoryTimeWindow: queue.Properties.LockDuration",
            "queue jobs: DuplicateDetectionHistoryTimeWindow is declared as PT10M, Bicep gives PT1M",
        ),
    ],
)
def test_a_queue_property_that_bicep_gives_otherwise_is_found(
    tmp_path: Path, old: str, new: str, observed: str
) -> None:
    found = queue_faults(declared(), with_module(tmp_path, old, new), used())
    assert observed in found
    assert len(found) == len(declared())


@pytest.mark.parametrize(
    ("change", "observed"),
    [
        ({"RequiresDuplicateDetection": False}, "RequiresDuplicateDetection is False, the code relies on True"),
        ({"MaxDeliveryCount": 1}, "MaxDeliveryCount is 1, the code relies on 10"),
        ({"ForwardTo": "results"}, "ForwardTo is declared as results, Bicep gives nothing"),
    ],
)
def test_a_queue_declared_other_than_the_code_needs_is_found(change: Mapping[str, Any], observed: str) -> None:
    queues = copy.deepcopy(declared())
    queues[2]["Properties"].update(change)
    assert any(observed in each for each in queue_faults(queues, queues_of_bicep(MODULES), used()))


def test_a_queue_that_nobody_declares_is_found() -> None:
    queues = [each for each in declared() if each["Name"] != "members"]
    assert queue_faults(queues, queues_of_bicep(MODULES), used()) == ["no queue members is declared"]


def test_locks_are_renewed_for_as_long_as_a_function_may_take() -> None:
    """A message whose lock ends before its function is delivered again and worked on twice."""
    host = json.loads((ROOT / "host.json").read_text())
    assert host["extensions"]["serviceBus"]["maxAutoLockRenewalDuration"] == host["functionTimeout"]
