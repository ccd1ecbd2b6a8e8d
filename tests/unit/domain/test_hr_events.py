"""HR events: what the reader takes is what the published schema allows, and every fault is named."""

from __future__ import annotations

import copy
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain import onboarding
from shared.domain.hr_events import MAX_DEPTH, MAX_EVENT, BrokenEvent, Fault, SourceRules, kept_text, read_event
from shared.domain.onboarding import HrEventType, SourceOrder

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
    """Whether the reader takes the event, having asserted that the schema says the same. Only the length of a text in
    its normal form is not in the schema."""
    is_length = False
    try:
        read_event(value, NOW)
    except BrokenEvent as broken:
        is_length = all(each.rule.endswith("characters without control characters") for each in broken.faults)
        reads = False
    else:
        reads = True
    allows: bool = VALIDATOR.is_valid(value)
    assert allows is reads or (allows and is_length), value
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
    (["data", "attributes"], {"department": ""}, True),
    (["data", "attributes"], {"department": None, "jobTitle": " "}, True),
    (["data", "attributes"], {"department": 7}, False),
    (["data", "attributes"], {"department": "x" * 257}, False),
    (["data", "user"], {"id": None, "employeeId": "", "userPrincipalName": "  "}, False),
    (["data", "user"], {"id": "", "employeeId": None, "userPrincipalName": "a@b.example"}, True),
    (["data", "user"], {"employeeId": "K/12#3"}, True),
    (["data", "user"], {"employeeId": " 4711 "}, True),
    (["data", "user"], {"employeeId": "47\n11"}, False),
    (["data", "user"], {"userPrincipalName": "ann_fabrikam.example#EXT#@contoso.example"}, True),
    (["data", "user"], {"userPrincipalName": "ann@b@c"}, False),
    (["data", "user"], {"userPrincipalName": "a nn@b"}, False),
    (["data", "employmentId"], "E/1 #2", True),
    (["data", "employmentId"], "x" * 65, False),
    (["data", "employmentId"], 7, False),
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


OPTIONAL = (
    ["time"],
    ["datacontenttype"],
    *(
        ["data", name]
        for name in (
            "employmentId",
            "sequence",
            "usageLocation",
            "profiles",
            "groups",
            "attributes",
            "previous",
            "removal",
            "correlationId",
        )
    ),
)


@pytest.mark.parametrize("absent", [None, "", "  "])
@pytest.mark.parametrize("path", OPTIONAL)
def test_null_and_empty_mean_absent_for_every_optional_field(path: list[str], absent: object) -> None:
    changed: Any = copy.deepcopy(FULL)
    place = changed if len(path) == 1 else changed["data"]
    without = copy.deepcopy(changed)
    (without if len(path) == 1 else without["data"]).pop(path[-1], None)
    place[path[-1]] = absent
    assert taken(changed)
    assert read_event(changed, NOW) == read_event(without, NOW)


def test_every_optional_field_of_the_schema_is_tested() -> None:
    properties = SCHEMA["properties"]["data"]["properties"].keys() - {"user", "effectiveDate"}
    assert {path[-1] for path in OPTIONAL if len(path) == 2} == properties


@pytest.mark.parametrize(
    ("order", "lacks", "field"),
    [(SourceOrder.SEQUENCE, "sequence", "data.sequence"), (SourceOrder.TIME, "time", "time")],
)
def test_an_event_that_lacks_the_order_of_its_source_is_rejected(order: SourceOrder, lacks: str, field: str) -> None:
    rules = SourceRules(order)
    assert read_event(FULL, NOW, rules).order is order
    for absent in (None, ""):
        lacking: Any = copy.deepcopy(FULL)
        (lacking if lacks == "time" else lacking["data"])[lacks] = absent
        with pytest.raises(BrokenEvent) as raised:
            read_event(lacking, NOW, rules)
        assert [each.field for each in raised.value.faults] == [field]
        assert "must be given: this source is ordered by" in str(raised.value)
        assert read_event(lacking, NOW).order is SourceOrder.ARRIVAL


def test_a_date_begins_in_the_time_zone_of_its_source() -> None:
    for zone, hour in (("Europe/Berlin", datetime(2026, 11, 30, 23)), ("America/New_York", datetime(2026, 12, 1, 5))):
        read = read_event(event(effectiveDate="2026-12-01"), NOW, SourceRules(zone=ZoneInfo(zone)))
        assert (read.effective_at, read.day) == (hour.replace(tzinfo=UTC), date(2026, 12, 1))
    late = read_event(event(effectiveDate="2026-12-01T23:30:00Z"), NOW, SourceRules(zone=ZoneInfo("Europe/Berlin")))
    assert late.day == date(2026, 12, 2)


@pytest.mark.parametrize("given", ["1999-12-31", "1900-01-01", "0002-01-01", "1999-12-31T22:59:59Z"])
def test_dates_before_2000_are_rejected(given: str) -> None:
    berlin = SourceRules(zone=ZoneInfo("Europe/Berlin"))
    with pytest.raises(BrokenEvent, match="must not be before 2000-01-01"):
        read_event(event(effectiveDate=given), NOW, berlin)
    assert read_event(event(effectiveDate="2000-01-01"), NOW, berlin).day == date(2000, 1, 1)


def test_texts_are_kept_tidy_and_compared_in_one_form() -> None:
    one = read_event(event(user={"employeeId": "  \uff25\uff0d7 "}, employmentId=" A  1"), NOW)
    other = read_event(event(user={"employeeId": "e-7"}, employmentId="a 1"), NOW)
    assert one.person.employee_id == "E-7"
    assert one.person.identities == other.person.identities
    assert one.employment == other.employment != ""


@pytest.mark.parametrize("kind", ["joiner", "mover", "leaver", "leaver.release", "leaver.rescission"])
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


def test_an_event_that_is_too_large_or_too_deep_to_be_kept_is_rejected_whatever_is_in_it() -> None:
    deep: object = 1
    for _ in range(MAX_DEPTH - 1):
        deep = [deep]
    assert json.loads(kept_text({"id": "1", "more": deep})) == {"id": "1", "more": deep}
    assert kept_text({"more": "x" * 32_000})
    for more, rule in (([[deep]], "nested at most 16 deep"), ("x" * MAX_EVENT, "at most 32768 characters")):
        with pytest.raises(BrokenEvent, match=rule):
            kept_text({"id": "1", "more": more})
