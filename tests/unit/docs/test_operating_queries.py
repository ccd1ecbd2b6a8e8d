"""The queries of the operating guide ask for names that the app emits, and for all of its figures."""

from __future__ import annotations

import re

from tests.support.project import ROOT

GUIDE = (ROOT / "docs" / "operating.md").read_text().split("## Queries")[1].split("\n## ")[0]
CODE = "\n".join(path.read_text() for folder in ("shared", "functions") for path in (ROOT / folder).rglob("*.py"))


def test_figures_in_queries_are_emitted_and_every_figure_has_a_query() -> None:
    asked = set(re.findall(r'"(licensing\.[a-z_.]+)"', GUIDE))
    emitted = set(re.findall(r'"(licensing\.[a-z_.]+)"', CODE))
    assert asked == emitted
    assert len(asked) >= 5


def test_properties_in_queries_are_attributes_that_the_code_gives() -> None:
    asked = set(re.findall(r"Properties\.([a-zA-Z]+)", GUIDE))
    assert asked
    for name in asked:
        assert re.search(rf"\b{name}=", CODE), name


def test_spans_in_queries_have_the_beginnings_that_the_code_gives() -> None:
    for beginning in re.findall(r'Name startswith "([^"]+)"', GUIDE):
        assert re.search(rf'f"{re.escape(beginning)}', CODE), beginning
