"""The offline check of the Bicep files: nothing is found in ours, and each seeded fault is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from infra.check.project import faults

INFRA = Path(__file__).resolve().parents[4] / "infra"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    target = tmp_path / "infra"
    shutil.copytree(INFRA, target, ignore=shutil.ignore_patterns("check", "scripts", "__pycache__", "*.py"))
    return target


def seed(copy: Path, file: str, old: str, new: str) -> list[str]:
    """The faults after one replacement, which must find exactly one place."""
    path = copy / file
    text = path.read_text()
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file}"
    path.write_text(text.replace(old, new))
    return faults((copy / "main.bicep").resolve())


def test_nothing_is_found_in_the_files_as_they_are(copy: Path) -> None:
    assert faults((copy / "main.bicep").resolve()) == []


SEEDED = {
    "a misspelt property": (
        "modules/servicebus.bicep",
        "maxDeliveryCount: queue",
        "maxDeliverCount: queue",
        "properties has no property maxDeliverCount; is maxDeliveryCount meant?",
    ),
    "a misspelt property deep inside": (
        "modules/app.bicep",
        "perInstanceConcurrency: 16",
        "perInstanceConcurency: 16",
        "http has no property perInstanceConcurency",
    ),
    "a misspelt property in an object in a list": (
        "modules/alerts.bicep",
        "minFailingPeriodsToAlert: 1",
        "minFailingPeriods: 1",
        "failingPeriods has no property minFailingPeriods",
    ),
    "a misspelt property in a list of a list": (
        "modules/network.bicep",
        "serviceName: 'Microsoft.App/environments'",
        "service: 'Microsoft.App/environments'",
        "properties has no property service",
    ),
    "a parent of another type, out of a loop": (
        "modules/network.bicep",
        "parent: zones[index]",
        "parent: doors[index]",
        "the parent of links must be a Microsoft.Network/privateDnsZones",
    ),
    "a property on the wrong level": (
        "modules/storage.bicep",
        "  kind: 'StorageV2'\n",
        "  kind: 'StorageV2'\n  minimumTlsVersion: 'TLS1_2'\n",
        "the resource has no property minimumTlsVersion; it belongs in properties",
    ),
    "a missing required property": (
        "modules/monitoring.bicep",
        "    Application_Type: 'web'\n",
        "",
        "properties lacks the required property Application_Type",
    ),
    "a missing required property of a metric alert": (
        "modules/alerts.bicep",
        "          metricName: 'ActiveMessages'\n",
        "",
        "allOf lacks the required property metricName",
    ),
    "an undefined symbol": (
        "modules/servicebus.bicep",
        "for queue in declared:",
        "for queue in declaredQueues:",
        "undefined symbol declaredQueues",
    ),
    "an unknown function": ("main.bicep", "toLower(", "lower(", "unknown function lower"),
    "an unknown module output": (
        "main.bicep",
        "storage.outputs.tablesEndpoint",
        "storage.outputs.tableEndpoint",
        "module storage has no output tableEndpoint",
    ),
    "an unknown module parameter": (
        "main.bicep",
        "    mail: alertMail",
        "    mail: alertMail\n    post: alertMail",
        "module alerts has no parameter post",
    ),
    "a module parameter that is not given": (
        "main.bicep",
        "    retentionDays: logRetentionDays\n",
        "",
        "module monitoring is not given its parameter retentionDays",
    ),
    "a module that does not exist": (
        "main.bicep",
        "modules/alerts.bicep",
        "modules/alarms.bicep",
        "alarms.bicep: No such",
    ),
    "a wrong value of a closed list": (
        "modules/app.bicep",
        "'RedirectToLoginPage'",
        "'RedirectToLogin'",
        "unauthenticatedClientAction must be one of RedirectToLoginPage,",
    ),
    "a wrong value in one branch": (
        "modules/storage.bicep",
        "publicAccess: 'None'",
        "publicAccess: empty(name) ? 'None' : 'Nobody'",
        "publicAccess must be one of",
    ),
    "a text where a number belongs": (
        "modules/app.bicep",
        "instanceCount: 1",
        "instanceCount: '1'",
        'instanceCount must be of type int, not "1"',
    ),
    "a value of the wrong type out of a variable": (
        "modules/alerts.bicep",
        "    operator: 'LessThan'\n    threshold: 1\n  }\n  {\n    name: 'subscription-not-kept'",
        "    operator: 'Below'\n    threshold: 1\n  }\n  {\n    name: 'subscription-not-kept'",
        "operator must be one of",
    ),
    "a read-only property": (
        "modules/servicebus.bicep",
        "      requiresSession: queue",
        "      createdAt: 'now'\n      requiresSession: queue",
        "createdAt of properties is read-only",
    ),
    "two declarations of one name": (
        "modules/identity.bicep",
        "param location string\n",
        "param location string\nparam name string\n",
        "name is declared twice",
    ),
    "two resources of one name": (
        "modules/app.bicep",
        "  name: 'scm'\n",
        "  name: 'ftp'\n",
        "resource scmPasswords has the same name as another one: ftp",
    ),
    "one property twice": (
        "modules/monitoring.bicep",
        "    DisableLocalAuth: true\n",
        "    DisableLocalAuth: true\n    DisableLocalAuth: false\n",
        "property DisableLocalAuth is given 2 times",
    ),
    "a role id that is another role's": (
        "modules/storage.bicep",
        "'0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'",
        "'974c5e8b-45b9-4653-ba55-5f855dd0fb88'",
        "974c5e8b-45b9-4653-ba55-5f855dd0fb88 is not the id of storageTableDataContributor",
    ),
    "a role id without a name": (
        "modules/servicebus.bicep",
        "roleDefinitions', serviceBusDataOwner)",
        "roleDefinitions', '090c5cfd-751d-490a-894a-3ce6f1109419')",
        "must be in a variable of its own",
    ),
    "a key that the declaration of the queues lacks": (
        "modules/servicebus.bicep",
        "queue.Properties.LockDuration",
        "queue.Properties.LockTime",
        "no 'LockTime' among",
    ),
    "a declaration of queues that does not exist": (
        "modules/servicebus.bicep",
        "../servicebus-config.json').",
        "../queues.json').",
        "../queues.json cannot be read as JSON",
    ),
    "a parent of another type": (
        "modules/storage.bicep",
        "  parent: blobs\n",
        "  parent: account\n",
        "the parent of audit must be a Microsoft.Storage/storageAccounts/blobServices",
    ),
    "a version of a type that is not published": (
        "modules/identity.bicep",
        "@2024-11-30'",
        "@2024-11-31'",
        "is not in the extract of published types",
    ),
    "a module without a scope": (
        "main.bicep",
        "  name: 'identity'\n  scope: group\n",
        "  name: 'identity'\n",
        "module identity has no scope",
    ),
    "a parameter nobody uses": (
        "modules/identity.bicep",
        "param tags object\n",
        "param tags object\nparam colour string = ''\n",
        "param colour is never used",
    ),
    "a default that is not allowed": (
        "main.bicep",
        "param instanceMemoryMB int = 2048",
        "param instanceMemoryMB int = 1024",
        "the default of instanceMemoryMB is not among the allowed values",
    ),
    "a bracket that is not closed": ("modules/identity.bicep", "  tags: tags\n}", "  tags: tags\n", "modules/identity"),
    "a parameter that the parameter file does not give": (
        "main.bicep",
        "param alertMail string = ''\n",
        "param alertMail string = ''\n\nparam owner string\n",
        "main.parameters.json: the parameter owner is not given",
    ),
}


@pytest.mark.parametrize("fault", SEEDED)
def test_a_seeded_fault_is_found_and_told(copy: Path, fault: str) -> None:
    file, old, new, expected = SEEDED[fault]
    observed = seed(copy, file, old, new)
    assert any(expected.replace("modules/identity", "identity.bicep: line") in each for each in observed), observed


def test_every_fault_is_told_at_once_with_its_file_and_line(copy: Path) -> None:
    seed(copy, "modules/storage.bicep", "defaultToOAuthAuthentication:", "defaultToOAuth:")
    observed = seed(copy, "main.bicep", "toLower(", "lower(")
    assert [each.rsplit(":", 2)[0] for each in observed] == ["main.bicep", "modules/storage.bicep"]
    line = next(
        number
        for number, text in enumerate((copy / "modules" / "storage.bicep").read_text().splitlines(), 1)
        if "defaultToOAuth:" in text
    )
    assert f"modules/storage.bicep:{line}: properties has no property defaultToOAuth" in observed[1]
