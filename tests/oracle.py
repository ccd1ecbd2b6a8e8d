"""The oracle: from the simulated directory and what administrators asked, who must hold what.

It shares no code with the product. It knows Microsoft's rules from the tenant's data files only, and says for every
user what is wrong, or nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent.parent / "local" / "tenant" / "data"

Json = dict[str, Any]
Licenses = dict[str, frozenset[str]]


@dataclass(frozen=True)
class Act:
    """What an administrator asked of a group, accepted and, where it removes, approved."""

    group: str
    add: Mapping[str, Iterable[str]] = field(default_factory=dict)
    remove: Iterable[str] = ()


def plans_by_sku() -> dict[str, dict[str, str]]:
    """SKU id -> {service plan id: name}."""
    skus = json.loads((DATA / "skus.json").read_text())["skus"]
    return {
        sku["skuId"].lower(): {plan["servicePlanId"].lower(): plan["servicePlanName"] for plan in sku["servicePlans"]}
        for sku in skus
    }


def exclusion_sets() -> list[frozenset[str]]:
    """Sets of service plan ids of which a user may have one on."""
    sets = json.loads((DATA / "exclusions.json").read_text())["sets"]
    return [frozenset(plan["servicePlanId"].lower() for plan in each["servicePlans"]) for each in sets]


def direct_licenses(user: Json) -> Licenses:
    return {
        row["skuId"].lower(): frozenset(plan.lower() for plan in row["disabledPlans"])
        for row in user["licenseAssignmentStates"]
        if row["assignedByGroup"] is None and row["state"] in ("Active", "ActiveWithError")
    }


def transitive_users(directory: Json, group_id: str) -> set[str]:
    """Users in the group or in a group nested in it, however deep; cycles are harmless."""
    groups = {group["id"]: group["members"] for group in directory["groups"] if not group.get("deleted")}
    users = {user["id"] for user in directory["users"] if not user["deleted"]}
    seen: set[str] = set()
    open_groups, found = [group_id], set()
    while open_groups:
        current = open_groups.pop()
        if current in seen:
            continue
        seen.add(current)
        for member in groups.get(current, ()):
            if member in groups:
                open_groups.append(member)
            elif member in users:
                found.add(member)
    return found


class Oracle:
    """Built from the directory before the product touched it."""

    def __init__(self, before: Json) -> None:
        self.before = {user["id"]: user for user in before["users"]}
        self.plans = plans_by_sku()
        self.exclusions = exclusion_sets()
        self.intents: dict[str, Licenses] = {}
        self.named: dict[str, Licenses] = {}

    def act(self, act: Act) -> None:
        """Take an accepted request into account."""
        intent = self.intents.setdefault(act.group, {})
        for sku in act.remove:
            intent.pop(sku, None)
        for sku, disabled in act.add.items():
            intent[sku] = frozenset(disabled)

    def give(self, users: Iterable[str], sku: str, disabled: Iterable[str] = ()) -> None:
        """Take into account that named users were given a license."""
        for user in users:
            self.named.setdefault(user, {})[sku] = frozenset(disabled)

    def desired(self, directory: Json) -> dict[str, Licenses]:
        """Per user the union over groups: a plan is off only where every group that gives the SKU turns it off."""
        desired: dict[str, Licenses] = {user: dict(licenses) for user, licenses in self.named.items()}
        for group, intent in self.intents.items():
            for user in transitive_users(directory, group):
                mine = desired.setdefault(user, {})
                for sku, disabled in intent.items():
                    mine[sku] = mine[sku] & disabled if sku in mine else disabled
        return desired

    def disagreements(self, after: Json) -> list[str]:
        """Every way in which the directory is not as it must be; empty when all is right."""
        desired = self.desired(after)
        free = {
            sku["skuId"]: sku["prepaidUnits"]["enabled"] + sku["prepaidUnits"]["warning"] - sku["consumedUnits"]
            for sku in after["subscribedSkus"]
        }
        wrong: list[str] = []
        for user in after["users"]:
            if user["deleted"]:
                continue
            wrong += [f"{user['id']}: {what}" for what in self._user(user, desired.get(user["id"], {}), free)]
        return wrong

    def _user(self, user: Json, desired: Licenses, free: Mapping[str, int]) -> Iterable[str]:
        before, now = self.before.get(user["id"]), direct_licenses(user)
        foreign = direct_licenses(before) if before else {}
        for sku, disabled in foreign.items():
            if sku not in now:
                yield f"foreign {sku} was removed"
            elif now[sku] != disabled:
                yield f"foreign {sku} was changed"
        for sku in now.keys() - foreign.keys():
            if sku in desired:
                if now[sku] != desired[sku]:
                    yield f"{sku} has {sorted(now[sku])} off, must be {sorted(desired[sku])}"
            elif not self._awaits_successor(sku, desired, now):
                yield f"{sku} was not removed"
        for sku in desired.keys() - now.keys():
            if not self.excuse(user, sku, desired[sku], free):
                yield f"{sku} is missing"
        yield from self._location(before, user, bool(now.keys() - foreign.keys()))

    def _awaits_successor(self, sku: str, desired: Licenses, now: Licenses) -> bool:
        """A license stays while one that was to replace it could not be given."""
        mine = self.plans[sku].keys()
        return any(self._related(mine, self.plans[other].keys()) for other in desired.keys() - now.keys())

    def _related(self, some: Iterable[str], others: Iterable[str]) -> bool:
        one, two = set(some), set(others)
        return bool(one & two) or any(one & group and two & group for group in self.exclusions)

    def _location(self, before: Json | None, user: Json, licensed: bool) -> Iterable[str]:
        location = before["usageLocation"] if before else None
        if location is not None and user["usageLocation"] != location:
            yield f"usage location changed from {location} to {user['usageLocation']}"
        if licensed and not user["usageLocation"]:
            yield "licensed without a usage location"

    def excuse(self, user: Json, sku: str, disabled: frozenset[str], free: Mapping[str, int]) -> str | None:
        """Why a user may lack a SKU all the same, in Graph's words for the error; None: must have it."""
        enabled = self.plans[sku].keys() - disabled
        others: set[str] = set()
        for row in user["licenseAssignmentStates"]:
            if row["skuId"] != sku and row["state"] in ("Active", "ActiveWithError"):
                others |= self.plans[row["skuId"]].keys() - {plan.lower() for plan in row["disabledPlans"]}
        for group in self.exclusions:
            if len(group & (enabled | others)) > 1 and group & enabled:
                return "MutuallyExclusiveViolation"
        if user.get("proxyAddressClash") and any(self.plans[sku][plan].startswith("EXCHANGE_S") for plan in enabled):
            return "UniquenessViolation"
        if free.get(sku, 0) <= 0 and not any(row["skuId"] == sku for row in user["licenseAssignmentStates"]):
            return "CountViolation"
        return None
