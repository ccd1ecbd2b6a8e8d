"""The security of the deployment: properties that a resource must have, resources that must exist, and the roles of
the app's identity, none less and none more. SECURITY.md describes what each is for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

from infra.check.constants import UNKNOWN, Constants, Missing
from infra.check.nodes import Access, Call, Conditional, Declaration, Expression, File, Loop, Name, Object
from infra.check.symbols import body_of, shown, walk

PROPERTIES: Mapping[str, Mapping[str, Any]] = {
    "Microsoft.Storage/storageAccounts": {
        "properties.allowSharedKeyAccess": False,
        "properties.allowBlobPublicAccess": False,
        "properties.allowCrossTenantReplication": False,
        "properties.minimumTlsVersion": "TLS1_2",
        "properties.supportsHttpsTrafficOnly": True,
    },
    "Microsoft.Storage/storageAccounts/blobServices": {"properties.containerDeleteRetentionPolicy.enabled": True},
    "Microsoft.Storage/storageAccounts/blobServices/containers": {"properties.publicAccess": "None"},
    "Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies": {
        "properties.allowProtectedAppendWrites": True,
    },
    "Microsoft.ServiceBus/namespaces": {"properties.disableLocalAuth": True, "properties.minimumTlsVersion": "1.2"},
    "Microsoft.Insights/components": {"properties.DisableLocalAuth": True},
    "Microsoft.OperationalInsights/workspaces": {"properties.features.disableLocalAuth": True},
    "Microsoft.Web/sites": {
        "properties.httpsOnly": True,
        "properties.siteConfig.minTlsVersion": "1.2",
        "properties.siteConfig.scmMinTlsVersion": "1.2",
        "properties.siteConfig.http20Enabled": True,
        "properties.siteConfig.ftpsState": "Disabled",
    },
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": {"properties.allow": False},
    "Microsoft.Web/sites/config": {
        "properties.globalValidation.requireAuthentication": True,
        "properties.httpSettings.requireHttps": True,
        "properties.login.tokenStore.enabled": False,
    },
}
"""Resource type -> property -> the value that every resource of the type must give."""

EXISTING: Mapping[str, AbstractSet[str]] = {
    "storage.bicep": {
        "Microsoft.Storage/storageAccounts/blobServices default",
        "Microsoft.Storage/storageAccounts/blobServices/containers audit",
        "Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies default",
    },
    "app.bicep": {
        "Microsoft.Web/sites/basicPublishingCredentialsPolicies ftp",
        "Microsoft.Web/sites/basicPublishingCredentialsPolicies scm",
        "Microsoft.Web/sites/config authsettingsV2",
    },
}
"""Module -> type and name of resources that it must have."""

OF_ONE_FILE: Mapping[str, Mapping[str, Any]] = {
    "storage.bicep": {
        "blobs properties.deleteRetentionPolicy.enabled": True,
        "auditAppender properties.permissions": [
            {
                "actions": [],
                "notActions": [],
                "dataActions": [
                    "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read",
                    "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/add/action",
                ],
                "notDataActions": [],
            }
        ],
    },
}
"""Module -> symbol and property -> value. With versions of blobs, a write over a protected digest would succeed."""

ABSENT: Mapping[str, AbstractSet[str]] = {"storage.bicep": {"blobs properties.isVersioningEnabled"}}
"""Module -> symbol and property that it must not give."""

FOLLOWING: Mapping[str, Mapping[str, AbstractSet[str]]] = {
    "app.bicep": {
        "signIn properties.identityProviders.azureActiveDirectory.validation.defaultAuthorizationPolicy"
        ".allowedApplications": {"signInClientId", "allowedClients"},
        "app properties.siteConfig.scmIpSecurityRestrictions": {"publishingAddresses"},
        "app properties.siteConfig.scmIpSecurityRestrictionsDefaultAction": {"publishingAddresses"},
    },
}
"""Module -> symbol and property -> parameters that it follows."""

LOGGED: Mapping[str, Mapping[str, AbstractSet[str]]] = {
    "storage.bicep": {
        "tables": {"StorageWrite", "StorageDelete"},
        "blobs": {"StorageRead", "StorageWrite", "StorageDelete"},
    },
    "host-storage.bicep": {"blobs": {"StorageWrite", "StorageDelete"}},
    "servicebus.bicep": {"namespace": set()},  # the categories depend on its tier
    "app.bicep": {"app": {"AppServiceAuthenticationLogs", "FunctionAppLogs"}},
}
"""Module -> resource -> categories of logs that go to the workspace."""

LOCKED: Mapping[str, AbstractSet[str]] = {"storage.bicep": {"account"}, "servicebus.bicep": {"namespace"}}
"""Module -> resources with a lock against deletion."""

ROLES: Mapping[str, AbstractSet[tuple[str, str]]] = {
    "storage.bicep": {("account", "storageTableDataContributor"), ("audit", "auditAppender")},
    "host-storage.bicep": {("account", "storageBlobDataOwner")},
    "servicebus.bicep": {("namespace", "serviceBusDataOwner")},
    "monitoring.bicep": {("component", "monitoringMetricsPublisher")},
}
"""Module -> the scopes and roles that it gives to the identity."""

PASSED: Mapping[tuple[str, str], str] = {
    ("app", "hostStorageAccountName"): "hostStorage.outputs.name",
    ("app", "packageContainerUrl"): "hostStorage.outputs.packageContainerUrl",
    ("app", "tablesEndpoint"): "storage.outputs.tablesEndpoint",
    ("app", "allowedClients"): "allowedClients",
}
"""Module and parameter -> what main.bicep gives. The host and the data have accounts of their own."""

Fault = tuple[int, str]


def safety_faults(file: File, name: str, folder: Path) -> Iterator[Fault]:
    """Line and text of each fault; `name` is the file's own, `folder` is where its paths start."""
    constants = Constants(file, folder)
    for each in file.of("resource"):
        for path, expected in PROPERTIES.get(_type(each), {}).items():
            yield from _property(constants, each, path, expected)
    for key, expected in OF_ONE_FILE.get(name, {}).items():
        symbol, path = key.split()
        found = file.named(symbol)
        if found is None:
            yield 1, f"there is no resource {symbol}"
        else:
            yield from _property(constants, found, path, expected)
    for key in ABSENT.get(name, ()):
        symbol, path = key.split()
        found = file.named(symbol)
        if found is not None and _at(_value(constants, found), path) is not None:
            yield found.line, f"{symbol} must not give {path}"
    for key, parameters in FOLLOWING.get(name, {}).items():
        yield from _following(file, key, parameters)
    yield from _existing(constants, file, EXISTING.get(name, set()))
    yield from _logged(constants, file, LOGGED.get(name, {}))
    yield from _locked(constants, file, LOCKED.get(name, set()))
    yield from _roles(file, ROLES.get(name, set()))
    yield from _passed(file)


