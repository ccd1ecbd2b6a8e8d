"""The bill of materials lists what is installed, alike for the same packages. No other license is deployed."""

from __future__ import annotations

import re
from importlib.metadata import distribution
from pathlib import Path

import pytest

from infra import sbom
from tests.support.project import ROOT


def install(folder: Path, name: str, version: str, *lines: str) -> None:
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("\n".join(("Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}", *lines)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    install(
        tmp_path,
        "Web.Client",
        "2.1",
        "License-Expression: MIT",
        "Requires-Dist: core_lib (>=1)",
        "Requires-Dist: absent",
    )
    install(tmp_path, "core-lib", "1.0", "License: Apache 2.0", 'Requires-Dist: web-client ; extra == "all"')
    return tmp_path


def test_packages_their_versions_licenses_and_needs_are_listed(folder: Path) -> None:
    found = sbom.document("app", "0.1", sbom.packages_of(folder))
    assert [each["purl"] for each in found["components"]] == ["pkg:pypi/core-lib@1.0", "pkg:pypi/web-client@2.1"]
    assert [each["licenses"] for each in found["components"]] == [
        [{"expression": "Apache-2.0"}],
        [{"expression": "MIT"}],
    ]
    assert found["dependencies"] == [
        {"ref": "app@0.1", "dependsOn": ["pkg:pypi/core-lib@1.0", "pkg:pypi/web-client@2.1"]},
        {"ref": "pkg:pypi/core-lib@1.0", "dependsOn": []},
        {"ref": "pkg:pypi/web-client@2.1", "dependsOn": ["pkg:pypi/core-lib@1.0"]},
    ]


def test_the_same_packages_give_the_same_file_and_others_another(folder: Path) -> None:
    first, again = (sbom.document("app", "0.1", sbom.packages_of(folder)) for _ in range(2))
    install(folder, "third", "1", "License: MIT")
    other = sbom.document("app", "0.1", sbom.packages_of(folder))
    assert first == again
    assert first["serialNumber"] != other["serialNumber"]


@pytest.mark.parametrize(
    ("stated", "license", "is_allowed"),
    [
        (["Apache-2.0 OR BSD-3-Clause"], "Apache-2.0 OR BSD-3-Clause", True),
        (["The MIT License (MIT)\nCopyright someone", "MIT License"], "MIT", True),
        (["GPL-3.0-only"], "GPL-3.0-only", False),
        (["MIT AND GPL-3.0-only"], "MIT AND GPL-3.0-only", False),
        ([], "none stated", False),
    ],
)
def test_a_license_that_is_not_allowed_or_not_stated_is_told(stated: list[str], license: str, is_allowed: bool) -> None:
    found = sbom.license_of(stated)
    assert found == license
    faults = sbom.license_faults([sbom.Package("good", "1", "MIT"), sbom.Package("other", "2", found)])
    assert [each.split(":")[0] for each in faults] == ([] if is_allowed else ["other 2"])


def locked() -> list[str]:
    return sorted(set(re.findall(r"^([a-z0-9.-]+)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE)))


def test_every_package_that_is_deployed_is_listed_with_its_license() -> None:
    table = dict(
        re.findall(r"^\| `([\w.-]+)` \| ([^|]+) \|$", (ROOT / "docs" / "dependencies.md").read_text(), re.MULTILINE)
    )
    assert list(table) == locked()
    assert sbom.license_faults([sbom.Package(name, "", license) for name, license in table.items()]) == []
    installed = {name: sbom._package(distribution(name)).license for name in table}
    assert installed == table
