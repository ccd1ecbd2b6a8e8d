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

DATA = Path(__file__).parents[2] / "local" / "tenant" / "data"

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


def inherited_licenses(user: Json) -> set[tuple[str, str]]:
    """(SKU, licensed group) pairs of native group-based licensing, whatever their state."""
    return {
        (row["skuId"].lower(), row["assignedByGroup"])
        for row in user["licenseAssignmentStates"]
        if row["assignedByGroup"]
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
    """Built from the directory before the product touched it. `country` is the organization's."""

    def __init__(self, before: Json, country: str = "DE") -> None:
        self.before = {user["id"]: user for user in before["users"]}
        self.country = country
        self.plans = plans_by_sku()
        self.exclusions = exclusion_sets()
        self.intents: dict[str, Licenses] = {}
        self.named: dict[str, Licenses] = {}
        self.concerned: set[str] = set()

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

    def take(self, users: Iterable[str], sku: str) -> None:
        """Take into account that a license given to named users was taken back."""
        for user in users:
            self.named.get(user, {}).pop(sku, None)

    def by_hand(self, user: str, sku: str, *, given: bool) -> None:
        """Take into account that an administrator gave somebody a license, whole, or took one away."""
        rows = self.before[user]["licenseAssignmentStates"]
        kept = [row for row in rows if row["assignedByGroup"] or row["skuId"] != sku]
        mine: Json = {"skuId": sku, "disabledPlans": [], "assignedByGroup": None, "state": "Active"}
        self.before[user] = {**self.before[user], "licenseAssignmentStates": [*kept, mine] if given else kept}

    def meet(self, directory: Json) -> None:
        """Take note of users who came into the directory since, as they are now."""
        for user in directory["users"]:
            self.before.setdefault(user["id"], user)

    def desired(self, directory: Json) -> dict[str, Licenses]:
        """Per user the union over groups: a plan is off only where every group that gives the SKU turns it off."""
        desired: dict[str, Licenses] = {user: dict(licenses) for user, licenses in self.named.items()}
        self.concerned |= desired.keys()
        for group, intent in self.intents.items():
            for user in transitive_users(directory, group):
                mine = desired.setdefault(user, {})
                self.concerned.add(user)
                for sku, disabled in intent.items():
                    mine[sku] = mine[sku] & disabled if sku in mine else disabled
        return desired

    def disagreements(self, after: Json) -> list[str]:
        """Every way in which the directory is not as it must be; empty when all is right."""
        desired, free = self.desired(after), free_seats(after)
        wrong: list[str] = []
        for user in after["users"]:
            mine = {} if user["deleted"] else desired.get(user["id"], {})
            wrong += [f"{user['id']}: {what}" for what in self._user(user, mine, free)]
        present = {user["id"] for user in after["users"]}
        return wrong + [f"{user}: is gone" for user in self.before.keys() - present]

    def in_error(self, directory: Json, group: str) -> dict[str, set[str]]:
        """Members of a group of whom somebody must be told, with every reason that is true: Graph's words for what
        cannot be given, and `foreign` where somebody else gave the license with a plan off that the group grants."""
        desired, free = self.desired(directory), free_seats(directory)
        members, skus = transitive_users(directory, group), self.intents.get(group, {}).keys()
        found: dict[str, set[str]] = {}
        for user in directory["users"]:
            if user["id"] not in members:
                continue
            mine = desired[user["id"]]
            reasons = {reason for sku in skus for reason in self._reasons(user, sku, mine, free)}
            if reasons:
                found[user["id"]] = reasons
        return found

    def _reasons(self, user: Json, sku: str, desired: Licenses, free: Mapping[str, int]) -> set[str]:
        now = direct_licenses(user)
        if sku not in now:
            return self.excuses(user, sku, desired, free) or {"missing"}
        foreign = direct_licenses(self.before[user["id"]]) if user["id"] in self.before else {}
        return {"foreign"} if sku in foreign and now[sku] - desired[sku] else set()

    def _user(self, user: Json, desired: Licenses, free: Mapping[str, int]) -> Iterable[str]:
        before, now = self.before.get(user["id"]), direct_licenses(user)
        foreign = direct_licenses(before) if before else {}
        for sku, disabled in foreign.items():
            if sku not in now:
                yield f"foreign {sku} was removed"
            elif now[sku] != disabled:
                yield f"foreign {sku} was changed"
        if before and inherited_licenses(before) != inherited_licenses(user):
            yield "inherited licenses were changed"
        for sku in now.keys() - foreign.keys():
            if sku in desired:
                if now[sku] != desired[sku]:
                    yield f"{sku} has {sorted(now[sku])} off, must be {sorted(desired[sku])}"
            elif not self._awaits_successor(sku, desired, now):
                yield f"{sku} was not removed"
        for sku in desired.keys() - now.keys():
            if not self.excuses(user, sku, desired, free):
                yield f"{sku} is missing"
        yield from self._location(before, user, licensed=bool(now.keys() - foreign.keys()))

    def _awaits_successor(self, sku: str, desired: Licenses, now: Licenses) -> bool:
        """A license stays while one that was to replace it could not be given."""
        mine = self.plans[sku].keys()
        return any(self._related(mine, self.plans[other].keys()) for other in desired.keys() - now.keys())

    def _related(self, some: Iterable[str], others: Iterable[str]) -> bool:
        one, two = set(some), set(others)
        return bool(one & two) or any(one & group and two & group for group in self.exclusions)

    def _location(self, before: Json | None, user: Json, *, licensed: bool) -> Iterable[str]:
        location = before["usageLocation"] if before else None
        if location is not None and user["usageLocation"] != location:
            yield f"usage location changed from {location} to {user['usageLocation']}"
        if location is None and user["usageLocation"] not in (None, self.country):
            yield f"usage location became {user['usageLocation']}, must be {self.country}"
        if location is None and user["usageLocation"] and user["id"] not in self.concerned:
            yield "usage location was set of somebody nobody asked about"
        if licensed and not user["usageLocation"]:
            yield "licensed without a usage location"

    def excuses(self, user: Json, sku: str, desired: Licenses, free: Mapping[str, int]) -> set[str]:
        """Why a user may lack a desired SKU all the same, in Graph's words for the error; empty: must have it.

        Only what stays excuses: desired, foreign and inherited licenses. One of ours that is to go does not.
        """
        enabled = self.plans[sku].keys() - desired[sku]
        before = self.before.get(user["id"])
        staying = desired.keys() | (direct_licenses(before) if before else {}).keys()
        others: set[str] = set()
        for row in user["licenseAssignmentStates"]:
            held = row["state"] in ("Active", "ActiveWithError") and (row["assignedByGroup"] or row["skuId"] in staying)
            if held and row["skuId"] != sku:
                others |= self.plans[row["skuId"]].keys() - {plan.lower() for plan in row["disabledPlans"]}
        found: set[str] = set()
        if any(len(group & (enabled | others)) > 1 and group & enabled for group in self.exclusions):
            found.add("MutuallyExclusiveViolation")
        if user.get("proxyAddressClash") and any(self.plans[sku][plan].startswith("EXCHANGE_S") for plan in enabled):
            found.add("UniquenessViolation")
        if free.get(sku, 0) <= 0 and not any(row["skuId"] == sku for row in user["licenseAssignmentStates"]):
            found.add("CountViolation")
        return found


def free_seats(directory: Json) -> dict[str, int]:
    """Units that can still be handed out; those in their grace period count."""
    return {
        sku["skuId"]: sku["prepaidUnits"]["enabled"] + sku["prepaidUnits"]["warning"] - sku["consumedUnits"]
        for sku in directory["subscribedSkus"]
    }
