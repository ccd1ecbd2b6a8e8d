"""Reading an HR event: a CloudEvent 1.0 in structured JSON (github.com/cloudevents/spec, version 1.0.2).

Every fault of an event is reported at once, each with the field, the value, and the allowed values.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any

from shared.domain import hr_literals
from shared.domain.ids import GroupId, UserId
from shared.domain.membership_changes import guid
from shared.domain.onboarding import HrEvent, HrEventType, PersonRef, SourceOrder
from shared.domain.texts import tidy

DATA = frozenset(
    {
        "user",
        "employmentId",
        "effectiveDate",
        "sequence",
        "usageLocation",
        "profiles",
        "groups",
        "attributes",
        "previous",
        "removal",
        "correlationId",
    }
)
ATTRIBUTES = (
    "companyName",
    "costCenter",
    "country",
    "department",
    "division",
    "employeeType",
    "jobTitle",
    "officeLocation",
)
"""What profiles may match by, named as on Graph's user (learn.microsoft.com/graph/api/resources/user)."""

MAX_ID, MAX_SOURCE, MAX_TEXT, MAX_UPN = 128, 256, 256, 320
MAX_EMPLOYEE_ID = 16
"""Characters of `employeeId` (learn.microsoft.com/graph/api/resources/user)."""
MAX_EMPLOYMENT_ID = 64
MAX_RAW = 512
"""Characters of a text before its blanks are folded."""
MAX_GROUPS, MAX_PROFILES = 50, 20
MAX_SEQUENCE = 2**53 - 1
MAX_EVENT, MAX_DEPTH = 32_768, 16
"""Characters and levels of an event with its extensions: every list of events reads it again."""
MAX_AHEAD = timedelta(days=730)
EARLIEST = date(2000, 1, 1)
"""An earlier date is a placeholder of the HR system, such as 1900-01-01, or a mistake."""
MAX_REMOVAL = timedelta(days=365)
SHOWN = 64

_ABSENT = re.compile(hr_literals.ABSENT)
_MEDIA = re.compile(hr_literals.MEDIA)
_ID = re.compile(hr_literals.VISIBLE)
_UPN = re.compile(hr_literals.PRINCIPAL_NAME)
_PRINTED = re.compile(hr_literals.PRINTED)
_PROFILE = re.compile(hr_literals.PROFILE)
_COUNTRY = re.compile(hr_literals.COUNTRY)
_DAYS = re.compile(hr_literals.DAYS)
_DATE = re.compile(hr_literals.DATE)


@dataclass(frozen=True, slots=True)
class SourceRules:
    """How an HR system's events are read. `order`: which of two is newer. `zone`: of a date without a time."""

    order: SourceOrder = SourceOrder.ARRIVAL
    zone: tzinfo = UTC


DEFAULT_RULES = SourceRules()
ANY_SOURCE = "*"
Sources = Mapping[str, SourceRules]
EVERY_SOURCE: Sources = {ANY_SOURCE: DEFAULT_RULES}


def rules_of(sources: Sources, source: object) -> SourceRules:
    """The rules of an HR system, those for any other system if it has none of its own."""
    return sources.get(str(source), sources[ANY_SOURCE])


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of an event: the field, the given value, and the allowed values."""

    field: str
    value: str
    rule: str

    def __str__(self) -> str:
        return f"{self.field} {self.rule}, not {self.value}"


class BrokenEvent(ValueError):
    """An event that cannot be read, with all its faults."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = faults


def accepted(value: object, now: datetime, sources: Sources) -> tuple[HrEvent, str]:
    """An event that comes in, and the text that is kept of it. Raises BrokenEvent like `kept_text` and `read_event`."""
    text = kept_text(value) if isinstance(value, dict) else ""
    rules = rules_of(sources, value.get("source")) if isinstance(value, dict) else DEFAULT_RULES
    return read_event(value, now, rules), text


def kept_text(event: Mapping[str, Any]) -> str:
    """The event as it is kept, see `canonical`. Raises BrokenEvent for one that is too large or too deep to be kept."""
    if _is_deeper(event, MAX_DEPTH):
        raise BrokenEvent((Fault("event", "a deeper one", f"must be nested at most {MAX_DEPTH} deep"),))
    text = canonical(event)
    if len(text) > MAX_EVENT:
        rule = f"must have at most {MAX_EVENT} characters as compact JSON"
        raise BrokenEvent((Fault("event", f"{len(text)} characters", rule),))
    return text


