"""Makes resource-types.json: the published types of the resources used here, without descriptions.

Not part of any build. It has three sources. The first is the Bicep types inside the npm package `@azure/mcp`, whose
command `bicepschema get` answers offline. Azure Monitor's alerts and private DNS zones come from the models of PyPI
packages. `WRITTEN` has two small types that are in neither.
    npm install --ignore-scripts @azure/mcp@2.0.5
    pip install azure-mgmt-monitor==7.0.0 azure-mgmt-privatedns==1.2.0
    python -m infra.check.extract node_modules/@azure/mcp-linux-x64/dist/azmcp
"""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

OUTPUT = Path(__file__).with_name("resource-types.json")
PRIMITIVES = {"string", "int", "bool", "any", "object"}

BICEP_TYPES = (
    "Microsoft.Authorization/roleAssignments",
    "Microsoft.Authorization/roleDefinitions",
    "Microsoft.Insights/components",
    "Microsoft.ManagedIdentity/userAssignedIdentities",
    "Microsoft.Network/privateEndpoints",
    "Microsoft.Network/privateEndpoints/privateDnsZoneGroups",
    "Microsoft.Network/virtualNetworks",
    "Microsoft.OperationalInsights/workspaces",
    "Microsoft.Resources/resourceGroups",
    "Microsoft.ServiceBus/namespaces",
    "Microsoft.ServiceBus/namespaces/queues",
    "Microsoft.Storage/storageAccounts",
    "Microsoft.Storage/storageAccounts/blobServices",
    "Microsoft.Storage/storageAccounts/blobServices/containers",
    "Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies",
    "Microsoft.Storage/storageAccounts/tableServices",
    "Microsoft.Web/serverfarms",
    "Microsoft.Web/sites",
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies",
    "Microsoft.Web/sites/config",
)
VARIANTS = {"Microsoft.Web/sites/config": {"authsettingsV2"}}
"""Of a type whose shape depends on its name, the names that are used here."""

SDK_TYPES = {
    "Microsoft.Insights/actionGroups@2023-01-01": ("monitor", "ActionGroupResource"),
    "Microsoft.Insights/metricAlerts@2018-03-01": ("monitor", "MetricAlertResource"),
    "Microsoft.Insights/scheduledQueryRules@2023-12-01": ("monitor", "ScheduledQueryRuleResource"),
    "Microsoft.Network/privateDnsZones@2024-06-01": ("privatedns", "PrivateZone"),
    "Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01": ("privatedns", "VirtualNetworkLink"),
}
WRITTEN: Mapping[str, Mapping[str, Any]] = {
    "Microsoft.Authorization/locks@2020-05-01": {
        "body": {"name": "string!", "properties": "Properties!"},
        "scope": "AllExceptExtension",
        "types": {
            "Owner": {"applicationId": "string"},
            "Properties": {
                "level": "NotSpecified | CanNotDelete | ReadOnly!",
                "notes": "string",
                "owners": "Owner[]",
            },
        },
    },
    "Microsoft.Insights/diagnosticSettings@2021-05-01-preview": {
        "body": {"name": "string!", "properties": "Properties!"},
        "scope": "AllExceptExtension",
        "types": {
            "Log": {
                "category": "string",
                "categoryGroup": "string",
                "enabled": "bool!",
                "retentionPolicy": "Retention",
            },
            "Metric": {
                "category": "string",
                "enabled": "bool!",
                "retentionPolicy": "Retention",
                "timeGrain": "string",
            },
            "Properties": {
                "eventHubAuthorizationRuleId": "string",
                "eventHubName": "string",
                "logAnalyticsDestinationType": "string",
                "logs": "Log[]",
                "marketplacePartnerId": "string",
                "metrics": "Metric[]",
                "serviceBusRuleId": "string",
                "storageAccountId": "string",
                "workspaceId": "string",
            },
            "Retention": {"days": "int!", "enabled": "bool!"},
        },
    },
}
"""Types by hand (learn.microsoft.com/azure/templates/microsoft.authorization/locks and
/microsoft.insights/diagnosticsettings)."""

WITHOUT_PROPERTIES = {"PrivateZone"}
"""Models that need nothing under `properties`; their flattened form does not say so."""

SUBTYPES = {
    "MetricAlertCriteria": "MetricAlertSingleResourceMultipleMetricCriteria",
    "MultiMetricCriteria": "MetricCriteria",
}
"""Of a base class, the one subtype that is used here."""


