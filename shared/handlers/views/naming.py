"""IDs of what a request names: users by userPrincipalName, products and service plans by Graph's names, groups by their
display name."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum

from shared.domain.directory import ReadFailed
from shared.domain.errors import BadRequest, Unavailable
from shared.domain.onboarding import PersonRef
from shared.handlers.views.needs import Needs
from shared.handlers.views.queries import NAMES_MAX_AGE_S

UNKNOWN, AMBIGUOUS = "UnknownName", "AmbiguousName"


class Kind(StrEnum):
    """The kinds of things that have names."""

    USER = "user"
    GROUP = "group"
    SKU = "product"
    PLAN = "service plan"


@dataclass(frozen=True, slots=True)
class Known:
    """IDs by kind and folded name. `known`: names to suggest."""

    ids: Mapping[Kind, Mapping[str, frozenset[str]]]
    known: Mapping[Kind, tuple[str, ...]] = field(default_factory=dict)

    def id_of(self, kind: Kind, name: str) -> str:
        """The ID. Raises BadRequest for a name of nothing, or of several."""
        found = self.ids.get(kind, {}).get(name.casefold(), frozenset())
        if not found:
            close = get_close_matches(name.upper(), self.known.get(kind, ()), 3)
            guess = f" Did you mean {' or '.join(close)}?" if close else ""
            raise BadRequest(UNKNOWN, f"There is no {kind} {name!r}.{guess}")
        if len(found) > 1:
            text = f"{len(found)} {kind}s have the name {name!r}: {', '.join(sorted(found))}. Use one of these IDs."
            raise BadRequest(AMBIGUOUS, text)
        (only,) = found
        return only


async def look_up(world: Needs, wanted: Iterable[tuple[Kind, str]]) -> Known:
    """The IDs of names. Raises Unavailable, PermissionDenied."""
    names: dict[Kind, set[str]] = defaultdict(set)
    for kind, name in wanted:
        names[kind].add(name)
    ids: dict[Kind, Mapping[str, frozenset[str]]] = {}
    known: dict[Kind, tuple[str, ...]] = {}
    if names[Kind.USER]:
        ids[Kind.USER] = await _users(world, names[Kind.USER])
    if names[Kind.GROUP]:
        ids[Kind.GROUP] = await _groups(world, names[Kind.GROUP])
    if names[Kind.SKU] or names[Kind.PLAN]:
        skus = await world.directory.subscribed_skus(NAMES_MAX_AGE_S)
        plans = [plan for sku in skus for plan in sku.service_plans]
        ids[Kind.SKU] = _by_name((sku.sku_part_number, sku.sku_id) for sku in skus)
        ids[Kind.PLAN] = _by_name((plan.service_plan_name, plan.service_plan_id) for plan in plans)
        known[Kind.SKU] = tuple(sku.sku_part_number for sku in skus)
        known[Kind.PLAN] = tuple(dict.fromkeys(plan.service_plan_name for plan in plans))
    return Known(ids, known)


async def _users(world: Needs, names: set[str]) -> Mapping[str, frozenset[str]]:
    refs = {name: PersonRef(user_principal_name=name) for name in names}
    found = await world.accounts.find(list(refs.values()))
    ids: dict[str, frozenset[str]] = {}
    for name, ref in refs.items():
        accounts = found[ref]
        if isinstance(accounts, ReadFailed):
            raise Unavailable(accounts.retry_after_s or 5.0, f"user {name}: {accounts.why}")
        ids[name.casefold()] = frozenset(each.id for each in accounts)
    return ids


async def _groups(world: Needs, names: set[str]) -> Mapping[str, frozenset[str]]:
    wanted = sorted(names)
    found = await asyncio.gather(*map(world.directory.groups_named, wanted))
    return {
        name.casefold(): frozenset(each.id for each in each_found)
        for name, each_found in zip(wanted, found, strict=True)
    }


def _by_name(pairs: Iterable[tuple[str, str]]) -> Mapping[str, frozenset[str]]:
    ids: dict[str, set[str]] = defaultdict(set)
    for name, each in pairs:
        ids[name.casefold()].add(each)
    return {name: frozenset(found) for name, found in ids.items()}
