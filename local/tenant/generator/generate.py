"""Tenants from a seed: 10 to 200,000 members of one nested group, and everything that makes licensing them hard.

The same arguments always give the same tenant, ids included. Each kind of difficulty gets users of its own, so the
counts of the summary can be compared with what a run reports.
"""

from __future__ import annotations

import gc
import random
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

from local.tenant import clock
from local.tenant.directory.directory import Directory
from local.tenant.directory.model import LicenseRow, Subscription, User
from local.tenant.generator.groups import build_groups
from local.tenant.generator.names import DEPARTMENTS, FIRST_NAMES, JOB_TITLES, LAST_NAMES, new_id

MEMBERS_MAX = 200_000
MEMBERS_MIN = 10

CREATED = 1_735_689_600.0  # 2025-01-01T00:00:00Z; a fixed past, so that generated rows do not depend on the clock

_LOCATIONS = (("DE", 60), ("AT", 10), ("CH", 10), ("US", 12), ("FR", 8))
_MANAGED = (
    "STANDARDPACK", "ENTERPRISEPACK", "ENTERPRISEPREMIUM", "SPE_E3", "SPE_E5", "SPE_F1", "DESKLESSPACK", "SPB",
    "O365_BUSINESS_ESSENTIALS", "O365_BUSINESS_PREMIUM", "EMS", "EMSPREMIUM", "AAD_PREMIUM", "AAD_PREMIUM_P2",
    "EXCHANGESTANDARD", "EXCHANGEENTERPRISE", "INTUNE_A", "MCOEV", "MCOMEETADV", "MCOPSTN1", "MCOPSTN2",
    "POWER_BI_STANDARD", "POWER_BI_PRO", "PROJECTPROFESSIONAL", "VISIOCLIENT", "THREAT_INTELLIGENCE",
    "ATP_ENTERPRISE", "WORKPLACE_ANALYTICS", "FLOW_FREE", "Microsoft_365_Copilot",
)  # fmt: skip
"""The products that a generated tenant owns, of all that Microsoft sells; `products` adds others."""

_COMPANY_SKU = "ATP_ENTERPRISE"
"""Shown with appliesTo Company, so that it cannot be assigned to a user."""


@dataclass(frozen=True, slots=True)
class Shares:
    """Parts of the main group's members, each a set of its own."""

    missing_usage_location: float = 0.03
    guests: float = 0.01
    disabled_accounts: float = 0.01
    conflicting: float = 0.01
    unmanaged_full: float = 0.01
    unmanaged_lacking: float = 0.01
    native_inherited: float = 0.02
    proxy_address_clash: float = 0.002


@dataclass(slots=True)
class Population:
    """The users by kind, on the way to groups and seats."""

    members: list[User]
    outsiders: list[User]
    recycled: list[User]
    kinds: dict[str, list[User]] = field(default_factory=dict)


def generate(
    members: int = 200,
    seed: int = 1,
    *,
    outsiders: float = 0.1,
    recycled: int = 3,
    shares: dict[str, float] | None = None,
    scarceSeats: bool = False,  # noqa: N803 - the JSON name
    seats: dict[str, int] | None = None,
    otherGroups: int = 0,  # noqa: N803 - the JSON name
    country: str = "DE",
    products: Iterable[str] = (),
    tables: str | None = None,
) -> tuple[Directory, dict[str, object]]:
    """A new directory and its summary.

    `outsiders` is the share of users beyond the members. `recycled` users of the main group are in the recycle bin.
    `shares` overrides those of Shares (camel case). `scarceSeats` gives SPE_E3 1 % fewer seats than needed. `seats`
    sets enabled units by skuPartNumber. `otherGroups` adds small groups that overlap the main one. `products` (skuIds
    or part numbers) are owned beside the usual ones. `tables` sets the switch of that name.
    """
    if not MEMBERS_MIN <= members <= MEMBERS_MAX:
        raise ValueError(f"members must be from {MEMBERS_MIN} to {MEMBERS_MAX}, not {members}")
    chance = random.Random(seed)
    collecting = gc.isenabled()
    gc.disable()  # hundreds of thousands of new objects and no garbage among them
    try:
        directory = Directory(str(uuid.uuid5(uuid.NAMESPACE_DNS, "fabrikam.tenant.example")), country)
        people = _population(directory, chance, members, round(members * outsiders), recycled)
        _assign_kinds(people, chance, _shares(shares))
        _take_addresses(directory, people)
        _subscribe(directory, members, products)
        _license_people(directory, people, chance)
        groups = build_groups(
            directory, people.members, people.outsiders, people.recycled, people.kinds, chance, otherGroups
        )
        directory.recount_units()
        _set_seats(directory, people, scarceSeats, seats or {})
    finally:
        if collecting:
            gc.enable()
    gc.freeze()
    summary = _summary(directory, people, groups, seed, members)
    return directory, summary if tables is None else {**summary, "tables": tables}


