"""Values that are known before deployment: constants, files read by `loadJsonContent`, and combinations of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from infra.check.nodes import (
    Access,
    Array,
    Call,
    Conditional,
    Constant,
    Expression,
    File,
    Loop,
    Name,
    Object,
    Operation,
    Text,
)


class Unknown:
    """A value that only the deployment knows."""

    def __repr__(self) -> str:
        return "unknown"


UNKNOWN: Final = Unknown()

Scope = Mapping[str, Any]
"""Loop variables and their values."""


class Missing(Exception):
    """A known value was asked for something it does not have."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line


class Constants:
    """Evaluates expressions of one file. `folder`: where the paths in it start."""

    def __init__(self, file: File, folder: Path) -> None:
        self._file = file
        self._folder = folder
        self._busy: set[str] = set()

    def value(self, expression: Expression, scope: Scope) -> Any:
        """A JSON value, perhaps with unknowns inside, or UNKNOWN. Raises Missing."""
        match expression:
            case Constant(value=value):
                return value
            case Text():
                return self._text(expression, scope)
            case Name(name=name):
                return scope[name] if name in scope else self._variable(name)
            case Access():
                return self._access(expression, scope)
            case Object():
                return self._object(expression, scope)
            case Array(items=items):
                return [self.value(each, scope) for each in items]
            case Loop():
                return self._loop(expression, scope)
            case Call(name=name, base=None):
                return self._call(name, [self.value(each, scope) for each in expression.arguments], expression.line)
            case Call() | Operation() | Conditional():
                return UNKNOWN

    def _text(self, text: Text, scope: Scope) -> str | Unknown:
        parts = [each if isinstance(each, str) else self.value(each, scope) for each in text.parts]
        if any(isinstance(each, Unknown | dict | list) for each in parts):
            return UNKNOWN
        return "".join(str(each) for each in parts)

    def _object(self, given: Object, scope: Scope) -> Any:
        pairs = [(self.value(each.key, scope), self.value(each.value, scope)) for each in given.fields]
        return UNKNOWN if any(isinstance(key, Unknown) for key, _ in pairs) else dict(pairs)

    def _loop(self, loop: Loop, scope: Scope) -> Any:
        source = self.value(loop.source, scope)
        if not isinstance(source, list):
            return UNKNOWN
        return [self.value(loop.body, {**scope, loop.item: each}) for each in source]

    def _variable(self, name: str) -> Any:
        found = self._file.named(name)
        if found is None or found.kind != "var" or found.value is None or name in self._busy:
            return UNKNOWN
        self._busy.add(name)
        try:
            return self.value(found.value, {})
        finally:
            self._busy.discard(name)

    def _access(self, access: Access, scope: Scope) -> Any:
        base, key = self.value(access.base, scope), self.value(access.key, scope)
        if isinstance(base, dict) and isinstance(key, str):
            if key not in base:
                raise Missing(access.line, f"no {key!r} among {', '.join(sorted(base))}")
            return base[key]
        if isinstance(base, list) and isinstance(key, int):
            if not 0 <= key < len(base):
                raise Missing(access.line, f"no item {key} among {len(base)}")
            return base[key]
        return UNKNOWN

    def _call(self, name: str, arguments: list[Any], line: int) -> Any:
        if name == "loadJsonContent" and isinstance(arguments[0], str):
            try:
                return json.loads((self._folder / arguments[0]).read_text())
            except (OSError, ValueError) as fault:
                raise Missing(line, f"{arguments[0]} cannot be read as JSON: {fault}") from None
        if name in PURE and not any(isinstance(each, Unknown) for each in arguments):
            return PURE[name](*arguments)
        return UNKNOWN


def _union(*parts: Any) -> Any:
    return {key: value for part in parts for key, value in part.items()} if isinstance(parts[0], dict) else UNKNOWN


PURE: Mapping[str, Callable[..., Any]] = {
    "union": _union,
    "items": lambda given: [{"key": key, "value": given[key]} for key in sorted(given)],
    "empty": lambda given: not given,
    "replace": lambda text, old, new: text.replace(old, new),
    "split": lambda text, separator: text.split(separator),
}
"""Functions whose value follows from known arguments (learn.microsoft.com/azure/azure-resource-manager/bicep)."""