def _type(resource: Declaration) -> str:
    return resource.type.split("@")[0]


def _value(constants: Constants, resource: Declaration) -> Any:
    """The body of a resource, with unknowns inside."""
    body = body_of(resource)
    try:
        return UNKNOWN if body is None else constants.value(body, {})
    except Missing:
        return UNKNOWN


def _at(value: Any, path: str) -> Any:
    """The value of a body at a path; None if there is none."""
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _property(constants: Constants, resource: Declaration, path: str, expected: Any) -> Iterator[Fault]:
    found = _at(_value(constants, resource), path)
    if type(found) is not type(expected) or found != expected:
        given = "nothing" if found is None else found
        yield resource.line, f"{path} of {resource.name} must be {expected}, not {given}"


def _following(file: File, key: str, parameters: AbstractSet[str]) -> Iterator[Fault]:
    """A property that is computed from exactly these parameters."""
    symbol, path = key.split()
    resource = file.named(symbol)
    value: Expression | None = body_of(resource) if resource else None
    for step in path.split("."):
        value = value.get(step) if isinstance(value, Object) else None
    found = _parameters(file, value) if value is not None else set()
    if found != parameters:
        given = " and ".join(sorted(found)) or "nothing"
        yield resource.line if resource else 1, f"{path} of {symbol} must follow {sorted(parameters)}, not {given}"


