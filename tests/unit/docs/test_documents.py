"""What the documents say stands in the code: settings and queues in one place each, held equal."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

from shared.domain.messages import JOBS, MEMBERS, MEMBERS_BULK, OPERATIONS
from tests.support.project import ROOT, settings_of_the_code

SET_BY_THE_PLATFORM = {"WEBSITE_AUTH_ENABLED"}
COMPUTED = {"OUTSTANDING_CHUNKS"}
IN_AZURE_ONLY = {
    "ServiceBusConnection__fullyQualifiedNamespace",
    "TablesConnection__endpoint",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
}


def test_the_readme_explains_every_setting_and_no_other() -> None:
    table = (ROOT / "README.md").read_text().split("| setting | meaning |")[1].split("\n\n")[0]
    assert set(re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)) == settings_of_the_code()


def test_the_example_settings_name_every_setting_of_a_local_run() -> None:
    values = json.loads((ROOT / "local.settings.example.json").read_text())["Values"]
    expected = settings_of_the_code() - SET_BY_THE_PLATFORM - COMPUTED - IN_AZURE_ONLY
    assert values.keys() - {"FUNCTIONS_WORKER_RUNTIME"} == expected


def test_every_queue_the_code_uses_is_declared() -> None:
    declared = json.loads((ROOT / "infra" / "servicebus-config.json").read_text())
    names = {queue["Name"] for queue in declared["UserConfig"]["Namespaces"][0]["Queues"]}
    assert {JOBS, OPERATIONS, MEMBERS, MEMBERS_BULK} <= names


ORDER = (
    "How it works", "Try it", "Deploy", "Configure", "Permissions", "Operate",
    "Compared with native group-based licensing", "Limits", "Layout", "Decisions",
)  # fmt: skip


def test_the_readme_has_its_sections_in_the_order_in_which_a_stranger_asks() -> None:
    text = (ROOT / "README.md").read_text()
    assert tuple(re.findall(r"^## (.+)$", text, re.MULTILINE)) == ORDER
    begins = text.split("\n\n")
    assert begins[1].count(". ") == 0, "the first paragraph is one sentence"
    assert begins[2].startswith("**What it does**")


def anchors(document: Path) -> set[str]:
    """The headings of a document as links name them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


def test_every_file_and_heading_that_a_document_points_to_exists() -> None:
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "local" / "README.md"]
    assert len(documents) >= 9
    for document in documents:
        for target, heading in re.findall(r"\]\(([^)#:]*)#?([^):]*)\)", document.read_text()):
            found = (document.parent / target) if target else document
            assert found.exists(), f"{document.name} points to {target}"
            assert not heading or heading in anchors(found), f"{document.name} points to {target}#{heading}"


def test_every_test_that_the_documents_name_is_there() -> None:
    named = re.findall(r"`([\w/]+\.py)((?:::\w+)+)`", (ROOT / "docs" / "testing.md").read_text())
    assert len(named) > 60
    for file, path in named:
        found: ast.AST = ast.parse((ROOT / "tests" / file).read_text())
        for name in path.split("::")[1:]:
            inside = [each for each in ast.iter_child_nodes(found) if getattr(each, "name", "") == name]
            assert inside, f"{file}{path}"
            found = inside[0]


def test_every_hazard_has_tests() -> None:
    rows = re.findall(r"^\| (\d+) \|.*::", (ROOT / "docs" / "testing.md").read_text(), re.MULTILINE)
    assert rows == [str(number) for number in range(1, 32)]


def test_every_command_of_azure_in_the_documents_says_that_it_has_not_been_run() -> None:
    for name in ("README.md", "docs/operating.md"):
        paragraphs = re.split(r"\n\n|\n(?=\d\. |- |\| )", (ROOT / name).read_text())
        commands = [each for each in paragraphs if re.search(r"`(azd|az) [a-z]|^(azd|az) [a-z]", each, re.MULTILINE)]
        assert len(commands) >= (1 if name == "README.md" else 8)
        assert [each for each in commands if "NOT RUN" not in each] == []
