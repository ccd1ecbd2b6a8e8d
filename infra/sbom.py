"""The packages of a folder as a software bill of materials (CycloneDX 1.6, cyclonedx.org/docs/1.6/json), and a check of
their licenses.

`python -m infra.package` writes it beside the deployment package. The same packages give the same file, byte by byte:
it has no time, and its serial number is computed from its contents. CycloneDX has generators for environments and lock
files; the package is neither, and what it needs of the format is this.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

ALLOWED = frozenset({"Apache-2.0", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0"})
"""Licenses, by their SPDX names, under which a package can be deployed unmodified beside MIT-licensed code."""

NAMES: Mapping[str, str] = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
"""Other names that packages give, and the SPDX names."""


@dataclass(frozen=True, slots=True)
class Package:
    """An installed package. `license`: an SPDX expression, or what the package says if that has no SPDX name."""

    name: str
    version: str
    license: str
    needs: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        return f"pkg:pypi/{self.name}@{self.version}"


def normalized(name: str) -> str:
    """A package's name as PyPI compares it (packaging.python.org/specifications/name-normalization)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def packages_of(folder: Path) -> tuple[Package, ...]:
    """The packages that are installed in a folder, by name."""
    found = [_package(each) for each in distributions(path=[str(folder)])]
    return tuple(sorted(found, key=lambda each: each.name))


def _package(distribution: Distribution) -> Package:
    metadata = distribution.metadata
    needs = {
        normalized(re.split(r"[^\w.-]", each)[0]) for each in distribution.requires or () if "extra ==" not in each
    }
    classifiers = [each.split(" :: ")[-1] for each in metadata.get_all("Classifier") or () if each[:7] == "License"]
    stated = [metadata["License-Expression"] or "", (metadata["License"] or "").strip(), *classifiers]
    return Package(normalized(metadata["Name"]), distribution.version, license_of(stated), tuple(sorted(needs)))


def license_of(stated: Iterable[str]) -> str:
    """The first one that is an SPDX name or has one, which a whole license text has not. Otherwise all, on one line."""
    given = [each for each in stated if each]
    for each in given:
        expression = NAMES.get(each, each)
        if _parts(expression) <= ALLOWED:
            return expression
    return " / ".join(each.splitlines()[0][:60] for each in given) or "none stated"


def _parts(expression: str) -> set[str]:
    return set(re.split(r" (?:AND|OR|WITH) ", expression.replace("(", "").replace(")", "")))


def license_faults(packages: Sequence[Package]) -> list[str]:
    """Packages whose license is not among those allowed."""
    return [
        f"{each.name} {each.version}: the license {each.license!r} is not among {', '.join(sorted(ALLOWED))}"
        for each in packages
        if not _parts(each.license) <= ALLOWED
    ]


def document(name: str, version: str, packages: Sequence[Package]) -> dict[str, Any]:
    """The bill of materials of an application."""
    root = f"{name}@{version}"
    urls = {each.name: each.url for each in packages}
    content = {
        "metadata": {"component": {"type": "application", "bom-ref": root, "name": name, "version": version}},
        "components": [
            {
                "type": "library",
                "bom-ref": each.url,
                "name": each.name,
                "version": each.version,
                "purl": each.url,
                "licenses": [{"expression": each.license}],
            }
            for each in packages
        ],
        "dependencies": [
            {"ref": root, "dependsOn": list(urls.values())},
            *({"ref": each.url, "dependsOn": [urls[need] for need in each.needs if need in urls]} for each in packages),
        ],
    }
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(content, sort_keys=True))
    head = {"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": f"urn:uuid:{serial}", "version": 1}
    return {**head, **content}
