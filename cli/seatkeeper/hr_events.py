"""HR events from options and from the rows of a CSV file."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seatkeeper.errors import CliError
from seatkeeper.names import suggestion

KINDS = {
    "joiner": "hr.joiner.v1",
    "mover": "hr.mover.v1",
    "leaver": "hr.leaver.v1",
    "rescission": "hr.leaver.rescission.v1",
    "release": "hr.leaver.release.v1",
}
USER = {"userId": "id", "employeeId": "employeeId", "userPrincipalName": "userPrincipalName"}
"""Columns that identify the person, with the names in the event."""

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
DATA = ("effectiveDate", "employmentId", "usageLocation")
EVENT = ("type", "id", "source", "time", "sequence", "profiles")
COLUMNS = (*EVENT, *USER, *DATA, *ATTRIBUTES)
MOST_ROWS = 1000
"""Events that the API accepts in one request."""


@dataclass(frozen=True)
class CsvRow:
    """A row of the file. `line`: as an editor counts. `fault`: the reason why it was not sent; empty for a good one."""

    line: int
    event: Mapping[str, Any]
    fault: str = ""


def event_of(values: Mapping[str, str], source: str = "") -> dict[str, Any]:
    """An event from values by column. Empty values are left out. Raises CliError."""
    given = {name: value.strip() for name, value in values.items() if value and value.strip()}
    kind = given.get("type", "")
    if kind not in KINDS and kind not in KINDS.values():
        raise CliError(f"type {kind!r} must be one of {', '.join(KINDS)}.{suggestion(kind, KINDS)}")
    data: dict[str, Any] = {"user": {name: given[column] for column, name in USER.items() if column in given}}
    if not data["user"]:
        raise CliError(f"one of {', '.join(USER)} must name the person.")
    data |= {name: given[name] for name in DATA if name in given}
    attributes = {name: given[name] for name in ATTRIBUTES if name in given}
    if attributes:
        data["attributes"] = attributes
    if "profiles" in given:
        data["profiles"] = [each.strip() for each in given["profiles"].split(";") if each.strip()]
    if "sequence" in given:
        try:
            data["sequence"] = int(given["sequence"])
        except ValueError as fault:
            raise CliError(f"sequence {given['sequence']!r} must be a whole number.") from fault
    event: dict[str, Any] = {
        "specversion": "1.0",
        "type": KINDS.get(kind, kind),
        "source": given.get("source", source),
        "data": data,
    }
    if not event["source"]:
        raise CliError("the source is missing: name it in the column source or with --source.")
    if "time" in given:
        event["time"] = given["time"]
    return {**event, "id": given.get("id") or content_id(event)}


def content_id(event: Mapping[str, Any]) -> str:
    """An ID from the content, so that the same event sent again changes nothing."""
    text = json.dumps(event, sort_keys=True, ensure_ascii=False)
    return f"cli-{hashlib.sha256(text.encode()).hexdigest()[:24]}"


def pairs_of(pairs: Iterable[str]) -> dict[str, str]:
    """Values of `--set name=value`. Raises CliError."""
    found: dict[str, str] = {}
    for each in pairs:
        name, equals, value = each.partition("=")
        if not equals:
            raise CliError(f"--set {each!r} must be name=value.")
        must_be_known(name.strip(), (*ATTRIBUTES, *DATA))
        found[name.strip()] = value
    return found


def must_be_known(name: str, known: Iterable[str]) -> None:
    """Raises CliError that suggests the closest name."""
    known = tuple(known)
    if name not in known:
        raise CliError(f"Unknown property {name!r}.{suggestion(name, known)} Allowed: {', '.join(known)}.")


def rows_of(path: Path, source: str) -> list[CsvRow]:
    """The rows of a CSV file with one event each. Raises CliError for a file or a heading that is wrong."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            sample = file.read(4096)
            file.seek(0)
            separator = ";" if sample.split("\n", 1)[0].count(";") > sample.split("\n", 1)[0].count(",") else ","
            reader = csv.DictReader(file, delimiter=separator)
            names = [str(name or "").strip() for name in reader.fieldnames or ()]
            for name in names:
                must_be_known(name, COLUMNS)
            reader.fieldnames = names
            return [_row(reader.line_num, values, source) for values in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as fault:
        raise CliError(f"{path} cannot be read as CSV in UTF-8: {fault}.") from fault


def _row(line: int, values: Mapping[str, Any], source: str) -> CsvRow:
    if None in values:
        return CsvRow(line, {}, "the row has more cells than the heading.")
    try:
        return CsvRow(line, event_of({name: value or "" for name, value in values.items()}, source))
    except CliError as fault:
        return CsvRow(line, {}, fault.message)
