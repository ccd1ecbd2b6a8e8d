"""Random changes of membership, seeded: people, nested groups and rules of dynamic groups, at four levels."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from local.client import Client

LEVELS = ("main", "main-a", "main-b", "main-c")
FLOATING = 6
"""Groups that are nested somewhere and taken out again, people and all."""

RULED = 20
"""Members of the dynamic group, which a changed rule replaces all at once."""


@dataclass
class Changes:
    """What changes, and what the directory holds as far as the changes go."""

    client: Client
    groups: dict[str, str]
    people: list[str]
    chance: random.Random
    made: int = 0
    by_kind: dict[str, int] = field(default_factory=dict)
    _members: dict[str, set[str]] = field(default_factory=dict)
    _nested: dict[str, set[str]] = field(default_factory=dict)
    _floating: list[str] = field(default_factory=list)

    def prepare(self) -> None:
        """The floating groups, and a dynamic group inside `main-b`."""
        for number in range(FLOATING):
            some = self.chance.sample(self.people, 5)
            self._floating.append(self._group({"displayName": f"floating-{number}", "members": some}))
            self._members[self._floating[-1]] = set(some)
        ruled = self.chance.sample(self.people, RULED)
        rule = {"groupTypes": ["DynamicMembership"], "membershipRule": 'user.country -eq "DE"'}
        self.groups["ruled"] = self._group({"displayName": "ruled", "members": ruled, **rule})
        self._post([[self.groups["main-b"], self.groups["ruled"]]], [])

    def _group(self, described: dict[str, Any]) -> str:
        found: str = self.client.tenant("POST", "/objects", {"groups": [described]})["groups"][0]
        return found

    def some(self) -> int:
        """Make one change, or a handful at once; returns how many."""
        kind = self.chance.choices(("people", "nesting", "rule"), (92, 6, 2))[0]
        count = getattr(self, f"_{kind}")()
        self.by_kind[kind] = self.by_kind.get(kind, 0) + count
        self.made += count
        return int(count)

    def _people(self) -> int:
        add: list[list[str]] = []
        remove: list[list[str]] = []
        places = [*(self.groups[level] for level in LEVELS), *self._floating]
        for _ in range(self.chance.choice((1, 1, 1, 2, 5, 12))):
            group = self.chance.choice(places)
            inside = self._members.setdefault(group, set())
            stays = not inside or self.chance.random() < 0.5
            person = self.chance.choice(self.people if stays else sorted(inside))
            (remove if person in inside else add).append([group, person])
            inside.symmetric_difference_update({person})
        self._post(add, remove)
        return len(add) + len(remove)

    def _nesting(self) -> int:
        outer = self.groups[self.chance.choice(LEVELS)]
        group = self.chance.choice(self._floating)
        inside = self._nested.setdefault(outer, set())
        pair = [[outer, group]]
        self._post([], pair) if group in inside else self._post(pair, [])
        inside.symmetric_difference_update({group})
        return 1

    def _rule(self) -> int:
        members = self.chance.sample(self.people, RULED)
        done = self.client.tenant("PUT", f"/groups/{self.groups['ruled']}/members", {"members": members})
        return int(done["added"]) + int(done["removed"])

    def _post(self, add: list[list[str]], remove: list[list[str]]) -> None:
        self.client.tenant("POST", "/membership", {"add": add, "remove": remove})
