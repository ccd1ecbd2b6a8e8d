"""What the documents say agrees with the code: settings, queues, links, and every path of the repository."""

from __future__ import annotations

import ast
import json
import os
import re
from dataclasses import fields
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic.alias_generators import to_camel

from functions.web.pages.labels import ENDING_WORDS, ERROR_WORDS, MEMBER_WORDS, NOTE_WORDS
from functions.web.pages.person_words import source_words
from functions.web.route_access import ACCESS
from shared.domain.assignment import AssignmentOptions
from shared.domain.directory import LicenseAssignmentState
from shared.domain.grant import Source, SourceKind
from shared.domain.ids import SkuId
from shared.domain.member_status import MemberState
from shared.domain.messages import JOBS, MEMBERS, MEMBERS_BULK, NOTIFICATIONS, ONBOARDING, RESULTS, STEPS
from shared.domain.operation import OperationState
from shared.handlers.messaging.dead_letters import QUEUES
from shared.handlers.views.queries import LicenseOrigin, UserLicense
from tests.support.project import ROOT, settings_of_the_code

SET_BY_THE_PLATFORM = {"WEBSITE_AUTH_ENABLED"}
COMPUTED = {"OUTSTANDING_CHUNKS"}
IN_AZURE_ONLY = {
    "ServiceBusConnection__fullyQualifiedNamespace",
    "TablesConnection__endpoint",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
}


def test_the_reference_explains_every_setting_and_no_other() -> None:
    table = (
        (ROOT / "docs" / "reference" / "settings.md")
        .read_text()
        .split("| setting | default | meaning |")[1]
        .split("\n\n")[0]
    )
    assert set(re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)) == settings_of_the_code()


def test_the_example_settings_name_every_setting_of_a_local_run() -> None:
    values = json.loads((ROOT / "local.settings.example.json").read_text())["Values"]
    expected = settings_of_the_code() - SET_BY_THE_PLATFORM - COMPUTED - IN_AZURE_ONLY
    assert values.keys() - {"FUNCTIONS_WORKER_RUNTIME"} == expected


def test_every_queue_the_code_uses_is_declared() -> None:
    declared = json.loads((ROOT / "infra" / "servicebus-config.json").read_text())
    names = {queue["Name"] for queue in declared["UserConfig"]["Namespaces"][0]["Queues"]}
    assert {JOBS, *STEPS, MEMBERS, MEMBERS_BULK, NOTIFICATIONS, ONBOARDING, RESULTS} == names
    assert set(QUEUES) == names - {RESULTS}, "the app reads every queue but the results"


ORDER = ("Is it for you?", "Quick start", "Tour", "How it works", "Deploy", "Links")


def test_the_readme_has_its_sections_in_the_order_in_which_a_newcomer_asks() -> None:
    text = (ROOT / "README.md").read_text()
    assert tuple(re.findall(r"^## (.+)$", text, re.MULTILINE)) == ORDER
    assert len(text.splitlines()) <= 150
    begins = text.partition("## ")[0]
    assert begins.split("\n\n")[1].count(". ") == 0, "the first paragraph is one sentence"
    assert "Not yet run against a live tenant" in begins
    assert begins.count("](docs/images/") == 1, "one screenshot"


def test_the_reference_names_every_route_of_the_api_and_no_other() -> None:
    text = (ROOT / "docs" / "reference" / "api.md").read_text()
    named = re.findall(r"^\| `((?:GET|POST|PUT|PATCH|DELETE) [^`]+)` \|", text, re.MULTILINE)
    assert sorted(named) == sorted(f"{method} {path}" for method, path in ACCESS if path.startswith("/api/"))


def test_the_index_names_every_document() -> None:
    documents = [each for each in (ROOT / "docs").rglob("*.md") if each.name != "README.md"]
    index = (ROOT / "docs" / "README.md").read_text()
    assert [each.name for each in documents if f"]({each.relative_to(ROOT / 'docs').as_posix()})" not in index] == []