def _parameters(file: File, expression: Expression) -> set[str]:
    """Parameters in an expression, also those in the variables that it names."""
    found: set[str] = set()
    for each in walk(expression):
        declared = file.named(each.name) if isinstance(each, Name) else None
        if declared is not None and declared.kind == "param":
            found.add(declared.name)
        elif declared is not None and declared.kind == "var" and declared.value is not None:
            found |= _parameters(file, declared.value)
    return found


def _existing(constants: Constants, file: File, expected: AbstractSet[str]) -> Iterator[Fault]:
    found = {f"{_type(each)} {_at(_value(constants, each), 'name')}" for each in file.of("resource")}
    for each in sorted(expected - found):
        yield 1, f"there is no {each}"


def _on(file: File, type_: str) -> Mapping[str, Declaration]:
    """Resources of a type by the symbol that they are on."""
    found = {}
    for each in file.of("resource"):
        body = body_of(each)
        if _type(each) == type_ and body is not None:
            found[shown(body.get("scope"))] = each
    return found


def _logged(constants: Constants, file: File, expected: Mapping[str, AbstractSet[str]]) -> Iterator[Fault]:
    found = _on(file, "Microsoft.Insights/diagnosticSettings")
    for symbol, categories in expected.items():
        if symbol not in found:
            yield 1, f"{symbol} has no diagnostic setting"
            continue
        value = _value(constants, found[symbol])
        logs = _at(value, "properties.logs")
        given = (
            {each.get("category") for each in logs if each.get("enabled") is True} if isinstance(logs, list) else set()
        )
        for category in sorted(categories - given):
            yield found[symbol].line, f"{category} of {symbol} is not logged"
        if _at(value, "properties.workspaceId") is None:
            yield found[symbol].line, f"the logs of {symbol} do not go to the workspace"


def _locked(constants: Constants, file: File, expected: AbstractSet[str]) -> Iterator[Fault]:
    found = _on(file, "Microsoft.Authorization/locks")
    for symbol in sorted(expected):
        lock = found.get(symbol)
        if lock is None or _at(_value(constants, lock), "properties.level") != "CanNotDelete":
            yield 1 if lock is None else lock.line, f"{symbol} has no lock against deletion"


def _roles(file: File, expected: AbstractSet[tuple[str, str]]) -> Iterator[Fault]:
    """Each role assignment is to the identity, of an expected role on the expected resource."""
    given = {}
    for each in file.of("resource"):
        if _type(each) != "Microsoft.Authorization/roleAssignments":
            continue
        body = body_of(each)
        properties = body.get("properties") if body else None
        role = properties.get("roleDefinitionId") if isinstance(properties, Object) else None
        given[shown(body.get("scope") if body else None), _role(role)] = each.line
        if isinstance(each.value, Loop | Conditional):
            yield each.line, f"{each.name} must give one role, without a loop or a condition"
    for scope, name in sorted(expected - given.keys()):
        yield 1, f"the identity lacks the role {name} on {scope}"
    for scope, name in sorted(given.keys() - expected):
        shown_scope = scope or "the resource group"
        yield given[scope, name], f"the identity must not have the role {name or 'of an unknown id'} on {shown_scope}"


def _role(expression: Expression | None) -> str:
    """The variable or resource that a role definition id comes from."""
    if isinstance(expression, Call) and expression.arguments:
        expression = expression.arguments[-1]
    if isinstance(expression, Access):
        expression = expression.base
    return expression.name if isinstance(expression, Name) else ""


def _passed(file: File) -> Iterator[Fault]:
    for each in file.of("module"):
        body = body_of(each)
        params = body.get("params") if body else None
        for (module, parameter), expected in PASSED.items():
            if module == each.name:
                given = shown(params.get(parameter)) if isinstance(params, Object) else ""
                if given != expected:
                    yield each.line, f"{parameter} of module {module} must be {expected}, not {given or 'nothing'}"
