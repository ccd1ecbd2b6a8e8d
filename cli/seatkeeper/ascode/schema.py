"""Checks a document against licenses.v1.json and names the line of each fault.

Only the keywords that the schema uses are known; a test compares the verdicts with those of jsonschema.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

from seatkeeper.names import suggestion

NAME = "licenses.v1.json"
KINDS: Mapping[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "null": type(None),
}
WORDS = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "empty",
}

Fault = tuple[int, str]
"""A line and a text."""


@lru_cache(maxsize=1)
def text() -> str:
    """The schema as editors read it."""
    return (files("seatkeeper.ascode") / NAME).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def schema() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text())
    return found


def faults(document: Any) -> list[Fault]:
    """Every fault of a document, in the order of the file."""
    return list(_check(document, schema(), "the file", 1))


def _check(value: Any, rule: Mapping[str, Any], place: str, line: int) -> Iterator[Fault]:
    rule = _resolved(rule)
    line = getattr(getattr(value, "lc", None), "line", line - 1) + 1
    kinds = rule.get("type", ())
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_is(value, each) for each in kinds):
        quote = " Put it in quotes." if "string" in kinds and isinstance(value, (int, float, bool)) else ""
        yield line, f"{place} must be {' or '.join(WORDS[each] for each in kinds)}.{quote}"
        return
    if "const" in rule and value != rule["const"]:
        word = str(rule["const"]).lower() if isinstance(rule["const"], bool) else rule["const"]
        why = f" {rule['description']}" if "description" in rule else ""
        yield line, f"{place} must be {word}.{why}"
    if "enum" in rule and value not in rule["enum"]:
        near = suggestion(str(value), rule["enum"])
        yield line, f"{place} {value!r} must be one of {', '.join(rule['enum'])}.{near}"
    if isinstance(value, int) and not rule.get("minimum", value) <= value <= rule.get("maximum", value):
        yield line, f"{place} must be from {rule['minimum']} to {rule['maximum']}."
    if isinstance(value, str):
        yield from _check_text(value, rule, place, line)
    elif isinstance(value, list):
        yield from _check_list(value, rule, place, line)
    elif isinstance(value, dict):
        yield from _check_mapping(value, rule, place, line)


def _is(value: Any, kind: str) -> bool:
    return isinstance(value, KINDS[kind]) and not (kind != "boolean" and isinstance(value, bool))


def _resolved(rule: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in rule:
        target: Any = schema()
        for part in rule["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        rule = target
    return rule


def _check_text(value: str, rule: Mapping[str, Any], place: str, line: int) -> Iterator[Fault]:
    if len(value) < rule.get("minLength", 0):
        yield line, f"{place} is empty."
    if len(value) > rule.get("maxLength", len(value)):
        yield line, f"{place} is longer than {rule['maxLength']} characters."
    if "pattern" in rule and not re.search(rule["pattern"].removesuffix("$") + r"\Z", value):
        must = rule.get("description", f"match {rule['pattern']}").rstrip(".")
        yield line, f"{place} {value!r} is not valid. It must be: {must}."


def _check_list(value: list[Any], rule: Mapping[str, Any], place: str, line: int) -> Iterator[Fault]:
    if len(value) < rule.get("minItems", 0):
        yield line, f"{place} is empty."
    for index, each in enumerate(value):
        yield from _check(each, rule.get("items", {}), f"{place}[{index + 1}]", item_line(value, index, line))


def _check_mapping(value: dict[Any, Any], rule: Mapping[str, Any], place: str, line: int) -> Iterator[Fault]:
    known = rule.get("properties", {})
    other = rule.get("additionalProperties", True)
    if len(value) < rule.get("minProperties", 0) or len(value) > rule.get("maxProperties", len(value)):
        yield line, f"{place} must have exactly one name. Indent its settings below it."
    for name in rule.get("required", ()):
        if name not in value:
            yield line, f"{place} lacks {name}."
    for name, each in value.items():
        at = key_line(value, name, line)
        if not isinstance(name, str):
            yield at, f"The name {name!r} in {place} must be text. Put it in quotes."
            continue
        if "propertyNames" in rule:
            yield from _check_text(name, _resolved(rule["propertyNames"]), f"The name in {place}", at)
        if name in known:
            yield from _check(each, known[name], name if place == "the file" else f"{place}.{name}", at)
        elif other is False:
            yield at, f"Unknown key {name!r} in {place}.{suggestion(name, known)} Allowed: {', '.join(known)}."
        elif isinstance(other, dict):
            yield from _check(each, other, f"{place}.{name}", at)


def key_line(value: Any, name: Any, default: int = 1) -> int:
    """The line of a key."""
    try:
        return int(value.lc.key(name)[0]) + 1
    except (AttributeError, KeyError, TypeError):
        return default


def item_line(value: Any, index: int, default: int = 1) -> int:
    """The line of an item of a list."""
    try:
        return int(value.lc.item(index)[0]) + 1
    except (AttributeError, KeyError, TypeError):
        return default