def main(azmcp: str) -> None:
    """Write the extract."""
    resources: dict[str, Any] = {}
    for name in BICEP_TYPES:
        resources.update(_from_bicep(azmcp, name))
    for name, (package, model) in SDK_TYPES.items():
        resources[name] = _from_sdk(package, model)
    resources.update(WRITTEN)
    source = {
        "bicep": "npm @azure/mcp 2.0.5 (MIT), bicepschema get",
        "monitor": "PyPI azure-mgmt-monitor 7.0.0 (MIT), models",
        "privatedns": "PyPI azure-mgmt-privatedns 1.2.0 (MIT), models",
        "written": "locks and diagnostic settings, by hand in extract.py",
        "notation": "property: type, '!' where required, '-' where read-only; types: a | b, T[], {T} for a map",
    }
    OUTPUT.write_text(json.dumps({"source": source, "resources": resources}, indent=1, sort_keys=True) + "\n")


def _from_bicep(azmcp: str, name: str) -> dict[str, Any]:
    environment = {**os.environ, "AZURE_MCP_COLLECT_TELEMETRY": "false"}
    command = [azmcp, "bicepschema", "get", "--resource-type", name]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    entries = json.loads(answer.stdout)["results"]["BicepSchemaResult"]
    resource = next(each for each in entries if each["$type"] == "Resource")
    types = {each["name"]: each for each in entries if each["$type"] in ("Object", "DiscriminatedObject")}
    body = resource["bodyType"]
    variants = body["elements"] if body["$type"] == "DiscriminatedObject" else [body]
    found: dict[str, Any] = {}
    for variant in variants:
        properties = _properties(variant, body.get("baseProperties", ()))
        fixed = properties["name"].rstrip("!- ") if len(variants) > 1 else ""
        if fixed and name in VARIANTS and fixed not in VARIANTS[name]:
            continue
        shape = {"body": properties, "scope": resource["writableScopes"], "types": _reachable(properties, types)}
        found[f"{resource['name']}{':' if fixed else ''}{fixed}"] = shape
    return found


def _properties(entry: Mapping[str, Any], more: Any = ()) -> dict[str, str]:
    return {
        each["name"]: each["type"]
        + ("!" if "Required" in each.get("flags", "") else "")
        + ("-" if "ReadOnly" in each.get("flags", "") else "")
        for each in (*more, *entry["properties"])
    }


def _reachable(properties: Mapping[str, str], types: Mapping[str, Any]) -> dict[str, Any]:
    """Types that writable properties lead to."""
    found: dict[str, Any] = {}
    waiting = [properties]
    while waiting:
        for text in waiting.pop().values():
            name = text.rstrip("!-").removesuffix("[]").removesuffix("[]")
            if name not in types or name in found:
                continue
            entry = types[name]
            shape = _properties(entry, entry.get("baseProperties", ()))
            found[name] = shape
            if entry.get("additionalPropertiesType"):
                found[name] = {**shape, "*": str(entry["additionalPropertiesType"])}
            waiting.append(found[name])
    return found


def _from_sdk(package: str, model: str) -> dict[str, Any]:
    models = importlib.import_module(f"azure.mgmt.{package}.models")
    types: dict[str, dict[str, str]] = {}
    flat = _of_model(models, model, types)
    inner = {key.removeprefix("properties."): text for key, text in flat.items() if key.startswith("properties.")}
    body = {key: text for key, text in flat.items() if not key.startswith("properties.")}
    types["Properties"] = inner
    properties = "Properties" if model in WITHOUT_PROPERTIES else "Properties!"
    return {"body": {**body, "name": "string!", "properties": properties}, "scope": "ResourceGroup", "types": types}


def _of_model(models: Any, name: str, types: dict[str, dict[str, str]]) -> dict[str, str]:
    """Wire name -> type of a model; its inner models are put into `types`."""
    model = getattr(models, name)
    found: dict[str, str] = {}
    for attribute, entry in model._attribute_map.items():
        key = entry["key"].replace("\\", "")
        if not key:
            continue
        rules = model._validation.get(attribute, {})
        kind = _type(models, entry["type"], attribute, model, types)
        found[key] = kind + ("!" if rules.get("required") else "") + ("-" if rules.get("readonly") else "")
    return found


def _type(models: Any, text: str, attribute: str, model: Any, types: dict[str, dict[str, str]]) -> str:
    if text.startswith("["):
        return _type(models, text[1:-1], attribute, model, types) + "[]"
    if text.startswith("{"):
        return text
    simple = {"str": "string", "duration": "string", "iso-8601": "string", "float": "int"}.get(text, text)
    if simple == "string":
        known = re.search(rf":vartype {attribute}: [^:]*~azure\.mgmt\.monitor\.models\.(\w+)", model.__doc__ or "")
        return " | ".join(each.value for each in getattr(models, known.group(1))) if known else simple
    if simple in PRIMITIVES:
        return simple
    name = SUBTYPES.get(text, text)
    if name not in types:
        types[name] = {}
        types[name].update(_of_model(models, name, types))
    return name


if __name__ == "__main__":
    main(sys.argv[1])
