"""What differs between the files and the app, group by group."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from seatkeeper import fields as f
from seatkeeper.ascode.model import WITHOUT
from seatkeeper.ascode.resolving import Current, Resolved
from seatkeeper.names import Names


@dataclass(frozen=True)
class Change:
    """The change of one group as the API takes it. `options`: only those that differ."""

    group_id: str
    name: str
    version: int
    add: tuple[Mapping[str, Any], ...] = ()
    remove: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    keep: bool = False
    """The group is not managed any more, and its members keep their licenses."""
    assigned: tuple[Mapping[str, Any], ...] = ()
    """With `keep`: what the group assigns until then, as previews of other groups assume it."""

    @property
    def body(self) -> dict[str, Any]:
        found: dict[str, Any] = {f.ADD: list(self.add), f.REMOVE: list(self.remove)}
        if self.keep:
            found[f.KEEP] = True
        return {**found, f.OPTIONS: dict(self.options)} if self.options else found

    @property
    def assumed(self) -> dict[str, Any]:
        """This change as previews of other groups assume it.

        A group stops being managed after all other changes, so for these it assigns what it did. It is named because a
        preview then reads all groups of each member.
        """
        body = {f.ADD: list(self.assigned), f.REMOVE: []} if self.keep else self.body
        return {f.GROUP_ID: self.group_id, **body}


def change_of(group: Resolved) -> Change | None:
    """The change that makes a group as the files say; None if it is so already.

    A change of options alone names the same products again: so it has a preview, and reaches every member.
    """
    now = group.current
    add = {sku: off for sku, off in group.licenses.items() if now.licenses.get(sku) != off}
    remove = sorted(now.licenses.keys() - group.licenses.keys())
    before = now.options if now.version else WITHOUT
    options = {name: group.options[name] for name in WITHOUT if not _same(before.get(name), group.options[name])}
    if not group.licenses and not remove:
        return None
    if options and not add:
        add = dict(group.licenses)
    if not add and not remove:
        return None
    return Change(
        group_id=group.id,
        name=group.name,
        version=now.version,
        add=tuple({f.SKU_ID: sku, f.DISABLED_PLANS: sorted(add[sku])} for sku in sorted(add)),
        remove=tuple(remove),
        options=options,
    )


def _same(one: Any, other: Any) -> bool:
    return sorted(one) == sorted(other) if isinstance(one, list) and isinstance(other, list) else one == other


def changes_of(groups: Iterable[Resolved]) -> list[Change]:
    """All changes, groups that only gain first: a person who moves between groups loses nothing in between."""
    found = [change for change in map(change_of, groups) if change is not None]
    return sorted(found, key=lambda each: (bool(each.remove), each.name.casefold(), each.group_id))


def stop_managing(group_id: str, name: str, current: Current) -> Change:
    """The change after which a group is not managed any more."""
    skus = sorted(current.licenses)
    assigned = tuple({f.SKU_ID: sku, f.DISABLED_PLANS: sorted(current.licenses[sku])} for sku in skus)
    return Change(group_id, name, current.version, remove=tuple(skus), keep=True, assigned=assigned)


def differences(change: Change, group: Resolved, names: Names) -> list[str]:
    """The change in words, one line for each product and option."""
    lines = []
    for each in change.add:
        sku, off = each[f.SKU_ID], frozenset(each[f.DISABLED_PLANS])
        label, before = names.product_label(sku), group.current.licenses.get(sku)
        if before is None:
            lines.append(f"+ {label}{_apps(names, sku, off, 'without')}")
        elif before != off:
            more, fewer = off - before, before - off
            lines.append(f"~ {label}{_apps(names, sku, more, 'turns off')}{_apps(names, sku, fewer, 'turns on')}")
    lines += [f"- {names.product_label(sku)}" for sku in change.remove]
    lines += [
        f"~ {name}: {_word(group.current.options.get(name), names)} -> {_word(value, names)}"
        for name, value in change.options.items()
    ]
    return lines


def _apps(names: Names, sku: str, plans: frozenset[str], verb: str) -> str:
    return f" {verb} {', '.join(sorted(names.app_label(sku, plan) for plan in plans))}" if plans else ""


def _word(value: Any, names: Names) -> str:
    if isinstance(value, list):
        return ", ".join(names.group_label(each) for each in value) or "none"
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
