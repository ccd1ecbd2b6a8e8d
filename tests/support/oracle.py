"""The oracle: from the simulated directory and what administrators asked, who must hold what.

It shares no code with the product. It knows Microsoft's rules only from the tables of the tenant that it judges, as
that tenant's Graph uses them. For every user it says what is wrong, or nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
Licenses = dict[str, frozenset[str]]


@dataclass(frozen=True)
class Act:
    """What an administrator asked of a group, accepted and, where it removes, approved."""

    group: str
    add: Mapping[str, Iterable[str]] = field(default_factory=dict)
    remove: Iterable[str] = ()


@dataclass(frozen=True)
class Tables:
    """The tenant's own tables, from the answer of `GET /_tenant/directory`."""

    plans: Mapping[str, Mapping[str, str]]
    """SKU id -> {service plan id: name}, of every product that the tenant has or had."""
    company: frozenset[str]
    """Service plans that apply to the company: sharing them makes no product the successor of another."""
    exclusions: tuple[frozenset[str], ...]
    """Pairs of service plans of which a user can have one on."""
    needs: tuple[tuple[str, frozenset[str]], ...]
    """A service plan, and those of which one must be on with it."""
    assignable: frozenset[str]
    """SKUs that the tenant has and that can be assigned to users."""

    @classmethod
    def of(cls, directory: Json) -> Tables:
        raw = directory["tables"]
        return cls(
            raw["plans"],
            frozenset(raw["companyPlans"]),
            tuple(frozenset(pair) for pair in raw["exclusions"]),
            tuple((rule["servicePlanId"], frozenset(rule["anyOf"])) for rule in raw["dependencies"]),
            frozenset(sku["skuId"] for sku in directory["subscribedSkus"] if sku["appliesTo"] == "User"),
        )

    def enabled(self, sku: str, disabled: Iterable[str]) -> frozenset[str]:
        """The plans that are on; one that Microsoft retired is on for nobody."""
        return frozenset(self.plans[sku]) - {plan.lower() for plan in disabled}

    def same(self, sku: str, one: frozenset[str], two: frozenset[str]) -> bool:
        """Whether the same plans are off; whether a retired plan is named makes no difference."""
        return self.enabled(sku, one) == self.enabled(sku, two)

    def lacks(self, on: frozenset[str]) -> set[str]:
        """Plans that are on without one that they need."""
        return {plan for plan, any_of in self.needs if plan in on and not any_of & on}

    def succeeds(self, one: str, two: str) -> bool:
        """Whether one product can replace the other: they share a plan that applies to users, or exclude each other."""
        first, second = frozenset(self.plans[one]) - self.company, frozenset(self.plans[two]) - self.company
        return bool(first & second) or any(first & pair and second & pair for pair in self.exclusions)


def direct_licenses(user: Json) -> Licenses:
    return {
        row["skuId"].lower(): frozenset(plan.lower() for plan in row["disabledPlans"])
        for row in user["licenseAssignmentStates"]
        if row["assignedByGroup"] is None and row["state"] in ("Active", "ActiveWithError")
    }


def inherited_licenses(user: Json, assignable: frozenset[str], without: Iterable[str] = ()) -> set[tuple[str, str]]:
    """(SKU, licensed group) pairs of native group-based licensing, whatever their state, of products still there."""
    return {
        (row["skuId"].lower(), row["assignedByGroup"])
        for row in user["licenseAssignmentStates"]
        if row["assignedByGroup"] and row["skuId"].lower() in assignable and row["assignedByGroup"] not in without
    }


def rows_from(user: Json, group: str) -> dict[str, Json]:
    """The rows that a user has from the native licensing of a group, by SKU."""
    return {row["skuId"].lower(): row for row in user["licenseAssignmentStates"] if row["assignedByGroup"] == group}


