"""What others publish is pinned wherever it runs, and updates of all of it are proposed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.project import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


def unpinned(text: str) -> list[str]:
    """Actions that are not named by a commit with the version beside it. Those of this repository have no version."""
    used = re.findall(r"^\s*(?:- )?uses:\s*(.+)$", text, re.MULTILINE)
    return [each for each in used if not each.startswith("./") and not PINNED.fullmatch(each.strip())]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda each: each.stem)
def test_every_action_is_pinned_by_commit(workflow: Path) -> None:
    text = workflow.read_text()
    assert "uses:" in text
    assert unpinned(text) == []


@pytest.mark.parametrize(
    "action",
    [
        "actions/checkout@v4",
        "actions/checkout@main",
        f"actions/checkout@{'a' * 40}",
        f"actions/checkout@{'a' * 39} # v4.4.0",
    ],
)
def test_an_action_that_is_not_pinned_is_found(action: str) -> None:
    assert unpinned(f"    steps:\n      - uses: {action}\n") == [action]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda each: each.stem)
def test_a_workflow_can_write_nothing_in_the_repository(workflow: Path) -> None:
    (permissions,) = re.findall(r"^permissions:\n((?:  .+\n)+)", workflow.read_text(), re.MULTILINE)
    signs_in = workflow.stem in ("deploy", "backup")
    allowed = {"contents: read", "id-token: write"} if signs_in else {"contents: read"}
    assert {each.strip() for each in permissions.splitlines()} == allowed


def test_one_version_of_an_action_is_used_everywhere() -> None:
    used = {each for workflow in WORKFLOWS for each in re.findall(r"uses: ([^@\s]+)@(\w+)", workflow.read_text())}
    assert len(used) == len({name for name, _ in used})


def test_updates_are_proposed_of_everything_that_is_pinned_and_not_on_the_day_of_their_release() -> None:
    text = (ROOT / ".github" / "dependabot.yml").read_text()
    entries = text.split("package-ecosystem: ")[1:]
    places = {(each.split("\n")[0], re.findall(r"directory: (\S+)", each)[0]) for each in entries}
    assert places == {("pip", "/"), ("npm", "/local"), ("npm", "/tests/openapi"), ("github-actions", "/")}
    assert all((ROOT / place[1:] / "package-lock.json").exists() for kind, place in places if kind == "npm")
    assert all("default-days: 7" in each for each in entries)
