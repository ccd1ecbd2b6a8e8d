"""Each property, resource and role that the security of the deployment rests on is missed when it is broken."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from infra.check.constants import Constants
from infra.check.nodes import Operation
from infra.check.project import faults, load
from infra.check.safety import EXISTING, FOLLOWING, LOCKED, LOGGED, OF_ONE_FILE, PASSED, PROPERTIES, ROLES

INFRA = Path(__file__).resolve().parents[4] / "infra"

BOTH_ACCOUNTS = ("modules/storage.bicep", "modules/host-storage.bicep")

SEEDED: list[tuple[str, str, str, str]] = [
    *(
        (file, f"    {name}: {value}\n", replacement, f"properties.{name} of account must be")
        for file in BOTH_ACCOUNTS
        for name, value, replacement in (
            ("allowSharedKeyAccess", "false", "    allowSharedKeyAccess: true\n"),
            ("allowBlobPublicAccess", "false", ""),
            ("allowCrossTenantReplication", "false", ""),
            ("minimumTlsVersion", "'TLS1_2'", "    minimumTlsVersion: 'TLS1_0'\n"),
            ("supportsHttpsTrafficOnly", "true", "    supportsHttpsTrafficOnly: privateNetworking\n"),
        )
    ),
    (
        "modules/host-storage.bicep",
        "      enabled: true\n      days",
        "      enabled: false\n      days",
        "properties.containerDeleteRetentionPolicy.enabled of blobs must be True, not False",
    ),
    (
        "modules/storage.bicep",
        "    deleteRetentionPolicy: {\n      enabled: true\n      days: 30\n    }\n",
        "",
        "properties.deleteRetentionPolicy.enabled of blobs must be True, not nothing",
    ),
    (
        "modules/storage.bicep",
        "    containerDeleteRetentionPolicy: {\n",
        "    isVersioningEnabled: true\n    containerDeleteRetentionPolicy: {\n",
        "blobs must not give properties.isVersioningEnabled",
    ),
    (
        "modules/storage.bicep",
        "publicAccess: 'None'",
        "publicAccess: 'Blob'",
        "properties.publicAccess of audit must be None, not Blob",
    ),
    (
        "modules/storage.bicep",
        "    allowProtectedAppendWrites: true\n",
        "",
        "properties.allowProtectedAppendWrites of auditPolicy must be True, not nothing",
    ),
    ("modules/storage.bicep", "  name: 'audit'\n", "  name: 'audits'\n", "there is no Microsoft.Storage/"),
    (
        "modules/storage.bicep",
        "          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/add/action'\n",
        "          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write'\n",
        "properties.permissions of auditAppender must be",
    ),
    (
        "modules/storage.bicep",
        "  scope: audit\n",
        "  scope: account\n",
        "must not have the role auditAppender on account",
    ),
    ("modules/storage.bicep", "  scope: audit\n", "", "the identity lacks the role auditAppender on audit"),
    (
        "modules/storage.bicep",
        "    roleDefinitionId: auditAppender.id\n",
        "    roleDefinitionId: subscriptionResourceId('', storageTableDataContributor)\n",
        "the identity must not have the role storageTableDataContributor on audit",
    ),
    (
        "modules/host-storage.bicep",
        "  scope: account\n",
        "  scope: packages\n",
        "the identity must not have the role storageBlobDataOwner on packages",
    ),
    (
        "modules/servicebus.bicep",
        "    disableLocalAuth: true\n",
        "",
        "properties.disableLocalAuth of namespace must be",
    ),
    (
        "modules/servicebus.bicep",
        "minimumTlsVersion: '1.2'",
        "minimumTlsVersion: '1.0'",
        "minimumTlsVersion of namespace",
    ),
    (
        "modules/servicebus.bicep",
        "  scope: namespace\n  properties: {\n    principalId",
        "  properties: {\n    principalId",
        "the identity lacks the role serviceBusDataOwner on namespace",
    ),
    (
        "modules/monitoring.bicep",
        "    DisableLocalAuth: true\n",
        "",
        "properties.DisableLocalAuth of component must be",
    ),
    ("modules/monitoring.bicep", "      disableLocalAuth: true\n", "", "disableLocalAuth of workspace must be True"),
    (
        "modules/monitoring.bicep",
        "  scope: component\n",
        "  scope: workspace\n",
        "monitoringMetricsPublisher on workspace",
    ),
    ("modules/app.bicep", "    httpsOnly: true\n", "", "properties.httpsOnly of app must be True, not nothing"),
    (
        "modules/app.bicep",
        "minTlsVersion: '1.2'",
        "minTlsVersion: '1.0'",
        "properties.siteConfig.minTlsVersion of app must be",
    ),
    ("modules/app.bicep", "  name: 'ftp'\n", "  name: 'scm'\n", "basicPublishingCredentialsPolicies ftp"),
    (
        "modules/app.bicep",
        "  name: 'scm'\n  properties: {\n    allow: false\n",
        "  name: 'scm'\n  properties: {\n    allow: true\n",
        "properties.allow of scmPasswords must be False, not True",
    ),
    (
        "modules/app.bicep",
        "requireAuthentication: true",
        "requireAuthentication: false",
        "requireAuthentication of signIn",
    ),
    (
        "modules/app.bicep",
        "        enabled: false\n",
        "        enabled: true\n",
        "properties.login.tokenStore.enabled of signIn must be False",
    ),
    *(
        (
            f"modules/{file}.bicep",
            f"  scope: {symbol}\n  properties: {{\n    work",
            "  properties: {\n    work",
            observed,
        )
        for file, symbol, observed in (
            ("storage", "tables", "tables has no diagnostic setting"),
            ("storage", "blobs", "blobs has no diagnostic setting"),
            ("host-storage", "blobs", "blobs has no diagnostic setting"),
            ("servicebus", "namespace", "namespace has no diagnostic setting"),
            ("app", "app", "app has no diagnostic setting"),
        )
    ),
    (
        "modules/host-storage.bicep",
        "        category: 'StorageDelete'\n        enabled: true\n",
        "        category: 'StorageDelete'\n        enabled: false\n",
        "StorageDelete of blobs is not logged",
    ),
    *(
        ("modules/app.bicep", f"      {name}: {value}\n", "", f"properties.siteConfig.{name} of app must be")
        for name, value in (("scmMinTlsVersion", "'1.2'"), ("http20Enabled", "true"), ("ftpsState", "'Disabled'"))
    ),
    (
        "modules/app.bicep",
        "      requireHttps: true\n",
        "      requireHttps: false\n",
        "requireHttps of signIn must be True",
    ),
    (
        "modules/app.bicep",
        "union([signInClientId], clients)",
        "[signInClientId]",
        "allowedApplications of signIn must follow ['allowedClients', 'signInClientId'], not signInClientId",
    ),
    (
        "modules/app.bicep",
        "union([signInClientId], clients)",
        "union([name], clients)",
        "allowedApplications of signIn must follow ['allowedClients', 'signInClientId'], not allowedClients and name",
    ),
    (
        "modules/app.bicep",
        "empty(publishingAddresses) ? 'Allow' : 'Deny'",
        "'Allow'",
        "scmIpSecurityRestrictionsDefaultAction of app must follow ['publishingAddresses'], not nothing",
    ),
    (
        "modules/app.bicep",
        "for index in range(0, length(publishers)): {",
        "for index in range(0, length(clients)): {",
        "scmIpSecurityRestrictions of app must follow ['publishingAddresses'], not",
    ),
    ("modules/app.bicep", "'AppServiceAuthenticationLogs'", "'AppServiceHTTPLogs'", "AuthenticationLogs of app is not"),
    ("modules/app.bicep", "    workspaceId: workspaceId\n", "", "the logs of app do not go to the workspace"),
    ("modules/storage.bicep", "level: 'CanNotDelete'", "level: 'NotSpecified'", "account has no lock against deletion"),
    (
        "modules/servicebus.bicep",
        "  scope: namespace\n  properties: {\n    level",
        "  properties: {\n    level",
        "no lock",
    ),
    *(
        (
            "main.bicep",
            f"    {parameter}: {given}\n",
            f"    {parameter}: {other}\n",
            f"{parameter} of module app must be",
        )
        for parameter, given, other in (
            ("hostStorageAccountName", "hostStorage.outputs.name", "storage.outputs.name"),
            ("packageContainerUrl", "hostStorage.outputs.packageContainerUrl", "storage.outputs.blobsEndpoint"),
            ("allowedClients", "allowedClients", "''"),
            ("tablesEndpoint", "storage.outputs.tablesEndpoint", "hostStorage.outputs.packageContainerUrl"),
        )
    ),
]


def observed(tmp_path: Path, file: str, old: str, new: str) -> list[str]:
    """The faults after one replacement, which must find exactly one place."""
    target = tmp_path / "infra"
    shutil.copytree(INFRA, target, ignore=shutil.ignore_patterns("check", "scripts", "__pycache__", "*.py"))
    path = target / file
    text = path.read_text()
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file}"
    path.write_text(text.replace(old, new))
    return faults((target / "main.bicep").resolve())


@pytest.mark.parametrize(("file", "old", "new", "expected"), SEEDED)
def test_a_rule_that_is_broken_is_found(tmp_path: Path, file: str, old: str, new: str, expected: str) -> None:
    found = observed(tmp_path, file, old, new)
    assert any(expected in each for each in found), found


def test_every_rule_has_been_broken_here() -> None:
    broken = " ".join(f"{file} {expected}" for file, _, _, expected in SEEDED)
    paths = {path.rsplit(".", 1)[-1] for paths in PROPERTIES.values() for path in paths}
    paths |= {key.rsplit(".", 1)[-1] for rules in (OF_ONE_FILE, FOLLOWING) for keys in rules.values() for key in keys}
    roles = {role for given in ROLES.values() for _, role in given}
    parameters = {parameter for _, parameter in PASSED}
    assert [each for each in sorted(paths | roles | parameters) if each not in broken] == []
    assert EXISTING.keys() | LOGGED.keys() | LOCKED.keys() <= {Path(file).name for file, *_ in SEEDED}


@pytest.mark.parametrize(
    ("variable", "parameter"), [("clients", "allowedClients"), ("publishers", "publishingAddresses")]
)
def test_blanks_after_commas_do_not_become_part_of_a_name(variable: str, parameter: str) -> None:
    """The app's own settings are read so, and the platform compares texts."""
    file = load(INFRA / "modules" / "app.bicep")
    declared = file.named(variable)
    assert declared is not None
    assert isinstance(declared.value, Operation)
    given = declared.value.operands[2]
    assert Constants(file, INFRA / "modules").value(given, {parameter: "first, second,third"}) == [
        "first",
        "second",
        "third",
    ]
