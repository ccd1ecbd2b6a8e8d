"""The check of the project's English: which text it reads, and when it fails."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.prose.measuring import Report, load_rules, measure, sentences

LONG = " ".join(["word"] * 30) + "."
RULES: dict[str, Any] = {
    "longestSentence": 28,
    "areas": [
        {"name": "documents", "files": ["*.md"], "long": 0, "avoided": 0},
        {"name": "code", "files": ["*.py"], "except": ["tests/*"], "long": 1, "avoided": 1},
    ],
    "words": [{"avoid": r"\banew\b", "use": "again"}, {"avoid": r"\bshall\b", "use": "must"}],
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    return tmp_path


def reports(tree: Path) -> tuple[Report, Report]:
    documents, code = measure(tree, RULES)
    return documents, code


def test_every_long_sentence_and_word_of_a_document_is_named(tree: Path) -> None:
    (tree / "a.md").write_text(f"# It begins anew here\n\nFine text. {LONG}\n\n| it shall end | good |\n")
    (tree / "b.md").write_text("A good page.\n\n```\nit shall be anew\n```\n\nAlso `shall` and good words.\n")
    documents, _ = reports(tree)
    assert [each.path for each in documents.long] == ["a.md"]
    assert [each.rule for each in documents.avoided] == ["'anew', use: again", "'shall', use: must"]
    assert len(documents.excess) == 3


def test_docstrings_comments_and_strings_of_code_are_read_and_names_are_not(tree: Path) -> None:
    (tree / "a.py").write_text(
        'def shall_anew() -> str:\n    """It shall be good."""\n    # It goes anew\n    # from here.\n'
        '    return f"{1} shall come {2} times"\n\n\nKEY = "shall anew"\n'
    )
    _, code = reports(tree)
    assert sorted(each.rule[:7] for each in code.avoided) == ["'anew',", "'shall'", "'shall'"]


def test_a_limit_is_exceeded_only_by_more_findings_of_its_kind(tree: Path) -> None:
    (tree / "a.py").write_text(f'"""{LONG}"""\n# all of it anew here\n')
    assert reports(tree)[1].excess == []
    (tree / "b.py").write_text(f'"""{LONG}"""\n')
    assert [each.path for each in reports(tree)[1].excess] == ["a.py", "b.py"]


def test_packages_that_git_ignores_and_excepted_folders_are_not_read(tree: Path) -> None:
    (tree / ".gitignore").write_text("node_modules/\n.venv/\n")
    for folder in ("node_modules", ".venv", "tests"):
        (tree / folder).mkdir()
        (tree / folder / "a.py").write_text(f'"""{LONG}"""\n')
    (tree / "node_modules" / "README.md").write_text("It shall be anew.\n")
    assert [report.sentences for report in reports(tree)] == [0, 0]


def test_a_template_is_read_without_its_markup(tmp_path: Path) -> None:
    page = tmp_path / "a.html"
    page.write_text("<p>Choose <b>one</b> of {{ count }} groups{% if x %}.{% endif %}</p><p>Then select Preview.</p>")
    assert sentences(page) == ["Choose one of VALUE groups .", "Then select Preview."]


def test_documents_and_pages_of_the_project_allow_no_long_sentence() -> None:
    assert [area["long"] for area in load_rules()["areas"] if area["name"] != "code"] == [0, 0]