def direct_users(directory: Json, group_id: str) -> set[str]:
    """Users in the group itself: native licensing does not reach those of nested groups."""
    users = {user["id"] for user in directory["users"] if not user["deleted"]}
    alive = [group for group in directory["groups"] if not group.get("deleted")]
    return {member for group in alive if group["id"] == group_id for member in group["members"]} & users


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
        self.tables = Tables.of(before)
        self.intents: dict[str, Licenses] = {}
        self.native: set[str] = set()
        """Groups for which Microsoft's licensing carries out what was asked."""
        self.named: dict[str, Licenses] = {}
        self.concerned: set[str] = set()

    def act(self, act: Act) -> None:
        """Take an accepted request into account."""
        intent = self.intents.setdefault(act.group, {})
        for sku in act.remove:
            intent.pop(sku, None)
        for sku, disabled in act.add.items():
            intent[sku] = frozenset(disabled)

    def drive(self, group: str) -> None:
        """Take into account that Microsoft's licensing carries out what is asked of a group."""
        self.native.add(group)

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
        """Take note of users who came into the directory since, as they are now, and of its tables."""
        self.tables = Tables.of(directory)
        for user in directory["users"]:
            self.before.setdefault(user["id"], user)

    def desired(self, directory: Json) -> dict[str, Licenses]:
        """Per user the union over groups: a plan is off only where every group that gives the SKU turns it off."""
        desired: dict[str, Licenses] = {user: dict(licenses) for user, licenses in self.named.items()}
        self.concerned |= desired.keys()
        for group, intent in self.intents.items():
            for user in set() if group in self.native else transitive_users(directory, group):
                mine = desired.setdefault(user, {})
                self.concerned.add(user)
                for sku, disabled in intent.items():
                    mine[sku] = mine[sku] & disabled if sku in mine else disabled
        return desired

    def disagreements(self, after: Json) -> list[str]:
        """Every way in which the directory is not as it must be; empty when all is right."""
        self.tables = Tables.of(after)
        desired, free = self.desired(after), free_seats(after)
        wrong: list[str] = []
        for user in after["users"]:
            mine = {} if user["deleted"] else desired.get(user["id"], {})
            wrong += [f"{user['id']}: {what}" for what in self._user(user, mine, free)]
        for group in sorted(self.native):
            members = direct_users(after, group)
            for user in after["users"]:
                intent = self.intents.get(group, {}) if user["id"] in members else {}
                wrong += [f"{user['id']}: {what}" for what in self._inherits(user, group, intent, free)]
        present = {user["id"] for user in after["users"]}
        return wrong + [f"{user}: is gone" for user in self.before.keys() - present]

    def in_error(self, directory: Json, group: str) -> dict[str, set[str]]:
        """Members of a group of whom somebody must be told, with every reason that is true: Graph's words for what
        cannot be given, and `unmanaged` where somebody else gave the license with a plan off that the group grants."""
        self.tables = Tables.of(directory)
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
        unmanaged = direct_licenses(self.before[user["id"]]) if user["id"] in self.before else {}
        return {"foreign"} if sku in unmanaged and now[sku] - desired[sku] else set()

    def _user(self, user: Json, desired: Licenses, free: Mapping[str, int]) -> Iterable[str]:
        before, now, tables = self.before.get(user["id"]), direct_licenses(user), self.tables
        unmanaged = direct_licenses(before) if before else {}
        for sku, disabled in unmanaged.items():
            if sku not in now:
                if sku in tables.assignable:
                    yield f"foreign {sku} was removed"
            elif not tables.same(sku, now[sku], disabled):
                yield f"foreign {sku} was changed"
        there = tables.assignable
        if before and inherited_licenses(before, there, self.native) != inherited_licenses(user, there, self.native):
            yield "inherited licenses were changed"
        for sku in now.keys() - unmanaged.keys():
            if sku in desired:
                if not tables.same(sku, now[sku], desired[sku]):
                    yield f"{sku} has {sorted(now[sku])} off, must be {sorted(desired[sku])}"
            elif not self._must_stay(user, sku, desired, now):
                yield f"{sku} was not removed"
        for sku in desired.keys() - now.keys():
            if not self.excuses(user, sku, desired, free):
                yield f"{sku} is missing"
        yield from self._location(before, user, licensed=bool(now.keys() - unmanaged.keys()))

    def _inherits(self, user: Json, group: str, intent: Licenses, free: Mapping[str, int]) -> Iterable[str]:
        """All products of the group with its plans, or all in error for a reason that is true of one of them; for
        those outside it nothing, unless another license needs it."""
        tables, rows = self.tables, rows_from(user, group)
        reasons = {reason for sku in intent for reason in self._blocks(user, sku, group, intent, free)}
        for sku in rows.keys() - intent.keys():
            others = self._on(user, without=sku)
            needed = tables.lacks(others) - tables.lacks(others | tables.enabled(sku, rows[sku]["disabledPlans"]))
            if sku in tables.assignable and not needed:
                yield f"{sku} of {group} was not removed"
        for sku, disabled in intent.items():
            row = rows.get(sku)
            if row is None:
                yield f"{sku} of {group} is missing"
            elif row["state"] != "Active" and not reasons:
                yield f"{sku} of {group} is in state {row['state']} without a reason"
            elif row["state"] == "Active" and not tables.same(sku, frozenset(row["disabledPlans"]), disabled):
                yield f"{sku} of {group} has {sorted(row['disabledPlans'])} off, must be {sorted(disabled)}"

    def _blocks(self, user: Json, sku: str, group: str, intent: Licenses, free: Mapping[str, int]) -> set[str]:
        """Why native licensing cannot assign a product of a group to a member, beside the group's other products."""
        tables = self.tables
        if sku not in tables.assignable:
            return {"InvalidLicense"}
        others = frozenset[str]().union(*(tables.enabled(each, off) for each, off in intent.items()))
        for row in user["licenseAssignmentStates"]:
            if row["assignedByGroup"] != group and row["state"] in ("Active", "ActiveWithError"):
                others |= tables.enabled(row["skuId"].lower(), row["disabledPlans"])
        return self._faults(user, sku, tables.enabled(sku, intent[sku]), others, free)

    def _must_stay(self, user: Json, sku: str, desired: Licenses, now: Licenses) -> bool:
        """A license stays while one that was to replace it could not be given, while another license needs it, and if
        the tenant does not have the product any more: Graph then takes no removal either."""
        tables = self.tables
        if sku not in tables.assignable or any(tables.succeeds(sku, each) for each in desired.keys() - now.keys()):
            return True
        others = self._on(user, without=sku)
        return bool(tables.lacks(others) - tables.lacks(others | tables.enabled(sku, now[sku])))

    def _on(self, user: Json, *, without: str, among: Iterable[str] | None = None) -> frozenset[str]:
        """Plans that are on through other products: all of them, or the inherited ones and direct ones `among`."""
        on: frozenset[str] = frozenset()
        for row in user["licenseAssignmentStates"]:
            counts = row["assignedByGroup"] or among is None or row["skuId"] in among
            if row["skuId"] != without and counts and row["state"] in ("Active", "ActiveWithError"):
                on |= self.tables.enabled(row["skuId"], row["disabledPlans"])
        return on

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
        tables = self.tables
        if sku not in tables.assignable:
            return {"InvalidLicense"}
        enabled = tables.enabled(sku, desired[sku])
        before = self.before.get(user["id"])
        others = self._on(user, without=sku, among=desired.keys() | (direct_licenses(before) if before else {}).keys())
        return self._faults(user, sku, enabled, others, free)

    def _faults(
        self, user: Json, sku: str, enabled: frozenset[str], others: frozenset[str], free: Mapping[str, int]
    ) -> set[str]:
        """Graph's errors for a product with these plans on, beside other plans."""
        tables, found = self.tables, set[str]()
        if any(len(pair & (enabled | others)) > 1 and pair & enabled for pair in tables.exclusions):
            found.add("MutuallyExclusiveViolation")
        if tables.lacks(enabled | others) & enabled:
            found.add("DependencyViolation")
        if user.get("proxyAddressClash") and any(tables.plans[sku][plan].startswith("EXCHANGE_S") for plan in enabled):
            found.add("UniquenessViolation")
        rows = [row for row in user["licenseAssignmentStates"] if row["state"] in ("Active", "ActiveWithError")]
        if free.get(sku, 0) <= 0 and not any(row["skuId"] == sku for row in rows):
            found.add("CountViolation")
        return found


def holdings(directory: Json) -> dict[str, dict[str, frozenset[str]]]:
    """By user and product, the plans that are on, from whatever source."""
    tables = Tables.of(directory)
    found: dict[str, dict[str, frozenset[str]]] = {}
    for user in directory["users"]:
        mine = found.setdefault(user["id"], {})
        for row in user["licenseAssignmentStates"]:
            if row["state"] in ("Active", "ActiveWithError") and not user["deleted"]:
                sku = row["skuId"].lower()
                mine[sku] = mine.get(sku, frozenset()) | tables.enabled(sku, row["disabledPlans"])
    return found


def free_seats(directory: Json) -> dict[str, int]:
    """Units that can still be handed out; those in their grace period count."""
    return {
        sku["skuId"]: sku["prepaidUnits"]["enabled"] + sku["prepaidUnits"]["warning"] - sku["consumedUnits"]
        for sku in directory["subscribedSkus"]
    }
