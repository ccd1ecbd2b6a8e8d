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
from infra.check.constants import Unknown
from shared.config import Settings
from shared.domain import messages
from tests.unit.test_documents import ROOT, settings_of_the_code

MODULES = ROOT / "infra" / "modules"
AT_DEPLOYMENT = {
    "TENANT_ID": "8da3075e-f5eb-5d83-bb90-9a271280a4fd",
    "ServiceBusConnection__fullyQualifiedNamespace": "sb-x.servicebus.windows.net",
    "TablesConnection__endpoint": "https://stx.table.core.windows.net/",
    "AZURE_CLIENT_ID": "4d1f5a3e-0000-4000-8000-00000000000a",
    "API_AUDIENCE": "api://x,x",
    "PUBLIC_URL": "https://func-x.azurewebsites.net",
}
"""Stands in for what only a deployment knows."""


def names() -> dict[str, set[str]]:
    """Place -> settings it names, as the files are."""
    table = (ROOT / "README.md").read_text().split("| setting | meaning |")[1].split("\n\n")[0]
    example = json.loads((ROOT / "local.settings.example.json").read_text())["Values"]
    return {
        "shared/config.py": settings_of_the_code(),
        "local.settings.example.json": example.keys() - {"FUNCTIONS_WORKER_RUNTIME"},
        "infra/modules/app.bicep": set(settings_of_bicep(MODULES)),
        "README.md": set(re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)),
    }


def test_settings_are_the_same_in_all_four_places() -> None:
    assert settings_faults(names()) == []


@pytest.mark.parametrize("place", PLACES)
def test_a_setting_missing_in_one_place_is_found(place: str) -> None:
    found = names()
    found[place] = found[place] - {"WRITE_BURST"}
    assert settings_faults(found), f"nothing found with WRITE_BURST missing in {place}"


@pytest.mark.parametrize("place", PLACES[1:])
def test_a_setting_that_nobody_reads_is_found(place: str) -> None:
    found = names()
    found[place] = found[place] | {"WRITE_BRUST"}
    assert settings_faults(found) == [f"{place} has the setting WRITE_BRUST, which nobody reads"]


def test_a_connection_string_in_bicep_is_found() -> None:
    found = names()
    found["infra/modules/app.bicep"] = found["infra/modules/app.bicep"] | {"ServiceBusConnection"}
    assert settings_faults(found) == ["infra/modules/app.bicep sets ServiceBusConnection, which is not for it"]


def test_what_bicep_sets_is_accepted_and_is_what_the_code_has_as_its_defaults() -> None:
    bicep = settings_of_bicep(MODULES)
    assert {name for name, value in bicep.items() if isinstance(value, Unknown)} == AT_DEPLOYMENT.keys()
    deployed = Settings.from_env({**bicep, **AT_DEPLOYMENT})
    assert deployed == Settings.from_env(AT_DEPLOYMENT)


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
    ("old", "new", "told"),
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
def test_a_queue_property_that_bicep_gives_otherwise_is_found(tmp_path: Path, old: str, new: str, told: str) -> None:
    found = queue_faults(declared(), with_module(tmp_path, old, new), used())
    assert told in found
    assert len(found) == len(declared())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"RequiresDuplicateDetection": False}, "RequiresDuplicateDetection is False, the code relies on True"),
        ({"MaxDeliveryCount": 1}, "MaxDeliveryCount is 1, the code relies on 10"),
        ({"ForwardTo": "results"}, "ForwardTo is declared as results, Bicep gives nothing"),
    ],
)
def test_a_queue_declared_other_than_the_code_needs_is_found(change: Mapping[str, Any], told: str) -> None:
    queues = copy.deepcopy(declared())
    queues[2]["Properties"].update(change)
    assert any(told in each for each in queue_faults(queues, queues_of_bicep(MODULES), used()))


def test_a_queue_that_nobody_declares_is_found() -> None:
    queues = [each for each in declared() if each["Name"] != "members"]
    assert queue_faults(queues, queues_of_bicep(MODULES), used()) == ["no queue members is declared"]
