"""Checks a response body of Graph against Graph's own metadata: names, types, null or not, and $select.

    validate(body, "user", selected=("id", "usageLocation"))

A body is an entity, or a collection under `value`. Rows with `@odata.type` are checked as what they say they are.
Graph's types are open, but a name that is not in the metadata is taken for a mistake here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

TYPES_FILE = Path(__file__).parents[2] / "local" / "tenant" / "data" / "graph-types.json"

_GUID = re.compile(r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")
_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$")
_INT32 = 2**31

ONLY_WHEN_SELECTED = {
    "user": {"licenseAssignmentStates"},
    "group": {"licenseProcessingState", "hasMembersWithLicenseErrors"},
}
"""Properties Graph returns with $select only."""

_NEVER_RETURNED = {"hasMembersWithLicenseErrors"}


class GraphSchemaError(AssertionError):
    """The body is not what the metadata says; the text lists every fault with its place."""


def validate(body: Any, type_name: str, selected: Collection[str] | None = None, *, limited_info: bool = False) -> None:
    """Raise GraphSchemaError unless the body is a `type_name` (without `graph.`) or a collection of them.

    With `selected`, exactly these properties must be there, as far as the row's type has them. `limited_info` allows
    nulls where the caller may not read the type: such rows carry their id and nothing else.
    """
    faults = list(_body_faults(body, type_name, selected, limited_info))
    if faults:
        raise GraphSchemaError(f"not a valid {type_name}:\n" + "\n".join(faults[:20]))


def validate_error(body: Any, *, status: int | None = None) -> None:
    """Raise GraphSchemaError unless the body is Graph's error object with code, message and innerError."""
    faults = []
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        raise GraphSchemaError(f"no error object in {body!r}")
    for name in ("code", "message"):
        if not isinstance(error.get(name), str):
            faults.append(f"error.{name} must be a string, is {error.get(name)!r}")
    inner = error.get("innerError")
    if not isinstance(inner, dict) or not {"date", "request-id"} <= set(inner):
        faults.append(f"error.innerError must have date and request-id, is {inner!r}")
    elif status == 429 and inner.get("code") != "429":
        faults.append("error.innerError.code of a throttled call must be '429'")
    if faults:
        raise GraphSchemaError("not a valid error:\n" + "\n".join(faults))


def validate_batch(body: Any, ids: Collection[str]) -> None:
    """Raise GraphSchemaError unless the body answers a $batch: each id at most once, with status and headers."""
    responses = body.get("responses") if isinstance(body, dict) else None
    if not isinstance(responses, list):
        raise GraphSchemaError(f"no responses in {body!r}")
    seen: set[str] = set()
    for response in responses:
        if response.get("id") not in ids or response["id"] in seen:
            raise GraphSchemaError(f"response id {response.get('id')!r} was not asked for, or came twice")
        seen.add(response["id"])
        if not isinstance(response.get("status"), int) or not isinstance(response.get("headers", {}), dict):
            raise GraphSchemaError(f"response {response['id']} needs an integer status and headers")
        if response["status"] >= 400:
            validate_error(response.get("body"), status=response["status"])


def _body_faults(body: Any, type_name: str, selected: Collection[str] | None, limited: bool) -> Iterator[str]:
    if not isinstance(body, dict):
        yield f"$: must be an object, is {type(body).__name__}"
        return
    if "value" not in body or "value" in _properties(type_name):
        yield from _entity_faults(body, type_name, selected, limited, "$")
        return
    for name, value in body.items():
        if name.startswith("@odata."):
            yield from _annotation_faults(name, value, "$")
        elif name != "value":
            yield f"$.{name}: a collection has only annotations beside value"
    if not isinstance(body["value"], list):
        yield "$.value: must be a collection"
        return
    for number, row in enumerate(body["value"]):
        yield from _entity_faults(row, type_name, selected, limited, f"$.value[{number}]")


