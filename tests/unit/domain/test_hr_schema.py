"""The published schema of HR events and the reader say the same of every event, and have the same literals."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.domain import hr_literals, onboarding
from shared.domain.hr_events import (
    ATTRIBUTES,
    DATA,
    MAX_GROUPS,
    MAX_ID,
    MAX_PROFILES,
    MAX_RAW,
    MAX_SEQUENCE,
    MAX_SOURCE,
    MAX_TEXT,
    BrokenEvent,
    read_event,
)

SCHEMA = json.loads((Path(onboarding.__file__).parent.parent / "schemas" / "onboarding.v1.json").read_text())
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
Event = dict[str, Any]

NOT_IN_A_SCHEMA = (
    "must be within 730 days from now",
    "must not be before 2000-01-01",
    "must be a text of 1 to 16 characters without control characters",
    "must be a text of 1 to 64 characters without control characters",
    "must be a text of 1 to 320 characters of the form name@domain",
)
"""Rules about the day on which an event arrives, and about texts in their normal form."""


def matches(validator: Any, pattern: str, value: Any, schema: Any) -> Iterator[Any]:
    """As ECMA 262 has it: the end is the end, not the line feed before it."""
    if isinstance(value, str) and not re.search(re.sub(r"\$$", r"\\Z", pattern), value):
        yield jsonschema.ValidationError(f"{value!r} does not match {pattern}")


BASE: Any = jsonschema.Draft202012Validator
VALIDATOR = jsonschema.validators.extend(BASE, {"pattern": matches})(SCHEMA)


def event(**data: object) -> Event:
    user = {"id": "1d0c3a5e-8a44-4f77-a5a1-2f2f3b4c5d6e"}
    whole = {"user": user, "effectiveDate": "2026-12-01", **data}
    return {"specversion": "1.0", "type": "hr.leaver.v1", "source": "urn:hr", "id": "e-1", "data": whole}


def agree(value: Event) -> bool:
    """Whether the reader takes the event. The schema must say the same, but for rules that no schema can state."""
    try:
        read_event(value, NOW)
    except BrokenEvent as broken:
        if VALIDATOR.is_valid(value):
            assert [each.rule for each in broken.faults if each.rule not in NOT_IN_A_SCHEMA] == [], value
        return False
    assert VALIDATOR.is_valid(value), value
    return True


def patterns(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("pattern"), str):
            yield node["pattern"]
        for inner in node.values():
            yield from patterns(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from patterns(inner)


def test_every_pattern_of_the_schema_is_a_literal_of_the_reader() -> None:
    named = vars(hr_literals).items()
    literals = {value for name, value in named if name.isupper() and name[0] != "_" and isinstance(value, str)}
    known = {f"^{literal}$" for literal in literals} | {f"[^{hr_literals.BLANK[1:-1]}]"}
    found = set(patterns(SCHEMA))
    assert found - known == set()
    assert {f"^{literal}$" for literal in literals - {hr_literals.BLANK}} - found == set()


def test_the_limits_and_names_of_the_schema_are_those_of_the_reader() -> None:
    data = SCHEMA["properties"]["data"]["properties"]
    assert data.keys() == DATA
    assert SCHEMA["$defs"]["attributes"]["properties"].keys() == set(ATTRIBUTES)
    assert SCHEMA["properties"]["source"]["maxLength"] == MAX_SOURCE
    assert SCHEMA["properties"]["id"]["maxLength"] == MAX_ID
    assert data["sequence"]["anyOf"][1]["maximum"] == MAX_SEQUENCE
    assert (data["profiles"]["anyOf"][1]["maxItems"], data["groups"]["anyOf"][1]["maxItems"]) == (
        MAX_PROFILES,
        MAX_GROUPS,
    )
    assert SCHEMA["$defs"]["attribute"]["anyOf"][1]["maxLength"] == MAX_TEXT
    assert SCHEMA["$defs"]["text"]["maxLength"] == MAX_RAW


BLANKS = " \u00a0\t\u2003\u3000"
DEAD_LETTER_COLUMNS = "aZ09@#.-_/E\u0301\u00e9\uff11\uff20\ufe6b\u0131\x00\x1c\x7f\ufdfa" + BLANKS
TEXTS = st.text(DEAD_LETTER_COLUMNS, max_size=24) | st.text(max_size=6)
NUMBERS = st.integers(-2, 2**53 + 2) | st.floats(allow_nan=False, allow_infinity=False, width=32)
DAYS = st.sampled_from(["2026-12-01", "2027-02-29", "2028-02-29", "2026-02-30", "2026-13-01", "1900-01-01", "2026-1-1"])
CLOCKS = st.sampled_from(
    ["08:00", "08:00:00", "24:00", "23:59:60", "08:00:00.1234567", "08:00:00.", "8:00", "08:00:00,5"]
)
OFFSETS = st.sampled_from(["Z", "z", "+01:00", "-00:00", "+0100", "+24:00", "", "+01:00:30", "Z\n"])
TIMES = st.builds("{}{}{}{}".format, DAYS, st.sampled_from(["T", "t", " ", "x", ""]), CLOCKS, OFFSETS)
MOMENTS = st.builds(
    "{}{}{}".format, st.sampled_from(["", " ", "\u00a0"]), DAYS | TIMES, st.sampled_from(["", " ", "\n"])
)
ANYTHING: st.SearchStrategy[Any] = st.none() | st.booleans() | NUMBERS | TEXTS | MOMENTS | st.just([]) | st.just({})
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "data.effectiveDate": MOMENTS,
    "data.sequence": NUMBERS,
    "data.employmentId": TEXTS,
    "data.removal": st.from_regex(r"P[0-9]{1,4}D\n?", fullmatch=True)
    | st.sampled_from(["release", "P-1D", "P\u0661D"]),
    "data.usageLocation": st.sampled_from(["DE", "de", "DE\n", "\u00c4\u00c4", " DE"]),
    "data.profiles": st.lists(st.sampled_from(["sales", "Sales", "sales\n", "a" * 65, 3]), max_size=22),
    "data.groups": st.lists(st.sampled_from(["0F5c1d7e-6c0a-4a52-9b0f-3a4b9c1d2e3f", "0f5c", None]), max_size=52),
    "data.attributes": st.dictionaries(st.sampled_from(["department", "Department"]), TEXTS | st.just(" " * 300)),
    "data.previous": st.none() | TEXTS,
    "data.correlationId": TEXTS | st.just("c" * 129),
    "data.user.id": st.from_regex(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\n?", fullmatch=True) | TEXTS,
    "data.user.employeeId": TEXTS,
    "data.user.userPrincipalName": TEXTS | st.builds("{}@{}".format, TEXTS, TEXTS),
    "time": MOMENTS,
    "datacontenttype": st.sampled_from(
        [
            "application/json",
            " Application/JSON\u00a0;x\ny",
            "application/json\n",
            "text/json",
            "",
            "\x1capplication/json",
        ]
    ),
    "source": TEXTS | st.just("s" * 257),
    "id": TEXTS | st.just("i" * 129),
}


def changed(changes: dict[str, Any]) -> Event:
    value = copy.deepcopy(event())
    for path, new in changes.items():
        *parts, last = path.split(".")
        at: Any = value
        for part in parts:
            at = at[part]
        at[last] = new
    return value


@pytest.mark.parametrize("path", FIELDS)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_schema_and_reader_agree_on_any_value_of_a_field(path: str, data: st.DataObject) -> None:
    agree(changed({path: data.draw(FIELDS[path] | ANYTHING)}))


@settings(max_examples=300, deadline=None)
@given(st.fixed_dictionaries({}, optional={path: values | st.none() for path, values in FIELDS.items()}))
@example({"data.user.id": None})
@example({"data.user.id": " ", "data.user.employeeId": "\u00a0"})
def test_schema_and_reader_agree_on_several_fields(changes: dict[str, Any]) -> None:
    agree(changed(changes))


@pytest.mark.parametrize(
    ("path", "value", "is_taken"),
    [
        ("data.effectiveDate", "2026-12-01T08:00:00.1234567Z", True),
        ("data.effectiveDate", "\u00a02026-12-01 ", True),
        ("data.effectiveDate", "2026-12-01t08:00:00z", True),
        ("data.effectiveDate", "2027-02-30", False),
        ("data.effectiveDate", "2028-02-29", True),
        ("data.effectiveDate", "2027-02-29", False),
        ("data.effectiveDate", "2026-12-01T24:00:00Z", False),
        ("data.effectiveDate", "2026-W49-2T08:00Z", False),
        ("data.sequence", 2.0, True),
        ("data.sequence", 2.5, False),
        ("data.sequence", True, False),
        ("data.removal", "P365D", True),
        ("data.removal", "P366D", False),
        ("data.user.employeeId", "E 4711/b ", True),
        ("data.user.employeeId", "e\u0301" * 16, True),
        ("data.user.employeeId", "e" * 17, False),
        ("data.user.userPrincipalName", "ann_x.com#EXT#@contoso.com\u00a0", True),
        ("data.correlationId", None, True),
        ("data.attributes", {"department": None, "jobTitle": " " * 300}, True),
    ],
)
def test_values_that_hr_systems_send(path: str, value: object, is_taken: bool) -> None:
    assert agree(changed({path: value})) is is_taken
