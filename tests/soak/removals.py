"""What the app took from people, from the tenant's own log of writes, and what of it no permit allows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

Plans = Mapping[str, Collection[str]]
"""Service plans of each product, by SKU id."""


class Removal(NamedTuple):
    """A license that a write removed or turned plans off in, with the plans that the user lost by it."""

    user_id: str
    sku_id: str
    whole: bool
    lost: frozenset[str]


def removals(writes: Iterable[Mapping[str, Any]], app_id: str, plans: Plans) -> Iterator[Removal]:
    """Of license writes of an app. A plan that another license of the user keeps on is not lost (see D7)."""
    for write in writes:
        if write["appId"] != app_id or write["operation"] != "assignLicense":
            continue
        before, after = write["before"], write["after"]
        staying = frozenset[str]().union(*(_on(sku_id, off, plans) for sku_id, off in after.items()))
        for sku_id, off in before.items():
            gone = _on(sku_id, off, plans) - _on(sku_id, after.get(sku_id), plans)
            if sku_id not in after or gone:
                yield Removal(write["userId"], sku_id, sku_id not in after, gone - staying)


def without_permit(found: Iterable[Removal], permitted: Collection[tuple[str, str]]) -> list[Removal]:
    """Those by which a user lost a plan although no permit names the user and the product."""
    return [each for each in found if each.lost and (each.user_id, each.sku_id) not in permitted]


def _on(sku_id: str, off: Collection[str] | None, plans: Plans) -> frozenset[str]:
    """The plans of a direct license that are on; `off` None: there is no such license."""
    return frozenset() if off is None else frozenset(plans.get(sku_id, ())) - frozenset(off)
