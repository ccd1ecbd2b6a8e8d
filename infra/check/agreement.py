"""What must be the same in several places: settings in four, queues in their declaration, in Bicep and in the code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

from infra.check.constants import Constants
from infra.check.project import load
from infra.check.symbols import body_of

PLACES = ("shared/config.py", "local.settings.example.json", "infra/modules/app.bicep", "docs/reference/settings.md")

EXPECTED_ABSENT: Mapping[str, AbstractSet[str]] = {
    "local.settings.example.json": {
        "WEBSITE_AUTH_ENABLED",  # the platform sets it; locally the function host does
        "OUTSTANDING_CHUNKS",  # computed where not set
        "APPLICATIONINSIGHTS_CONNECTION_STRING",  # there is none on a developer's machine
        "ServiceBusConnection__fullyQualifiedNamespace",
        "TablesConnection__endpoint",
    },
    "infra/modules/app.bicep": {
        "WEBSITE_AUTH_ENABLED",
        "OUTSTANDING_CHUNKS",
        "APPLICATIONINSIGHTS_CONNECTION_STRING",  # among the settings of the host, which reads it too
        "OTEL_EXPORTER_OTLP_ENDPOINT",  # Application Insights is used instead
        "ServiceBusConnection",  # connection strings are for emulators
        "TablesConnection",
    },
}
"""Settings that a place leaves out on purpose."""

RELIED_ON: Mapping[str, Any] = {
    "LockDuration": "PT1M",  # a step waits at most 17 s to send again before its lock would be lost
    "MaxDeliveryCount": 10,  # what raises unexpectedly is tried again, and ends as a dead letter a person sees
    "RequiresDuplicateDetection": True,  # a step or chunk that is sent twice with one id runs once
    "DeadLetteringOnMessageExpiration": True,  # nothing vanishes for having waited
    "RequiresSession": False,  # triggers take messages without sessions
    "ForwardTo": "",
    "ForwardDeadLetteredMessagesTo": "",
}
"""Properties of every queue that the code is written for."""

OTHERWISE: Mapping[str, Mapping[str, Any]] = {"results": {"DeadLetteringOnMessageExpiration": False}}
"""Results that are not fetched for two weeks are dropped: GET /api/onboarding gives the same answer."""


def settings_faults(names: Mapping[str, AbstractSet[str]]) -> list[str]:
    """What differs between the places; `names`: place -> settings it names. The code's are the measure."""
    code = names["shared/config.py"]
    found = []
    for place in PLACES[1:]:
        expected = code - EXPECTED_ABSENT.get(place, set())
        found += [f"{place} lacks the setting {name}" for name in sorted(expected - names[place])]
        found += [
            f"{place} has the setting {name}, which the app does not read" for name in sorted(names[place] - code)
        ]
        found += [
            f"{place} sets {name}, which is not for it"
            for name in sorted(names[place] & EXPECTED_ABSENT.get(place, set()))
        ]
    return found


def settings_of_bicep(modules: Path) -> dict[str, Any]:
    """The settings map of app.bicep: name -> value, or UNKNOWN where the deployment decides."""
    file = load(modules / "app.bicep")
    return {
        str(field.key.constant): Constants(file, modules).value(field.value, {})
        for declaration in file.of("var")
        if declaration.name == "settings" and (body := body_of(declaration)) is not None
        for field in body.fields
    }


def queues_of_bicep(modules: Path) -> list[dict[str, Any]]:
    """The queues that servicebus.bicep makes: name and properties of each."""
    file = load(modules / "servicebus.bicep")
    constants = Constants(file, modules)
    found = next(
        each for each in file.of("resource") if each.type.startswith("Microsoft.ServiceBus/namespaces/queues@")
    )
    assert found.value is not None
    made: list[dict[str, Any]] = constants.value(found.value, {})
    return made


def queue_faults(
    declared: Sequence[Mapping[str, Any]], made: Sequence[Mapping[str, Any]], used: AbstractSet[str]
) -> list[str]:
    """What differs between the declaration, what Bicep makes of it, and the code; `used`: queues the code names."""
    by_name = {each["name"]: each["properties"] for each in made}
    found = [f"no queue {name} is declared" for name in sorted(used - {each["Name"] for each in declared})]
    for queue in declared:
        name = queue["Name"]
        if name not in by_name:
            found.append(f"Bicep does not make the queue {name}")
            continue
        for key, value in queue["Properties"].items():
            if value == "":
                continue
            given = by_name[name].get(key[0].lower() + key[1:], "nothing")
            if given != value:
                found.append(f"queue {name}: {key} is declared as {value}, Bicep gives {given}")
        for key, value in {**RELIED_ON, **OTHERWISE.get(name, {})}.items():
            if queue["Properties"].get(key) != value:
                found.append(f"queue {name}: {key} is {queue['Properties'].get(key)}, the code relies on {value}")
    return found