def _is_deeper(value: object, depth: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return depth < 0 or any(_is_deeper(each, depth - 1) for each in inner if isinstance(each, dict | list))


def canonical(event: Mapping[str, Any]) -> str:
    """The event as compact JSON with sorted names: the same text for the same event."""
    return json.dumps(event, sort_keys=True, separators=(",", ":"))


def read_event(value: object, now: datetime, rules: SourceRules = DEFAULT_RULES) -> HrEvent:
    """The event. `now` bounds the effective date, `rules` are those of its source. Raises BrokenEvent with every
    fault."""
    if not isinstance(value, dict):
        raise BrokenEvent((Fault("event", shown(value), "must be a JSON object"),))
    reader = _Reader(value, rules)
    event = reader.event(now)
    if reader.faults:
        raise BrokenEvent(tuple(reader.faults))
    return event


class _Reader:
    """Reads fields one by one and collects what is wrong; a faulty one reads as something harmless.

    Optional fields that are null or an empty text are absent: HR systems export missing values as either.
    """

    def __init__(self, value: Mapping[str, Any], rules: SourceRules) -> None:
        self._value = value
        self._rules = rules
        self.faults: list[Fault] = []

    def event(self, now: datetime) -> HrEvent:
        self._must(
            self._value.get("specversion") == "1.0", "specversion", self._value.get("specversion"), 'must be "1.0"'
        )
        kind = self._type()
        event_id = self._text(self._value, "id", "id", MAX_ID, _ID, "of visible ASCII characters")
        source = self._text(self._value, "source", "source", MAX_SOURCE, _ID, "of visible ASCII characters")
        media = _given(self._value, "datacontenttype")
        media = "application/json" if media is None else media
        is_json = isinstance(media, str) and _MEDIA.fullmatch(media) is not None
        self._must(is_json, "datacontenttype", media, "must be application/json")
        data = self._value.get("data")
        if not isinstance(data, dict):
            self.fault("data", data, "must be a JSON object")
            data = {}
        for name in sorted(data.keys() - DATA):
            self.fault(f"data.{name}", data[name], f"is no field of this version ({', '.join(sorted(DATA))})")
        after, on_release = self._removal(_given(data, "removal"), kind)
        effective_at = self._effective(data, kind, now)
        return HrEvent(
            id=event_id,
            source=source,
            type=kind,
            person=self._person(data.get("user")),
            effective_at=effective_at,
            day=effective_at.astimezone(self._rules.zone).date(),
            order=self._rules.order,
            employment_id=self._employment(data),
            sequence=self._sequence(_given(data, "sequence")),
            time=self._time(_given(self._value, "time")),
            usage_location=self._country(_given(data, "usageLocation")),
            profiles=self._profiles(data),
            groups=self._groups(data),
            attributes=self._attributes(data, "attributes"),
            previous=self._attributes(data, "previous"),
            removal_after=after,
            removal_on_release=on_release,
            correlation_id=self._optional(data, "correlationId", MAX_ID),
        )

    def fault(self, name: str, value: object, rule: str) -> None:
        self.faults.append(Fault(name, shown(value), rule))

    def _must(self, holds: bool, name: str, value: object, rule: str) -> None:
        if not holds:
            self.fault(name, value, rule)

    def _type(self) -> HrEventType:
        given = self._value.get("type")
        try:
            return HrEventType(given)  # type: ignore[arg-type]  # whatever was sent
        except ValueError:
            self.fault("type", given, f"must be one of {', '.join(HrEventType)}")
            return HrEventType.JOINER

    def _text(
        self, fields: Mapping[str, Any], key: str, name: str, most: int, pattern: re.Pattern[str], what: str
    ) -> str:
        value = fields.get(key)
        if isinstance(value, str) and len(value) <= MAX_RAW and pattern.fullmatch(value):
            text = value if pattern is _ID else tidy(value)
            if 0 < len(text) <= most and pattern.fullmatch(text):
                return text
        self.fault(name, value, f"must be a text of 1 to {most} characters {what}".rstrip())
        return ""

    def _optional(self, fields: Mapping[str, Any], key: str, most: int) -> str:
        value = _given(fields, key)
        if value is None:
            return ""
        if isinstance(value, str) and len(value) <= most:
            return value
        self.fault(f"data.{key}", value, f"must be a text of at most {most} characters")
        return ""

    def _employment(self, data: Mapping[str, Any]) -> str:
        if _given(data, "employmentId") is None:
            return ""
        name = "data.employmentId"
        return self._text(data, "employmentId", name, MAX_EMPLOYMENT_ID, _PRINTED, "without control characters")

    def _person(self, value: object) -> PersonRef:
        if not isinstance(value, dict):
            self.fault("data.user", value, "must be an object with id, employeeId or userPrincipalName")
            return PersonRef()
        for name in sorted(value.keys() - {"id", "employeeId", "userPrincipalName"}):
            self.fault(
                f"data.user.{name}", value[name], "is no field of this version (id, employeeId, userPrincipalName)"
            )
        given = {name: value[name] for name in value if _given(value, name) is not None}
        user_id = self._guid(given["id"], "data.user.id") if "id" in given else ""
        employee = upn = ""
        if "employeeId" in given:
            name = "data.user.employeeId"
            employee = self._text(given, "employeeId", name, MAX_EMPLOYEE_ID, _PRINTED, "without control characters")
        if "userPrincipalName" in given:
            name = "data.user.userPrincipalName"
            upn = self._text(given, "userPrincipalName", name, MAX_UPN, _UPN, "of the form name@domain")
        if not given.keys() & {"id", "employeeId", "userPrincipalName"}:
            self.fault("data.user", value, "must have id, employeeId or userPrincipalName")
        return PersonRef(UserId(user_id) if user_id else None, employee, upn)

    def _guid(self, value: object, name: str) -> str:
        try:
            return guid(value)
        except (ValueError, TypeError, AttributeError):
            self.fault(name, value, "must be a GUID")
            return ""

    def _effective(self, data: Mapping[str, Any], kind: HrEventType, now: datetime) -> datetime:
        value = _given(data, "effectiveDate")
        if value is None and kind.names_a_leaver:
            return now
        rule = "must be a date such as 2026-12-01 or a time with offset such as 2026-12-01T08:00:00+01:00"
        found = hr_literals.moment(value, self._rules.zone)
        if found is None:
            self.fault("data.effectiveDate", value, rule)
            return now
        if found > now + MAX_AHEAD:
            self.fault("data.effectiveDate", value, f"must be within {MAX_AHEAD.days} days from now")
        elif found.year < EARLIEST.year - 1 or found.astimezone(self._rules.zone).date() < EARLIEST:
            self.fault("data.effectiveDate", value, f"must not be before {EARLIEST}")
        else:
            return found
        return now

    def _time(self, value: object) -> datetime | None:
        if value is None:
            if self._rules.order is SourceOrder.TIME:
                self.fault("time", value, "must be given: this source is ordered by time")
            return None
        found = hr_literals.moment(value, self._rules.zone)
        if found is None or not isinstance(value, str) or _DATE.fullmatch(value):
            self.fault("time", value, "must be a time of RFC 3339 with offset")
            return None
        return found

    def _sequence(self, value: object) -> int | None:
        if value is None:
            if self._rules.order is SourceOrder.SEQUENCE:
                self.fault("data.sequence", value, "must be given: this source is ordered by sequence")
            return None
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # 2.0 is 2 in JSON
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_SEQUENCE:
            return value
        self.fault("data.sequence", value, f"must be a whole number of 0 to {MAX_SEQUENCE}")
        return None

    def _country(self, value: object) -> str:
        if value is None:
            return ""
        if isinstance(value, str) and _COUNTRY.fullmatch(value):
            return value
        self.fault("data.usageLocation", value, "must be a country code of two capital letters (ISO 3166-1)")
        return ""

    def _items(self, data: Mapping[str, Any], name: str, most: int) -> list[object]:
        value = _given(data, name)
        if value is None:
            return []
        if isinstance(value, list) and len(value) <= most:
            return value
        held = f"{len(value)} items" if isinstance(value, list) else shown(value)
        self.faults.append(Fault(f"data.{name}", held, f"must be an array of at most {most} items"))
        return []

    def _profiles(self, data: Mapping[str, Any]) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for item in self._items(data, "profiles", MAX_PROFILES):
            if isinstance(item, str) and _PROFILE.fullmatch(item):
                found[item] = None
            else:
                self.fault("data.profiles", item, "must hold names of 1 to 64 of a-z, 0-9 and -")
        return tuple(found)

    def _groups(self, data: Mapping[str, Any]) -> tuple[GroupId, ...]:
        found = [self._guid(item, "data.groups") for item in self._items(data, "groups", MAX_GROUPS)]
        return tuple(dict.fromkeys(GroupId(each) for each in found if each))

    def _attributes(self, data: Mapping[str, Any], field: str) -> dict[str, str]:
        value = _given(data, field)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.fault(f"data.{field}", value, "must be an object")
            return {}
        found: dict[str, str] = {}
        for name, text in value.items():
            if name not in ATTRIBUTES:
                self.fault(f"data.{field}.{str(name)[:SHOWN]}", text, f"is not one of {', '.join(ATTRIBUTES)}")
            elif _given(value, name) is None:
                continue
            elif not isinstance(text, str) or len(text) > MAX_TEXT:
                self.fault(f"data.{field}.{name}", text, f"must be a text of 1 to {MAX_TEXT} characters")
            else:
                found[name] = tidy(text)
        return found

    def _removal(self, value: object, kind: HrEventType) -> tuple[timedelta | None, bool]:
        if value is None:
            return None, False
        if kind is not HrEventType.LEAVER:
            self.fault("data.removal", value, f"is only for {HrEventType.LEAVER}")
        elif value == "release":
            return None, True
        else:
            if isinstance(value, str) and _DAYS.fullmatch(value):
                return timedelta(days=int(value[1:-1])), False
            self.fault("data.removal", value, f'must be "release" or days from P0D to P{MAX_REMOVAL.days}D')
        return None, False


def _given(fields: Mapping[str, Any], name: str) -> Any:
    """The value of an optional field; None for one that is absent, null, or a text of blanks."""
    value = fields.get(name)
    return None if isinstance(value, str) and _ABSENT.fullmatch(value) else value


def shown(value: object) -> str:
    """A value in a fault, short and on one line."""
    text = json.dumps(value, default=str)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
