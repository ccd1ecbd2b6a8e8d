"""HR events: what the reader takes is what the published schema allows, and every fault is named."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain import onboarding
from shared.domain.hr_events import MAX_DEPTH, MAX_EVENT, BrokenEvent, Fault, kept_text, read_event
from shared.domain.onboarding import HrEventType

SCHEMA_FILE = Path(onboarding.__file__).parent.parent / "schemas" / "onboarding.v1.json"
SCHEMA = json.loads(SCHEMA_FILE.read_text())
VALIDATOR: Any = jsonschema.Draft202012Validator(SCHEMA)
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
ANN = "1d0c3a5e-8a44-4f77-a5a1-2f2f3b4c5d6e"
GROUP = "0f5c1d7e-6c0a-4a52-9b0f-3a4b9c1d2e3f"

Event = dict[str, Any]


def event(kind: str = "joiner", **data: object) -> Event:
    return {
        "specversion": "1.0",
        "type": f"hr.{kind}.v1",
        "source": "urn:hr",
        "id": "e-1",
        "data": {"user": {"id": ANN}, "effectiveDate": "2026-12-01", **data},
    }


def taken(value: object) -> bool:
    """Whether the reader takes the event, having asserted that the schema says the same."""
    try:
        read_event(value, NOW)
    except BrokenEvent:
        reads = False
    else:
        reads = True
    allows: bool = VALIDATOR.is_valid(value)
    assert allows is reads, value
    return reads


FULL = {
    **event(
        "mover",
        sequence=3,
        usageLocation="DE",
        profiles=["sales"],
        groups=[GROUP],
        attributes={"department": "Sales"},
        previous={"department": "Labs"},
        correlationId="c",
    ),
    "time": "2026-11-01T10:00:00Z",
    "datacontenttype": "application/json; charset=utf-8",
    "subject": "x",
    "traceparent": "extension",
}

CHANGES: list[tuple[list[str], Any, bool]] = [
    (["specversion"], "0.3", False),
    (["type"], "hr.joiner.v2", False),
    (["type"], "hr.leaver.v1", True),
    (["source"], "", False),
    (["id"], "x" * 129, False),
    (["id"], "with space", False),
    (["time"], "yesterday", False),
    (["time"], "2026-11-01", False),
    (["datacontenttype"], "text/xml", False),
    (["data"], [], False),
    (["data", "extra"], 1, False),
    (["data", "user"], {}, False),
    (["data", "user"], {"id": "x"}, False),
    (["data", "user"], {"mail": "a@b"}, False),
    (["data", "user"], {"employeeId": "1" * 17}, False),
    (["data", "user"], {"userPrincipalName": "no-at"}, False),
    (["data", "user"], {"employeeId": "7", "userPrincipalName": "a@b.example"}, True),
    (["data", "effectiveDate"], "01.12.2026", False),
    (["data", "effectiveDate"], "2026-12-01T08:00:00", False),
    (["data", "effectiveDate"], "2026-12-01T08:00:00+01:00", True),
    (["data", "effectiveDate"], None, False),
    (["data", "sequence"], -1, False),
    (["data", "sequence"], True, False),
    (["data", "usageLocation"], "de", False),
    (["data", "profiles"], ["Sales"], False),
    (["data", "profiles"], ["a"] * 21, False),
    (["data", "groups"], ["x"], False),
    (["data", "groups"], "x", False),
    (["data", "attributes"], {"shoeSize": "44"}, False),
    (["data", "attributes"], {"department": ""}, False),
    (["data", "removal"], "P1D", False),
    (["data", "correlationId"], "x" * 129, False),
]


@pytest.mark.parametrize(("path", "value", "good"), CHANGES)
def test_reader_and_schema_agree_on_each_field(path: list[str], value: object, good: bool) -> None:
    changed: Any = copy.deepcopy(FULL)
    place = changed
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    assert taken(changed) is good


@pytest.mark.parametrize("kind", ["joiner", "mover", "leaver", "leaver.release"])
def test_every_kind_of_event_is_read(kind: str) -> None:
    assert taken(event(kind))
    assert read_event(event(kind), NOW).type == HrEventType(f"hr.{kind}.v1")


@pytest.mark.parametrize(("removal", "good"), [("P30D", True), ("release", True), ("P1M", False), (30, False)])
def test_only_a_leaver_says_when_licenses_go(removal: object, good: bool) -> None:
    assert taken(event("leaver", removal=removal)) is good


@settings(max_examples=300, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["user", "effectiveDate", "groups", "id", "removal", "attributes"]), inner, max_size=4
            )
        ),
    )
)
def test_no_data_at_all_raises_anything_but_a_broken_event(data: object) -> None:
    taken({**event(), "data": data})


def test_every_fault_is_named_with_field_value_and_rule() -> None:
    broken = event(usageLocation="Germany", sequence="x", groups=["nope"])
    broken["type"] = "hr.joiner.v9"
    with pytest.raises(BrokenEvent) as raised:
        read_event(broken, NOW)
    found = {fault.field: fault for fault in raised.value.faults}
    assert set(found) == {"type", "data.usageLocation", "data.sequence", "data.groups"}
    assert found["data.usageLocation"] == Fault(
        "data.usageLocation", '"Germany"', "must be a country code of two capital letters (ISO 3166-1)"
    )
    assert str(found["data.groups"]) == 'data.groups must be a GUID, not "nope"'


def test_a_date_begins_at_midnight_utc_and_two_years_ahead_is_too_far() -> None:
    assert read_event(event(), NOW).effective_at == datetime(2026, 12, 1, tzinfo=UTC)
    far = (NOW + timedelta(days=731)).date().isoformat()
    with pytest.raises(BrokenEvent, match="within 730 days"):
        read_event(event(effectiveDate=far), NOW)


def test_source_and_id_make_the_key() -> None:
    one, other = read_event(event(), NOW), read_event({**event(), "source": "urn:other"}, NOW)
    assert one.key != other.key
    assert one.key == read_event(event("leaver"), NOW).key


def test_an_event_that_is_too_large_or_too_deep_to_be_kept_is_refused_whatever_is_in_it() -> None:
    deep: object = 1
    for _ in range(MAX_DEPTH - 1):
        deep = [deep]
    assert json.loads(kept_text({"id": "1", "more": deep})) == {"id": "1", "more": deep}
    assert kept_text({"more": "x" * 32_000})
    for more, rule in (([[deep]], "nested at most 16 deep"), ("x" * MAX_EVENT, "at most 32768 characters")):
        with pytest.raises(BrokenEvent, match=rule):
            kept_text({"id": "1", "more": more})