def anchors(document: Path) -> set[str]:
    """The headings of a document as links name them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "local" / "README.md"]


def broken_links(document: Path) -> list[str]:
    broken = []
    for target, heading in re.findall(r"\]\(([^)#:]*)#?([^):]*)\)", document.read_text()):
        if target.startswith("../../actions/"):
            continue  # a page of the repository on GitHub, not a file
        found = (document.parent / target) if target else document
        if not found.exists() or (heading and heading not in anchors(found)):
            broken.append(f"{document.name} points to {target}{'#' * bool(heading)}{heading}")
    return broken


def test_every_file_and_heading_that_a_document_points_to_exists() -> None:
    assert len(DOCUMENTS) >= 11
    assert [each for document in DOCUMENTS for each in broken_links(document)] == []


FOLDERS = ("functions", "shared", "local", "tests", "infra", "docs", ".github")
IN_A_FOLDER = re.compile(rf"(?<![\w/.-])((?:{'|'.join(map(re.escape, FOLDERS))})/[\w./*-]*[\w/*])")
MODULE = re.compile(r"(?<![\w/.-])([\w/]+\.py)(?!\w)")
OF_AZURE_SERVICEBUS = {"test_queues.py", "async_tests/test_queues_async.py"}
"""Tests in the source distribution of azure-servicebus, which the conformance run fetches."""


def files_of_the_repository() -> set[str]:
    """Paths of all files, in the form that documents use."""
    found = {each.name for each in ROOT.iterdir() if each.is_file()}
    for folder in FOLDERS:
        for where, inner, names in os.walk(ROOT / folder):
            inner[:] = [each for each in inner if each not in ("node_modules", "__pycache__")]
            found.update((Path(where) / name).relative_to(ROOT).as_posix() for name in names)
    return found


def missing_paths(text: str, files: set[str]) -> list[str]:
    """Paths that a text names and that do not exist: from a folder of the repository on, or the end of a path."""
    missing = [path for path in IN_A_FOLDER.findall(text) if not any(ROOT.glob(path.rstrip("/")))]
    modules = {path for path in MODULE.findall(text) if path not in missing} - OF_AZURE_SERVICEBUS
    return missing + sorted(path for path in modules if not any(f"/{each}".endswith(f"/{path}") for each in files))


def test_every_path_that_a_document_names_exists() -> None:
    files = files_of_the_repository()
    missing = {each.relative_to(ROOT).as_posix(): missing_paths(each.read_text(), files) for each in DOCUMENTS}
    assert {name: paths for name, paths in missing.items() if paths} == {}


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("`shared/domain/plan.py` and [a link](../shared/domain/ledger.py)", []),
        ("`shared/domain/plans.py`, then `local/`", ["shared/domain/plans.py"]),
        ("`adapters/tables/ledger.py` or `ledgers.py::test`", ["ledgers.py"]),
        ("see `infra/modules/*.bicep` and `infra/modules/*.tf`.", ["infra/modules/*.tf"]),
        ("learn.microsoft.com/azure/azure-functions/durable, `/api/functions/x`", []),
    ],
)
def test_a_path_that_does_not_exist_is_found(text: str, missing: list[str]) -> None:
    assert missing_paths(text, files_of_the_repository()) == missing


def test_every_test_that_the_documents_name_is_there() -> None:
    named = re.findall(r"`([\w/]+\.py)((?:::\w+)+)`", (ROOT / "docs" / "testing.md").read_text())
    assert len(named) > 60
    for file, path in named:
        found: ast.AST = ast.parse((ROOT / "tests" / file).read_text())
        for name in path.split("::")[1:]:
            inside = [each for each in ast.iter_child_nodes(found) if getattr(each, "name", "") == name]
            assert inside, f"{file}{path}"
            found = inside[0]


@pytest.mark.parametrize(("heading", "count"), [("Hazards", 31), ("Security findings", 13)])
def test_every_hazard_and_finding_has_tests(heading: str, count: int) -> None:
    (section,) = re.findall(
        rf"^## {heading}$(.*?)(?=^## |\Z)", (ROOT / "docs" / "testing.md").read_text(), re.MULTILINE | re.DOTALL
    )
    rows = re.findall(r"^\| (\d+) \|.*::", section, re.MULTILINE)
    assert rows == [str(number) for number in range(1, count + 1)]


def test_the_reference_of_the_users_page_explains_every_word_of_it() -> None:
    text = (ROOT / "docs" / "reference" / "user-page.md").read_text()
    cells = re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE)
    words = {*ENDING_WORDS.values(), *ERROR_WORDS.values(), *MEMBER_WORDS.values(), *NOTE_WORDS.values()}
    assert {each for each in words if not any(cell == each or f"*{each}" in cell for cell in cells)} == set()
    codes = dict(re.findall(r"^\| ([^|*]+) \| `(\w+)` \|", text, re.MULTILINE))
    assert {codes[words]: words for words in codes} == dict(NOTE_WORDS)


GROUP = "11111111-2222-4333-8444-555555555555"


@pytest.mark.parametrize(
    "source", [Source(SourceKind.LIST), Source(SourceKind.HR, "sales"), Source(SourceKind.BRIDGE, GROUP)], ids=str
)
def test_the_reference_of_the_users_page_explains_every_source_of_a_managed_license(source: Source) -> None:
    license = UserLicense(LicenseAssignmentState(SkuId(GROUP)), LicenseOrigin.MANAGED, (source,))
    parts = [each for each in re.split(rf"{GROUP}|sales", source_words(license, {})) if each.strip()]
    rows = (ROOT / "docs" / "reference" / "user-page.md").read_text().splitlines()
    assert any(all(f"*{each.strip()}*" in row for each in parts) for row in rows)


def test_every_command_of_azure_in_the_documents_says_that_it_has_not_been_run() -> None:
    counts: dict[str, int] = {}
    for document in DOCUMENTS:
        paragraphs = re.split(r"\n\n|\n(?=\d\. |- |\| )", document.read_text())
        commands = [each for each in paragraphs if re.search(r"`(azd|az) [a-z]|^(azd|az) [a-z]", each, re.MULTILINE)]
        assert [each for each in commands if "NOT RUN" not in each] == [], document.name
        counts[document.relative_to(ROOT).as_posix()] = len(commands)
    assert counts["README.md"] >= 1
    assert counts["docs/operating.md"] >= 8


def test_the_reference_of_groups_has_every_option_with_its_default_and_every_state() -> None:
    text = (ROOT / "docs" / "reference" / "groups.md").read_text()
    shown = dict(re.findall(r"^\| `(\w+)` \| `?([^|`]+)`? \|", text, re.MULTILINE))
    options = AssignmentOptions()
    words: dict[object, str] = {
        True: "true",
        False: "false",
        None: "none",
        frozenset(): "none",
        timedelta(0): "PT0S",
        "": "empty",
    }
    expected = {
        to_camel(each.name): "0" if each.name == "priority" else words[getattr(options, each.name)]
        for each in fields(options)
    }
    assert {name: shown.get(name, "").strip() for name in expected} == expected
    assert {*MemberState, *OperationState} <= set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
