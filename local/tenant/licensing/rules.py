"""The license rules as pure functions on values: may this user's licenses change like this, and to what.

Additions and removals of one call are judged together, by the resulting state, in a fixed order of checks. The order
is request, SKUs, plans, removals, usage location, seats, exclusions, dependencies, proxy addresses.
Texts marked "own wording" are used if no text of Microsoft's could be found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from local.tenant.directory.catalog import Catalog
from local.tenant.directory.model import ACTIVE, AssignedLicense, LicenseRow, Subscription, assigned_skus


class LicenseError(StrEnum):
    """`error` values of licenseAssignmentState (learn.microsoft.com/graph/api/resources/licenseassignmentstate)."""

    NONE = "None"
    COUNT = "CountViolation"
    EXCLUSIVE = "MutuallyExclusiveViolation"
    DEPENDENCY = "DependencyViolation"
    LOCATION = "ProhibitedInUsageLocationViolation"
    UNIQUENESS = "UniquenessViolation"
    OTHER = "Other"


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a change is not done: Graph's message, the enum value a native row would show, the SKU it is about."""

    message: str
    error: LicenseError = LicenseError.OTHER
    sku_id: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """Body of assignLicense: `disabledPlans` of an added SKU replace those of the direct license."""

    add: tuple[AssignedLicense, ...]
    remove: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """The catalog's rules with the tenant's switches applied; settings.py explains each."""

    catalog: Catalog
    prohibited: Mapping[str, tuple[str, ...]]
    optional_dependencies: bool = False
    exclusions: str = "since2023"
    exclusion_text: str = "mutuallyExclusive"
    removal_of_inherited: str = "rejected"
    removal_of_unknown_sku: str = "rejected"
    unknown_disabled_plan: str = "rejected"
    failed_group_product: str = "lost"


@dataclass(frozen=True, slots=True)
class Licensee:
    """The user as far as licenses care."""

    rows: tuple[LicenseRow, ...]
    usage_location: str | None
    location_settled: bool = True
    proxy_clash: bool = False


def apply_change(
    change: Change, user: Licensee, seats: Mapping[str, Subscription], rules: Rules, now: float
) -> tuple[LicenseRow, ...] | Rejection:
    """The user's rows after the change, or the first rejection; nothing in between."""
    rejection = check_request(change, seats, rules) or check_removals(change, user.rows, seats, rules)
    if rejection is None and change.add:
        rejection = check_usage_location(user) or check_prohibited(change.add, user.usage_location, rules)
    if rejection is not None:
        return rejection
    after = _resulting_rows(change, user.rows, now)
    return check_state(user.rows, after, user.proxy_clash, seats, rules, change.add) or after


def additions_alone(
    change: Change, user: Licensee, seats: Mapping[str, Subscription], rules: Rules, now: float
) -> tuple[LicenseRow, ...]:
    """The user's rows where Graph did what it could of a rejected call: each addition alone, no removal.

    One report says that what can be done of a rejected call is done; it names additions, so nothing is removed here.
    """
    for license_ in change.add:
        after = apply_change(Change((license_,), ()), user, seats, rules, now)
        if not isinstance(after, Rejection):
            user = replace(user, rows=after)
    return user.rows


def check_state(
    before: tuple[LicenseRow, ...],
    after: tuple[LicenseRow, ...],
    proxy_clash: bool,
    seats: Mapping[str, Subscription],
    rules: Rules,
    added: tuple[AssignedLicense, ...] = (),
) -> Rejection | None:
    """Whether the resulting state may exist; only what gets worse is rejected, an old fault does not block a repair."""
    plans_before = enabled_plans(before, rules.catalog)
    plans_after = enabled_plans(after, rules.catalog)
    return (
        check_seats(before, after, seats)
        or check_exclusions(plans_before, plans_after, rules, added)
        or check_dependencies(plans_before, plans_after, rules)
        or check_proxy_address(plans_before, plans_after, proxy_clash, rules.catalog)
    )


def check_request(change: Change, seats: Mapping[str, Subscription], rules: Rules) -> Rejection | None:
    """Is the request valid for any user."""
    catalog = rules.catalog
    if not change.add and not change.remove:
        # Seen with a retired PowerShell module; whether Graph words it so is uncertain.
        return Rejection("No license changes provided")
    for license_ in change.add:
        if license_.sku_id not in seats:
            return _unknown_sku(license_.sku_id)
        if seats[license_.sku_id].applies_to != "User":
            name = catalog.products[license_.sku_id].part_number
            return Rejection(f"License {name} cannot be assigned to a user.", sku_id=license_.sku_id)
    for license_ in change.add:
        for plan in license_.disabled:
            if plan not in catalog.products[license_.sku_id].plan_ids and rules.unknown_disabled_plan == "rejected":
                # Own wording: only the sense of Graph's text is reported (MicrosoftDocs/azure-docs issue 81269).
                message = f"Service plan {plan} does not belong to the subscription with SKU {license_.sku_id}."
                return Rejection(message, sku_id=license_.sku_id)
    both = {license_.sku_id for license_ in change.add}.intersection(change.remove)
    if both:
        # Own wording.
        return Rejection(f"License {min(both)} cannot be added and removed in the same request.", sku_id=min(both))
    return None


def _unknown_sku(sku_id: str) -> Rejection:
    return Rejection(f"License {sku_id} does not correspond to a valid company License.", sku_id=sku_id)


