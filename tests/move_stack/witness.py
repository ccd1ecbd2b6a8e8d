"""What everybody had at every moment of a move, and what its report must say, from the tenant alone.

The tenant logs each change of a user's licenses, whoever made it. Nothing here
reads the tables of the app or uses its rules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

ACTIVE = ("Active", "ActiveWithError")
"""States of licenseAssignmentStates in which a license counts."""

Plans = frozenset[str]
On = dict[str, Plans]
"""By product, the service plans that are on from any source."""


class Row(NamedTuple):
    """A license of a user: `group` is None for a direct one."""

    sku_id: str
    state: str
    off: Plans
    group: str | None


def rows_of(user: Mapping[str, Any]) -> tuple[Row, ...]:
    """The rows of a user as the tenant's directory shows them."""
    return tuple(
        Row(each["skuId"], each["state"], frozenset(each["disabledPlans"]), each["assignedByGroup"])
        for each in user["licenseAssignmentStates"]
    )


def plans_on(rows: Iterable[Row], plans: Mapping[str, Plans]) -> On:
    found: On = {}
    for row in rows:
        if row.state in ACTIVE:
            found[row.sku_id] = found.get(row.sku_id, frozenset()) | (plans[row.sku_id] - row.off)
    return found


@dataclass
class Witness:
    """Follows the tenant's log. `plans`: all service plans of each product.

    `gap_seconds`: person-seconds without a plan that the person had when `keep` was called, by the tenant's clock.
    `gaps`: how many changes left somebody without one, even for no time at all.
    """

    plans: Mapping[str, Plans]
    rows: dict[str, tuple[Row, ...]]
    gaps: int = 0
    gap_seconds: float = 0.0
    changes: int = 0
    examples: list[str] = field(default_factory=list)
    used: Counter[str] = field(default_factory=Counter)
    most_used: Counter[str] = field(default_factory=Counter)
    _had: dict[str, On] = field(default_factory=dict)
    _since: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for rows in self.rows.values():
            self.used.update(plans_on(rows, self.plans).keys())

    def keep(self) -> None:
        """From now on everybody keeps what they have, and licenses are counted from what is used now."""
        self._had = {user_id: plans_on(rows, self.plans) for user_id, rows in self.rows.items()}
        self.most_used = Counter(self.used)

    def release(self, user_id: str) -> None:
        """This person left the group, and can lose everything."""
        self._had.pop(user_id, None)

    def follow(self, entries: Iterable[Sequence[Any]]) -> None:
        """The next entries of the log: time, user, and all rows since then."""
        for at, user_id, listed in entries:
            self.changes += 1
            rows = tuple(Row(sku_id, state, frozenset(off), group) for sku_id, state, off, group in listed)
            before, after = (plans_on(each, self.plans) for each in (self.rows.get(user_id, ()), rows))
            self.rows[user_id] = rows
            for sku_id in after.keys() - before.keys():
                self.used[sku_id] += 1
                self.most_used[sku_id] = max(self.most_used[sku_id], self.used[sku_id])
            for sku_id in before.keys() - after.keys():
                self.used[sku_id] -= 1
            self._compare(float(at), user_id, after)

    def _compare(self, at: float, user_id: str, has: On) -> None:
        lacking = {sku_id for sku_id, on in self._had.get(user_id, {}).items() if on - has.get(sku_id, frozenset())}
        began = self._since.pop(user_id, None)
        if began is not None:
            self.gap_seconds += at - began
        if lacking:
            self._since[user_id] = at
        if lacking and began is None:
            self.gaps += 1
            self.examples.append(f"{user_id} lacks plans of {', '.join(sorted(lacking))} at {at:.0f}")

    def end(self, now: float) -> None:
        """Count what is still open."""
        for began in self._since.values():
            self.gap_seconds += now - began
        self._since.clear()


@dataclass(frozen=True)
class MemberReport:
    """What a report says of one member. `before`, `after`: sources by product. `lost`, `gained`: plans by product."""

    outcome: str
    before: Mapping[str, Plans]
    after: Mapping[str, Plans]
    lost: Mapping[str, Plans] = field(default_factory=dict)
    gained: Mapping[str, Plans] = field(default_factory=dict)


@dataclass(frozen=True)
class Moment:
    """The members of the group and their rows at one moment."""

    members: frozenset[str]
    rows: Mapping[str, tuple[Row, ...]]

    @classmethod
    def of(cls, directory: Mapping[str, Any], group_id: str) -> Moment:
        """From the tenant's directory: direct members, and those of nested groups."""
        groups = {each["id"]: each["members"] for each in directory["groups"]}
        rows = {each["id"]: rows_of(each) for each in directory["users"] if not each["deleted"]}
        found, open_groups, seen = set[str](), [group_id], {group_id}
        while open_groups:
            for member in groups[open_groups.pop()]:
                if member in groups and member not in seen:
                    seen.add(member)
                    open_groups.append(member)
                elif member in rows:
                    found.add(member)
        return cls(frozenset(found), {each: rows[each] for each in found})


def expected_report(
    before: Moment, now: Moment, group_id: str, products: Iterable[str], plans: Mapping[str, Plans]
) -> dict[str, MemberReport]:
    """The report as it must be, by user."""
    wanted = frozenset(products)
    return {
        user_id: _member_report(before.rows.get(user_id), now.rows.get(user_id), group_id, wanted, plans)
        for user_id in before.members | now.members
    }


def _member_report(
    was: tuple[Row, ...] | None,
    has: tuple[Row, ...] | None,
    group_id: str,
    products: frozenset[str],
    plans: Mapping[str, Plans],
) -> MemberReport:
    old, new = ([row for row in rows or () if row.sku_id in products and row.state in ACTIVE] for rows in (was, has))
    had, now = plans_on(old, plans), plans_on(new, plans)
    lost = {sku: gone for sku, on in had.items() if (gone := on - now.get(sku, frozenset()))}
    gained = {sku: more for sku, on in now.items() if (more := on - had.get(sku, frozenset()))}
    if was is None:
        outcome = "joined"
    elif has is None:
        outcome = "left"
    else:
        outcome = "lost" if lost else "gained" if gained else "kept" if had else "nothingActive"
    return MemberReport(outcome, _sources(old, group_id), _sources(new, group_id), lost, gained)


def _sources(rows: Iterable[Row], group_id: str) -> dict[str, Plans]:
    found: dict[str, Plans] = {}
    for row in rows:
        source = "direct" if row.group is None else "native" if row.group == group_id else "otherGroup"
        found[row.sku_id] = found.get(row.sku_id, frozenset()) | {source}
    return found


def differences(shown: Mapping[str, MemberReport], expected: Mapping[str, MemberReport]) -> list[str]:
    """Members of whom a report says something else."""
    missing = [f"{each} is missing" for each in sorted(expected.keys() - shown.keys())]
    extra = [f"{each} is no member" for each in sorted(shown.keys() - expected.keys())]
    wrong = [
        f"{each}: {shown[each]}, not {expected[each]}"
        for each in sorted(shown.keys() & expected.keys())
        if shown[each] != expected[each]
    ]
    return missing + extra + wrong
