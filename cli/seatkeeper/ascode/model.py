"""The statement of the files, before any name is resolved."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from seatkeeper import fields as f

DIRECT = "direct"
DEFAULT_REMOVALS = "over 20 or 2%"
_LIMIT = re.compile(r"over (\d+)(%?)(?: or (\d+)%)?")


@dataclass(frozen=True)
class Place:
    """A line of a file."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class ProductEntry:
    """A product with the names of apps to turn off; names of appSets are replaced by their apps."""

    name: str
    off: tuple[str, ...]
    place: Place


@dataclass(frozen=True)
class GroupEntry:
    """A group of the files. `options`: those that the entry or the defaults set, by the API's names."""

    group: str
    place: Place
    id: str = ""
    engine: str = ""
    is_paused: bool = False
    products: tuple[ProductEntry, ...] = ()
    exclude: tuple[str, ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class ProfileEntry:
    """A profile of the files. `when`: allowed values by attribute. `options`: those that it sets."""

    name: str
    place: Place
    when: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    products: tuple[ProductEntry, ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class PolicyTest:
    """What must be true of a person after the plan."""

    user: str
    has: tuple[str, ...]
    has_not: tuple[str, ...]
    place: Place


@dataclass(frozen=True)
class Limit:
    """More than `count`, and more than `percent` of the members; the larger one counts. None: no limit."""

    count: int | None = None
    percent: int | None = None

    @classmethod
    def of(cls, text: str) -> Limit:
        """From `over 20 or 2%`. Raises ValueError."""
        match = _LIMIT.fullmatch(text)
        if match is None:
            raise ValueError(text)
        first, is_percent, second = match.groups()
        if is_percent:
            return cls(None, max(int(first), int(second or 0)))
        return cls(int(first), int(second) if second else None)

    def most(self, members: int) -> int | None:
        """The most that passes in a group of so many members."""
        limits = [each for each in (self.count, members * self.percent // 100 if self.percent is not None else None)]
        known = [each for each in limits if each is not None]
        return max(known) if known else None

    def __str__(self) -> str:
        parts = [
            f"{self.count}" if self.count is not None else "",
            f"{self.percent}%" if self.percent is not None else "",
        ]
        return " or ".join(filter(None, parts))


@dataclass(frozen=True)
class Statement:
    """All files of a folder together. `digests`: of each file, by its name in the folder."""

    groups: tuple[GroupEntry, ...] = ()
    profiles: tuple[ProfileEntry, ...] = ()
    tests: tuple[PolicyTest, ...] = ()
    removals: Limit = field(default_factory=lambda: Limit.of(DEFAULT_REMOVALS))
    additions: Limit = field(default_factory=Limit)
    prune: bool = False
    digests: Mapping[str, str] = field(default_factory=dict)


OPTIONS = {"usageLocation": f.USAGE_LOCATION, "guests": f.GUESTS, "disabledAccounts": f.DISABLED_ACCOUNTS}
"""Options of the files with their names in the API; `leave.keepFor` and `exclude` are read apart."""

WITHOUT: Mapping[str, object] = {
    f.USAGE_LOCATION: None,
    f.GUESTS: True,
    f.DISABLED_ACCOUNTS: True,
    f.GRACE: "P0D",
    f.EXCLUDED: [],
}
"""The options that files manage, with the values of a group that sets none."""

NO_PROFILE: Mapping[str, Any] = {
    f.DISPLAY_NAME: "",
    f.MATCH: {},
    f.GROUPS: [],
    f.LICENSES: [],
    f.USAGE_LOCATION: None,
    f.PRIORITY: 0,
    f.EXCLUSIVE: False,
    f.SELECTABLE: False,
}
"""A profile that states nothing: the defaults of a file."""