def check_removals(
    change: Change, rows: tuple[LicenseRow, ...], seats: Mapping[str, Subscription], rules: Rules
) -> Rejection | None:
    """Only a direct license can be taken from a user."""
    for sku_id in change.remove:
        if sku_id not in seats and rules.removal_of_unknown_sku == "rejected":
            return _unknown_sku(sku_id)
        sources = [row.group for row in rows if row.sku_id == sku_id]
        if not sources:
            return Rejection("User does not have a corresponding license.", sku_id=sku_id)
        if None not in sources and rules.removal_of_inherited == "rejected":
            return Rejection(
                "User license is inherited from a group membership and it cannot be removed directly from the user.",
                sku_id=sku_id,
            )
    return None


def check_usage_location(user: Licensee) -> Rejection | None:
    """A usage location of two letters is needed; right after it was set the service may not see it yet."""
    place = user.usage_location
    if user.location_settled and place and len(place) == 2 and place.isascii() and place.isalpha():
        return None
    return Rejection("License assignment cannot be done for user with invalid usage location.", LicenseError.LOCATION)


def check_prohibited(add: tuple[AssignedLicense, ...], place: str | None, rules: Rules) -> Rejection | None:
    """Some services are not sold everywhere."""
    banned = rules.prohibited.get((place or "").upper(), ())
    if not banned:
        return None
    for license_ in add:
        for plan in sorted(rules.catalog.enabled_plans(license_.sku_id, license_.disabled)):
            if plan in banned or "*" in banned:
                # Own wording: Microsoft documents the enum value only.
                message = (
                    f"License {license_.sku_id} cannot be assigned: service plan {plan} is not available in {place}."
                )
                return Rejection(message, LicenseError.LOCATION, license_.sku_id)
    return None


def check_seats(
    before: tuple[LicenseRow, ...], after: tuple[LicenseRow, ...], seats: Mapping[str, Subscription]
) -> Rejection | None:
    """One unit per user and SKU, however many sources grant it."""
    for sku_id in sorted(assigned_skus(after) - assigned_skus(before)):
        if sku_id not in seats:
            return _unknown_sku(sku_id)
        if seats[sku_id].available < 1:
            return Rejection(
                f"Subscription with SKU {sku_id} does not have any available licenses.", LicenseError.COUNT, sku_id
            )
    return None


def check_exclusions(
    before: frozenset[str], after: frozenset[str], rules: Rules, added: tuple[AssignedLicense, ...] = ()
) -> Rejection | None:
    """Two different plans of one exclusion set may not be on; the same plan from two SKUs is fine."""
    for plan in sorted(after - before):
        partners = sorted(rules.catalog.partners(plan, rules.exclusions) & after)
        if partners:
            pair = sorted((plan, partners[0]))
            return Rejection(exclusion_message(pair, rules.exclusion_text, added), LicenseError.EXCLUSIVE)
    return None


def exclusion_message(pair: Sequence[str], text: str, added: tuple[AssignedLicense, ...]) -> str:
    """How Graph says that two plans exclude each other, at a position of the switch `exclusionText`."""
    one, two = pair
    if text == "conflictsWith":
        return f"License assignment failed because service plan {one} conflicts with service plan {two}"
    if text == "conflictingPairs":
        skus = ", ".join(license_.sku_id for license_ in added)
        return (
            "The license can't be assigned because the user has licensed service plans that conflict with plans in the "
            "new license. Resolve these conflicting service plan pairs to solve this problem: "
            f"[{one}, {two}]. Licenses being added: [{skus}]"
        )
    comma = "," if text == "withoutBlank" else ", "
    return f"License assignment failed because service plans {one}{comma}{two} are mutually exclusive"


def check_dependencies(before: frozenset[str], after: frozenset[str], rules: Rules) -> Rejection | None:
    """A plan may not lose, or be enabled without, what it depends on: holds for additions and for removals."""
    for rule in rules.catalog.dependencies:
        if rule.dependent not in after or not (rule.documented or rules.optional_dependencies):
            continue
        was_broken = rule.dependent in before and not before.intersection(rule.any_of)
        if not after.intersection(rule.any_of) and not was_broken:
            message = (
                f"License assignment failed because service plan {rule.dependent} "
                f"depends on the service plan(s) {', '.join(rule.any_of)}"
            )
            return Rejection(message, LicenseError.DEPENDENCY)
    return None


def check_proxy_address(
    before: frozenset[str], after: frozenset[str], proxy_clash: bool, catalog: Catalog
) -> Rejection | None:
    """Enabling Exchange computes the proxy addresses; one that another object has blocks the assignment."""
    if proxy_clash and (after - before) & catalog.exchange_plans:
        message = "Another object with the same value for property proxyAddresses already exists."
        return Rejection(message, LicenseError.UNIQUENESS)
    return None


def enabled_plans(rows: tuple[LicenseRow, ...], catalog: Catalog) -> frozenset[str]:
    """Plans that are on from any source."""
    found: frozenset[str] = frozenset()
    for row in rows:
        if row.state in ACTIVE:
            found |= catalog.enabled_plans(row.sku_id, row.disabled)
    return found


def _resulting_rows(change: Change, rows: tuple[LicenseRow, ...], now: float) -> tuple[LicenseRow, ...]:
    touched = {license_.sku_id for license_ in change.add}.union(change.remove)
    kept = [row for row in rows if row.group is not None or row.sku_id not in touched]
    added = [LicenseRow(sku, disabled, None, "Active", LicenseError.NONE.value, now) for sku, disabled in change.add]
    return (*kept, *added)