def _shares(raw: dict[str, float] | None) -> Shares:
    names = {
        "".join([p if i == 0 else p.capitalize() for i, p in enumerate(f.name.split("_"))]): f.name
        for f in fields(Shares)
    }
    unknown = set(raw or {}) - set(names)
    if unknown:
        raise ValueError(f"shares has unknown names {', '.join(sorted(unknown))}; known are {', '.join(names)}")
    return Shares(**{names[key]: float(value) for key, value in (raw or {}).items()})


def _population(directory: Directory, chance: random.Random, members: int, outsiders: int, recycled: int) -> Population:
    places = [place for place, weight in _LOCATIONS for _ in range(weight)]
    made: list[User] = []
    for number in range(members + outsiders + recycled):
        first, last = chance.choice(FIRST_NAMES), chance.choice(LAST_NAMES)
        name = f"{first} {last}"
        user = User(new_id(chance), name, f"{first.lower()}.{last.lower()}.{number}@{directory.domain}", CREATED)
        user.usage_location = chance.choice(places)
        user.department = DEPARTMENTS[number % len(DEPARTMENTS)]
        user.job_title = JOB_TITLES[number % len(JOB_TITLES)]
        made.append(user)
    people = Population(made[:members], made[members : members + outsiders], made[members + outsiders :])
    for user in people.recycled:
        user.deleted = CREATED
    directory.load_users(made)
    return people


def _assign_kinds(people: Population, chance: random.Random, shares: Shares) -> None:
    """Deal the members out to kinds; at least one of each kind that is wanted at all."""
    deck = list(people.members)
    chance.shuffle(deck)
    for entry in fields(Shares):
        share = getattr(shares, entry.name)
        count = max(1, round(share * len(people.members))) if share > 0 else 0
        if count > len(deck):
            raise ValueError(f"shares ask for more than {len(people.members)} members at {entry.name}")
        people.kinds[entry.name], deck = deck[:count], deck[count:]
    people.kinds["plain"] = deck
    for user in people.kinds["missing_usage_location"]:
        user.usage_location = None
    for user in people.kinds["guests"]:
        user.user_type = "Guest"
    for user in people.kinds["disabled_accounts"]:
        user.account_enabled = False
    for user in people.kinds["proxy_address_clash"]:
        user.proxy_clash = True


def _take_addresses(directory: Directory, people: Population) -> None:
    """Give others the addresses that users of one kind would get with a mailbox."""
    others = people.outsiders or people.kinds["plain"] or people.members
    for number, user in enumerate(people.kinds["proxy_address_clash"]):
        directory.give_alias(others[number % len(others)], user.user_principal_name)


