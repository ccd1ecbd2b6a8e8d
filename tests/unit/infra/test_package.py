"""What goes into the deployment package, and that requirements.txt has what requirements.in pins."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from infra.package import ROOT, ignored

OUT = [
    "tests/unit/functions/web/test_access.py",
    "local/run.py",
    "infra/check/parser.py",
    ".github/workflows/check.yml",
    "docs/operating.md",
    "README.md",
    "local.settings.json",
    "requirements-dev.txt",
    "requirements.in",
    "azure.yaml",
    ".gitignore",
]
IN = [
    "function_app.py",
    "host.json",
    "requirements.txt",
    "functions/web/routes/groups.py",
    "shared/schemas/job.v1.json",
    "shared/domain/plan.py",
]
PATTERNS = (ROOT / ".funcignore").read_text().split()


@pytest.mark.parametrize("path", OUT)
def test_what_does_not_run_in_azure_stays_out(path: str) -> None:
    assert ignored(Path(path), PATTERNS)


@pytest.mark.parametrize("path", IN)
def test_what_runs_in_azure_goes_in(path: str) -> None:
    assert (ROOT / path).exists()
    assert not ignored(Path(path), PATTERNS)


def test_what_is_deployed_has_every_version_that_is_asked_for_and_hashes_for_all() -> None:
    pin = re.compile(r"^([a-z0-9-]+)==([\w.]+)", re.MULTILINE)
    lock = (ROOT / "requirements.txt").read_text()
    pinned = set(pin.findall((ROOT / "requirements.in").read_text()))
    locked = pin.findall(lock)
    assert len(pinned) >= 7
    assert pinned <= set(locked)
    blocks = re.split(r"^(?=[a-z0-9-]+==)", lock, flags=re.MULTILINE)[1:]
    assert len(blocks) == len(locked)
    assert all("--hash=sha256:" in block for block in blocks)


def test_no_library_is_deployed_that_would_instrument_others() -> None:
    """A span of the app never has the address, query or header of a request."""
    lock = (ROOT / "requirements.txt").read_text()
    assert "\nazure-monitor-opentelemetry-exporter==" in lock
    assert re.findall(r"^(opentelemetry-instrumentation\S*|azure-core-tracing\S*)==", lock, re.MULTILINE) == []


def test_every_package_that_is_asked_for_has_its_reason() -> None:
    lines = [line for line in (ROOT / "requirements.in").read_text().splitlines() if line and not line.startswith("#")]
    assert all(len(line.split("# ", 1)[1]) > 5 for line in lines if "# " in line)
    assert [line for line in lines if "# " not in line] == []


def test_azd_deploys_what_make_package_builds_and_nothing_is_built_in_azure() -> None:
    azure = (ROOT / "azure.yaml").read_text()
    makefile = (ROOT / "Makefile").read_text()
    (folder,) = re.findall(r"-m infra\.package (\S+)", makefile)
    assert f"dist: {folder}/app\n" in azure
    assert "remoteBuild: false\n" in azure
    assert 'run: make package PACKAGE_VERSION="${PYTHON_VERSION:-3.13}"' in azure
    bicep, parameters = (ROOT / "infra" / each for each in ("main.bicep", "main.parameters.json"))
    assert "param pythonVersion string = '3.13'" in bicep.read_text()
    assert "${PYTHON_VERSION=3.13}" in parameters.read_text()
    assert "PACKAGE_VERSION ?= 3.13\n" in makefile
