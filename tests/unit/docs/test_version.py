"""One version number: in the code, and shown by the project, the API description, health and the changelog."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

from functions.api import HEALTHY
from functions.web.application import build
from shared.domain.version import VERSION

ROOT = Path(__file__).resolve().parents[3]


def test_the_number_is_a_semantic_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", VERSION)


def test_the_project_takes_its_version_from_the_code() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" not in project["project"]
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "shared.domain.version.VERSION"}


def test_the_served_and_the_stored_description_show_it() -> None:
    stored = json.loads((ROOT / "docs" / "openapi.json").read_text())
    assert build(lambda: None).version == stored["info"]["version"] == VERSION  # type: ignore[arg-type, return-value]


def test_health_and_its_documents_show_it() -> None:
    assert json.loads(HEALTHY)["version"] == VERSION
    for name in ("docs/operating.md", "docs/reference/api.md"):
        shown = re.findall(r'"status": "ok", "version": "([^"]*)"', (ROOT / name).read_text())
        assert shown == [VERSION], name


def test_the_newest_entry_of_the_changelog_is_this_version() -> None:
    newest, *older = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert newest == VERSION
    assert older, "an earlier version"