def _subscribe(directory: Directory, members: int, products: Iterable[str]) -> None:
    for name in dict.fromkeys((*_MANAGED, *products)):
        product = directory.catalog.products.get(name) or directory.catalog.by_part_number(name)
        subscription = Subscription(product.sku_id, max(25, members // 4))
        if product.part_number == _COMPANY_SKU:
            subscription.applies_to = "Company"
        directory.subscriptions[product.sku_id] = subscription


def _license_people(directory: Directory, people: Population, chance: random.Random) -> None:
    catalog = directory.catalog
    sku = {product.part_number: product.sku_id for product in catalog.products.values()}
    names = {plan.name: plan.id for plan in catalog.products[sku["SPE_E3"]].plans}
    lacking = (names["TEAMS1"], names["YAMMER_ENTERPRISE"])
    for number, user in enumerate(people.kinds["conflicting"]):
        user.rows = (_direct(sku["SPE_F1"] if number % 2 == 0 else sku["STANDARDPACK"]),)
    for user in people.kinds["unmanaged_full"]:
        user.rows = (_direct(sku["SPE_E3"]),)
    for user in people.kinds["unmanaged_lacking"]:
        user.rows = (_direct(sku["SPE_E3"], lacking),)
    for user in people.kinds["plain"]:
        if chance.random() < 0.1:
            user.rows = (_direct(sku["FLOW_FREE"]),)
    for user in people.outsiders:
        if chance.random() < 0.5:
            user.rows = (_direct(sku["SPE_E3"] if chance.random() < 0.5 else sku["EMS"]),)
    for user in people.recycled:
        user.rows = (_direct(sku["EMS"]),)


def _direct(sku_id: str, disabled: tuple[str, ...] = ()) -> LicenseRow:
    return LicenseRow(sku_id, disabled, None, "Active", "None", CREATED)


def _set_seats(directory: Directory, people: Population, scarce: bool, wanted: dict[str, int]) -> None:
    """Seats by what is in use and what the main group can come to need, with a margin of 5 %."""
    by_name = {directory.catalog.products[one].part_number: one for one in directory.subscriptions}
    unknown = set(wanted) - set(by_name)
    if unknown:
        raise ValueError(f"seats names products the tenant does not own: {', '.join(sorted(unknown))}")
    never = {user.id for kind in ("conflicting", "proxy_address_clash") for user in people.kinds[kind]}
    able = len(people.members) - len(never)
    suite = directory.subscriptions[by_name["SPE_E3"]]
    others = sum(1 for user in people.outsiders if any(row.sku_id == suite.sku_id for row in user.rows))
    need = able + others
    suite.enabled = need - max(1, round(len(people.members) * 0.01)) if scarce else _round_up(need * 1.05)
    for subscription in directory.subscriptions.values():
        if subscription is not suite:
            subscription.enabled = max(subscription.enabled, _round_up(subscription.consumed * 1.05))
    _mark_expiring(directory, by_name)
    for name, count in wanted.items():
        directory.subscriptions[by_name[name]].enabled = int(count)


def _mark_expiring(directory: Directory, by_name: dict[str, str]) -> None:
    """One SKU half in its grace period, one suspended: units that count and units that do not."""
    warned = directory.subscriptions[by_name["ENTERPRISEPACK"]]
    warned.warning, warned.enabled = warned.enabled // 2, warned.enabled - warned.enabled // 2
    ended = directory.subscriptions[by_name["DESKLESSPACK"]]
    ended.suspended, ended.enabled, ended.capability_status = ended.enabled, 0, "Suspended"


def _round_up(number: float) -> int:
    return int(-(-number // 25) * 25)


def _summary(
    directory: Directory, people: Population, groups: dict[str, str], seed: int, members: int
) -> dict[str, object]:
    catalog = directory.catalog
    counts: dict[str, Any] = {
        "members": members,
        "outsiders": len(people.outsiders),
        "recycled": len(people.recycled),
        "users": len(directory.users),
        "groups": len(directory.groups),
        **{_camel(kind): len(users) for kind, users in people.kinds.items()},
    }
    return {
        "tenantId": directory.tenant_id,
        "groups": groups,
        "skus": {catalog.products[one].part_number: one for one in directory.subscriptions},
        "counts": counts,
        "seats": {catalog.products[one.sku_id].part_number: one.available for one in directory.subscriptions.values()},
        "seed": seed,
        "country": directory.country,
        "generated": clock.time(),
    }


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)
