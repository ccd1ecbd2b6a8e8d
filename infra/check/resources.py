"""Resources against the published types: properties, their level, what is required, read-only, and of which values."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from infra.check.constants import UNKNOWN, Constants, Missing, Scope, Unknown
from infra.check.nodes import (
    Access,
    Array,
    Conditional,
    Declaration,
    Expression,
    File,
    Loop,
    Name,
    Object,
    Operation,
    Text,
)
from infra.check.symbols import body_of

OF_BICEP = frozenset({"parent", "scope", "dependsOn"})
"""Properties of a resource that are the language's and not the type's."""

SCOPES = {"subscription": "Subscription", "resourceGroup": "ResourceGroup"}
KINDS = {"string": str, "int": int, "bool": bool, "array": list, "object": dict}

Fault = tuple[int, str]


@cache
def published() -> Mapping[str, Any]:
    """The extract of published types: `Type@version` or `Type@version:name` -> body, scope, types."""
    found: Mapping[str, Any] = json.loads(Path(__file__).with_name("resource-types.json").read_text())["resources"]
    return found


def resource_faults(file: File, folder: Path) -> Iterator[Fault]:
    """Line and text of each fault in the resources of a file; its paths start at `folder`."""
    for each in file.of("resource"):
        body = body_of(each)
        if body is None:
            yield each.line, f"resource {each.name} has no body"
            continue
        shape = _shape(each, body)
        if shape is None:
            yield each.line, f"{each.type} is not in the extract of published types: add it in infra/check/extract.py"
            continue
        if shape["scope"] not in ("AllExceptExtension", SCOPES[file.scope]):
            yield each.line, f"{each.type} belongs in a {shape['scope']}, the file is for a {file.scope}"
        yield from _parent(file, each, body)
        checker = _Checker(file, Constants(file, folder), shape["types"])
        yield from checker.body(each, shape["body"])


def _shape(resource: Declaration, body: Object) -> Any:
    name = body.get("name")
    fixed = name.constant if isinstance(name, Text) else None
    return published().get(resource.type) or published().get(f"{resource.type}:{fixed}")


def _parent(file: File, resource: Declaration, body: Object) -> Iterator[Fault]:
    """A type of three parts or more lies in a resource of the type one shorter."""
    of_type = resource.type.split("@")[0]
    parent = body.get("parent")
    expected = of_type.rsplit("/", 1)[0] if of_type.count("/") > 1 else ""
    if not expected:
        if parent is not None:
            yield resource.line, f"{resource.name} is of a type that has no parent"
        return
    named = parent.base if isinstance(parent, Access) else parent
    found = file.named(named.name) if isinstance(named, Name) else None
    if found is None or found.type.split("@")[0] != expected:
        yield resource.line, f"the parent of {resource.name} must be a {expected}"


@dataclass(frozen=True, slots=True)
class _Checker:
    file: File
    constants: Constants
    types: Mapping[str, Mapping[str, str]]

    def body(self, resource: Declaration, shape: Mapping[str, str]) -> Iterator[Fault]:
        """The whole resource, once for each round of its loop."""
        value, scopes = resource.value, [dict[str, Any]()]
        while isinstance(value, Loop | Conditional):
            if isinstance(value, Loop):
                try:
                    source = self.constants.value(value.source, {})
                except Missing as fault:
                    yield fault.line, str(fault)
                    return
                rounds = source if isinstance(source, list) else [UNKNOWN]
                scopes = [{**scope, value.item: each} for scope in scopes for each in rounds]
            value = value.body
        if isinstance(value, Object):
            found = {fault: None for scope in scopes for fault in self.object(value, shape, scope, at="the resource")}
            yield from found

    def object(self, value: Object, shape: Mapping[str, str], scope: Scope, at: str) -> Iterator[Fault]:
        given = set()
        for field in value.fields:
            key = field.key.constant
            if key is None or (at == "the resource" and key in OF_BICEP):
                continue
            given.add(key)
            if key in shape:
                if _read_only(shape[key]):
                    yield field.line, f"{key} of {at} is read-only"
                else:
                    yield from self.value(field.value, _bare(shape[key]), scope, key)
            elif "*" in shape:
                yield from self.value(field.value, shape["*"], scope, key)
            else:
                yield field.line, f"{at} has no property {key}{self._hint(key, shape)}"
        for key, text in shape.items():
            if "!" in text[-2:] and not _read_only(text) and key not in given:
                yield value.line, f"{at} lacks the required property {key}"

    def value(self, value: Expression, text: str, scope: Scope, at: str) -> Iterator[Fault]:
        if isinstance(value, Operation) and value.operator == "?:":
            for branch in value.operands[1:]:
                yield from self.value(branch, text, scope, at)
            return
        if isinstance(value, Object) and _map_of(text) is None and text in self.types:
            yield from self.object(value, self.types[text], scope, at)
            return
        if text.endswith("[]") and isinstance(value, Array | Loop):
            yield from self._items(value, text.removesuffix("[]"), scope, at)
            return
        declared = self.file.named(value.name) if isinstance(value, Name) and value.name not in scope else None
        if declared is not None and declared.kind == "var" and declared.value is not None:
            yield from ((value.line, fault) for _, fault in self.value(declared.value, text, {}, at))
            return
        try:
            known = self.constants.value(value, scope)
        except Missing as fault:
            yield fault.line, f"{at}: {fault}"
            return
        if declared is not None and declared.kind == "param":
            known = KINDS[declared.type.removesuffix("[]") if not declared.type.endswith("[]") else "array"]()
            text = text if " | " not in text else "string"
        if isinstance(known, Unknown) and isinstance(value, Text):
            known, text = "", text if " | " not in text else "string"
        yield from ((value.line, fault) for fault in self._known(known, text, at))

    def _items(self, value: Array | Loop, text: str, scope: Scope, at: str) -> Iterator[Fault]:
        if isinstance(value, Array):
            for item in value.items:
                yield from self.value(item, text, scope, at)
            return
        try:
            source = self.constants.value(value.source, scope)
        except Missing as fault:
            yield fault.line, f"{at}: {fault}"
            return
        for each in source if isinstance(source, list) else [UNKNOWN]:
            yield from self.value(value.body, text, {**scope, value.item: each}, at)

    def _known(self, known: Any, text: str, at: str) -> Iterator[str]:
        """A JSON value against a type."""
        if isinstance(known, Unknown) or known is None or text == "any":
            return
        if text in ("string", "int", "bool", "object"):
            if type(known) is not KINDS[text]:
                yield f"{at} must be of type {text}, not {json.dumps(known, default=str)}"
        elif text.endswith("[]"):
            if not isinstance(known, list):
                yield f"{at} must be a list, not {json.dumps(known, default=str)}"
                return
            for each in known:
                yield from self._known(each, text.removesuffix("[]"), at)
        elif _map_of(text) is not None or text in self.types:
            if not isinstance(known, dict):
                yield f"{at} must be an object, not {json.dumps(known, default=str)}"
        else:
            allowed = [each for each in text.split(" | ") if each != "string"]
            if known not in allowed:
                yield f"{at} must be one of {', '.join(allowed)}, not {known!r}"

    def _hint(self, key: str, shape: Mapping[str, str]) -> str:
        """Where the property belongs, or what may be meant."""
        homes = [name for name, each in shape.items() if key in self.types.get(_bare(each).removesuffix("[]"), {})]
        if homes:
            return f"; it belongs in {homes[0]}"
        near = difflib.get_close_matches(key, shape, n=1)
        if near:
            return f"; is {near[0]} meant?"
        above = sorted(name for name, each in self.types.items() if key in each)
        return f"; {above[0]} has one" if above else ""


def _bare(text: str) -> str:
    return text.rstrip("!-")


def _read_only(text: str) -> bool:
    return "-" in text[-2:]


def _map_of(text: str) -> str | None:
    """The type of the values of a map, `{T}`."""
    return text[1:-1] if text.startswith("{") else None