def _entity_faults(
    row: Any, type_name: str, selected: Collection[str] | None, limited: bool, place: str
) -> Iterator[str]:
    if not isinstance(row, dict):
        yield f"{place}: must be an object, is {type(row).__name__}"
        return
    actual = str(row.get("@odata.type", f"#microsoft.graph.{type_name}")).rsplit(".", 1)[1]
    if actual not in _types():
        actual = "directoryObject"  # devices and service principals: the metadata extract has only their base
    elif type_name not in _bases(actual):
        yield f"{place}: @odata.type {actual} is not a {type_name}"
    known = _properties(actual) if actual != "directoryObject" else {**_properties(actual), "displayName": "Edm.String"}
    for name, value in row.items():
        here = f"{place}.{name}"
        if "@odata." in name:
            yield from _annotation_faults(name, value, place)
        elif name not in known:
            yield f"{here}: {actual} has no such property"
        elif name in _NEVER_RETURNED or (selected is None and name in ONLY_WHEN_SELECTED.get(actual, ())):
            yield f"{here}: is not returned without $select"
        elif not (limited and value is None):
            yield from _value_faults(value, known[name], here)
    yield from _selection_faults(row, known, selected, place)


def _selection_faults(
    row: dict[str, Any], known: dict[str, str], selected: Collection[str] | None, place: str
) -> Iterator[str]:
    if selected is None:
        if "id" in known and "id" not in row:
            yield f"{place}: has no id"
        return
    for name in selected:
        if name in known and name not in row and name not in _NEVER_RETURNED:
            yield f"{place}.{name}: was selected and is missing"
    for name in row:
        if "@odata." not in name and name not in selected:
            yield f"{place}.{name}: was not selected"


def _annotation_faults(name: str, value: Any, place: str) -> Iterator[str]:
    expected: type = int if name == "@odata.count" else str
    if not isinstance(value, expected):
        yield f"{place}.{name}: must be a {expected.__name__}, is {value!r}"
    elif name == "@odata.nextLink" and not str(value).startswith(("http://", "https://")):
        yield f"{place}.{name}: must be an absolute address, is {value!r}"


def _value_faults(value: Any, declared: str, place: str) -> Iterator[str]:
    kind, _, rest = declared.partition(" ")
    if value is None:
        if "not null" in rest:
            yield f"{place}: must not be null"
        return
    if kind.startswith("Collection("):
        if not isinstance(value, list):
            yield f"{place}: must be a collection, is {type(value).__name__}"
            return
        for number, one in enumerate(value):
            yield from _value_faults(one, kind[11:-1] + " (not null)", f"{place}[{number}]")
    elif kind.startswith("Edm."):
        if not _is_primitive(value, kind):
            yield f"{place}: must be {kind}, is {value!r}"
    elif (name := kind.removeprefix("graph.")) in _types():
        yield from _complex_faults(value, name, place)


def _complex_faults(value: Any, name: str, place: str) -> Iterator[str]:
    described = _types()[name]
    if described["kind"] == "EnumType":
        if value not in described["members"]:
            yield f"{place}: {value!r} is not one of {described['members']}"
        return
    if not isinstance(value, dict):
        yield f"{place}: must be an object, is {type(value).__name__}"
        return
    known = _properties(name)
    for key, inner in value.items():
        if "@odata." in key:
            continue
        if key not in known:
            yield f"{place}.{key}: {name} has no such property"
        else:
            yield from _value_faults(inner, known[key], f"{place}.{key}")
    for key in known:
        if key not in value:
            yield f"{place}.{key}: is missing"


def _is_primitive(value: Any, kind: str) -> bool:
    match kind:
        case "Edm.String":
            return isinstance(value, str)
        case "Edm.Boolean":
            return isinstance(value, bool)
        case "Edm.Int32":
            return isinstance(value, int) and not isinstance(value, bool) and -_INT32 <= value < _INT32
        case "Edm.Guid":
            return isinstance(value, str) and _GUID.match(value) is not None
        case "Edm.DateTimeOffset":
            return isinstance(value, str) and _TIME.match(value) is not None
        case _:
            raise GraphSchemaError(f"the metadata uses {kind}, which this check does not know")


@lru_cache(maxsize=1)
def _types() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(TYPES_FILE.read_text())["types"]
    return found


def _bases(name: str) -> list[str]:
    found = [name]
    while base := _types()[found[-1]].get("base"):
        found.append(str(base).removeprefix("graph."))
    return found


@lru_cache(maxsize=64)
def _properties(name: str) -> dict[str, str]:
    merged: dict[str, str] = {}
    for one in reversed(_bases(name)):
        merged.update(_types()[one].get("properties", {}))
    return merged
