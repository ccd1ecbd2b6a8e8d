"""What goes into the deployment package, and that the lock has what requirements.txt pins."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from infra.package import ROOT, ignored

OUT = [
    "tests/unit/test_api.py",
    "local/run.py",
    "infra/check/parser.py",
    ".github/workflows/check.yml",
    "docs/operating.md",
    "README.md",
    "local.settings.json",
    "requirements-dev.txt",
    "requirements.lock",
    "azure.yaml",
    ".gitignore",
]
IN = [
    "function_app.py",
    "host.json",
    "requirements.txt",
    "functions/web/routes_groups.py",
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


def test_the_lock_has_every_version_that_requirements_pin_and_hashes_for_all() -> None:
    pin = re.compile(r"^([a-z0-9-]+)==([\w.]+)", re.MULTILINE)
    lock = (ROOT / "requirements.lock").read_text()
    pinned = set(pin.findall((ROOT / "requirements.txt").read_text()))
    locked = pin.findall(lock)
    assert len(pinned) >= 7
    assert pinned <= set(locked)
    blocks = re.split(r"^(?=[a-z0-9-]+==)", lock, flags=re.MULTILINE)[1:]
    assert len(blocks) == len(locked)
    assert all("--hash=sha256:" in block for block in blocks)
