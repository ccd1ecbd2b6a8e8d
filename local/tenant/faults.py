"""Faults on demand: rules that make chosen calls fail in the ways networks and services do.

A rule matches on method, path and application; `after` lets the first matches pass, `times` ends it.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from typing import Any

_ACTIONS = frozenset({
    "status", "code", "message", "retryAfter", "headers", "timeoutBefore", "timeoutAfter", "dropItem", "nullFields",
    "missingValue", "delayMs", "reset",
})  # fmt: skip


@dataclass(slots=True)
class FaultRule:
    """One rule with how often it matched and how often it struck."""

    method: str | None
    path: re.Pattern[str] | None
    app: str | None
    action: dict[str, Any]
    probability: float = 1.0
    times: int | None = None
    after: int = 0
    matched: int = 0
    struck: int = 0
    source: dict[str, Any] = field(default_factory=dict)

    def matches(self, method: str, path: str, apps: tuple[str, ...]) -> bool:
        """Whether the rule is about this call; `apps` are the application's id and name."""
        return (
            (self.method is None or self.method == method)
            and (self.app is None or self.app in apps)
            and (self.path is None or self.path.search(path) is not None)
        )


class Faults:
    """The rules of one tenant, first match first."""

    def __init__(self, seed: int = 0) -> None:
        self.rules: list[FaultRule] = []
        self._random = random.Random(seed)

    def add(self, raw: list[dict[str, Any]]) -> None:
        """Append rules; ValueError names what is wrong and none is taken."""
        self.rules.extend([_parse(one) for one in raw])

    def clear(self) -> None:
        """Forget all rules."""
        self.rules.clear()

    def strike(self, method: str, path: str, apps: tuple[str, ...], *, naming: str = "") -> dict[str, Any] | None:
        """The action of the first rule that strikes this call, or None. `naming`: only rules whose path has this, for
        what is not Graph's."""
        for rule in self.rules:
            if naming and (rule.path is None or naming not in rule.path.pattern):
                continue
            if not rule.matches(method, path, apps) or (rule.times is not None and rule.struck >= rule.times):
                continue
            rule.matched += 1
            if rule.matched <= rule.after or self._random.random() >= rule.probability:
                continue
            rule.struck += 1
            return rule.action
        return None

    def as_json(self) -> list[dict[str, Any]]:
        """Rules as given, with their counts."""
        return [{**rule.source, "matched": rule.matched, "struck": rule.struck} for rule in self.rules]


def _parse(raw: dict[str, Any]) -> FaultRule:
    match = raw.get("match", {})
    action = raw.get("action")
    if not isinstance(action, dict) or not action:
        raise ValueError(f"fault rule needs an action, one or more of {', '.join(sorted(_ACTIONS))}: {raw!r}")
    unknown = (set(action) - _ACTIONS) | (set(match) - {"method", "path", "app"})
    unknown |= set(raw) - {"match", "probability", "times", "after", "action"}
    if unknown:
        raise ValueError(f"fault rule has unknown names: {', '.join(sorted(unknown))}")
    if isinstance(action.get("status"), dict):
        action = {**{name: value for name, value in action.items() if name != "status"}, **action["status"]}
    try:
        path = re.compile(match["path"]) if "path" in match else None
    except re.error as error:
        raise ValueError(f"fault rule has a bad path pattern {match['path']!r}: {error}") from error
    return FaultRule(
        method=match.get("method"),
        path=path,
        app=match.get("app"),
        action=action,
        probability=float(raw.get("probability", 1.0)),
        times=None if raw.get("times") is None else int(raw["times"]),
        after=int(raw.get("after", 0)),
        source=raw,
    )
