"""Files before anything is asked of the app: form, names that appear twice, and the lines of faults."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from seatkeeper.ascode import schema
from seatkeeper.ascode.model import Limit
from seatkeeper.ascode.reading import read
from seatkeeper.ascode.writing import scalar
from tests.unit.cli.ascode import HEAD, SMALL_TEAM, AsCode

WHOLE = """
apiVersion: licensing/v1
defaults: { usageLocation: NO, leave: { keepFor: 30d }, guests: false }
safety: { removals: { hold: over 20 or 2% }, additions: { hold: over 10% } }
appSets:
  frontline-off: [PLAN2, PLAN3]
groups:
  - group: SG-A
    id: 0f5c1d7e-0000-0000-0000-000000000001
    owner: identity-team@contoso.com
    products:
      - SMALL: { off: [frontline-off, PLAN1] }
      - Large Product
    exclude: [SG-B]
    guests: true
  - group: SG-C
    engine: watched
  - group: SG-D
    products: [SMALL]
    state: paused
tests:
  - user: tara@contoso.com
    has: [SMALL]
    hasNot: [LARGE]
prune: false
"""


def test_a_whole_file_is_read(code: AsCode) -> None:
    code.write(WHOLE)
    found = read(code.files)
    first = found.groups[0]
    assert first.products[0].off == ("PLAN2", "PLAN3", "PLAN1")
    assert first.options == {"usageLocation": "NO", "includeGuests": True, "grace": "P30D"}
    assert [each.is_paused for each in found.groups] == [False, False, True]
    assert (found.removals, found.additions) == (Limit(20, 2), Limit(None, 10))
    assert code.validate().code == 0
    assert not code.cli.here.seen


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (SMALL_TEAM + "grups: []\n", "licenses.yaml:5: Unknown key 'grups' in the file. Did you mean groups?"),
        (
            f"{HEAD}groups:\n  - group: A\n    prducts: [SMALL]\n",
            ":4: Unknown key 'prducts' in groups[1]. Did you mean products?",
        ),
        (f"{HEAD}groups:\n  - products: [SMALL]\n", ":3: groups[1] lacks group."),
        ("groups: []\n", ":1: the file lacks apiVersion."),
        ("apiVersion: licensing/v2\n", "apiVersion must be licensing/v1."),
        (f"{HEAD}groups:\n  - group: 4711\n", "groups[1].group must be text. Put it in quotes."),
        (f"{HEAD}groups:\n  - group: A\n    state: pausd\n", "Did you mean paused?"),
        (
            f"{HEAD}groups:\n  - group: A\n    products:\n      - X: {{}}\n        off: [Y]\n",
            "must have exactly one name",
        ),
        (f"{HEAD}groups:\n  - group: A\n    usageLocation: Germany\n", "'Germany' is not valid"),
        (f"{HEAD}groups:\n  - group: A\n  - group: a\n", "licenses.yaml:4: a is in licenses.yaml:3 already."),
        (f"{HEAD}groups:\n  - group: A\n    products: [X, x]\n", "A lists X twice."),
        (f"{HEAD}groups:\n  - group: A\n    group: B\n", "is not YAML"),
        (f"{HEAD}groups: [\n", "is not YAML"),
        (f"{HEAD}groups:\n  - group: A\n    engine: watched\n    products: [X]\n", "Remove its products."),
        (f"{HEAD}tests:\n  - user: a\n", "names no product"),
        (f"{HEAD}safety: {{ removals: {{ hold: 20 }} }}\n", "Put it in quotes."),
        (f"{HEAD}safety: {{ removals: {{ hold: above 20 }} }}\n", "over N, over N%, or over N or M%"),
        (
            f"{HEAD}safety: {{ removals: {{ hold: over 20, whole: false }} }}\n",
            "safety.removals.whole must be true. A plan is applied as a whole",
        ),
        (f"{HEAD}safety: {{ additions: {{ whole: true }} }}\n", "Unknown key 'whole' in safety.additions."),
        ("- a\n", "the file must be a mapping."),
        ("", "the file must be a mapping."),
    ],
)
def test_faults_are_named_with_file_and_line_and_nothing_is_sent(code: AsCode, text: str, fault: str) -> None:
    code.write(text)
    for shown in (code.validate(), code.plan()):
        assert (shown.code, fault in " ".join(shown.err.split())) == (1, True), shown.err
    assert not code.cli.here.seen
    assert not code.plan_file.exists()


def test_files_of_a_folder_are_one_statement(code: AsCode) -> None:
    code.write(SMALL_TEAM, "a.yaml")
    code.write(f"{HEAD}prune: true\ngroups:\n  - group: B\n", "b.yml")
    code.write("not: yaml: at all", ".hidden.yaml")
    found = read(code.files)
    assert ([each.place.file for each in found.groups], found.prune) == (["a.yaml", "b.yml"], True)
    code.write(f"{HEAD}prune: false\n", "c.yaml")
    assert "c.yaml:2: prune is in b.yml already." in code.validate().err


def test_a_missing_folder_is_an_error(code: AsCode, tmp_path: Path) -> None:
    shown = code.cli("validate", str(tmp_path / "nowhere"))
    assert (shown.code, "There is no folder" in shown.err) == (1, True)


VARIANTS = [
    WHOLE,
    SMALL_TEAM,
    HEAD,
    HEAD + "groups: {}\n",
    HEAD + "groups: [a]\n",
    HEAD + "prune: 1\n",
    HEAD + "safety: { removals: { whole: true } }\n",
    HEAD + "safety: { removals: { whole: false } }\n",
    HEAD + "safety: { additions: { whole: true } }\n",
    HEAD + "prune: 'true'\n",
    HEAD + "appSets: { a: [] }\n",
    HEAD + "appSets: { a: [b, ''] }\n",
    HEAD + "groups: [{ group: a, products: [{ x: }] }]\n",
    HEAD + "groups: [{ group: a, products: [{}] }]\n",
    HEAD + "groups: [{ group: a, products: [{ x: { of: [a] } }] }]\n",
    HEAD + "groups: [{ group: a, id: x }]\n",
    HEAD + "defaults: { leave: { keepFor: 3000d } }\n",
    HEAD + "tests: [{ has: [a] }]\n",
    "apiVersion: 1\n",
]


@pytest.mark.parametrize("text", VARIANTS)
def test_the_verdict_is_that_of_the_schema(text: str) -> None:
    plain = YAML(typ="safe", pure=True).load(text)
    valid = Draft202012Validator(json.loads(schema.text())).is_valid(plain)
    assert (not schema.faults(YAML(typ="rt", pure=True).load(text))) is valid


def test_the_schema_is_a_schema(code: AsCode) -> None:
    Draft202012Validator.check_schema(json.loads(schema.text()))
    assert code.cli("schema").out == schema.text()


@pytest.mark.parametrize(
    ("text", "members", "most"),
    [("over 20 or 2%", 500, 20), ("over 20 or 2%", 5000, 100), ("over 5", 1000, 5), ("over 10%", 50, 5)],
)
def test_the_larger_limit_counts(text: str, members: int, most: int) -> None:
    assert Limit.of(text).most(members) == most


@pytest.mark.parametrize(
    "text", ["plain", "a b", "no", "true", "4711", "a: b", "#x", "-", "ä", "'", "", "a ", "1e3", "=x"]
)
def test_written_texts_are_read_back(text: str) -> None:
    assert YAML(typ="safe", pure=True).load(f"a: {scalar(text)}\n")["a"] == text
