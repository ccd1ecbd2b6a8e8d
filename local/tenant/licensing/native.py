"""Microsoft's own group-based licensing: what one member gets from one group.

First-level user members only, all of the group's products or none, inherited rows with `assignedByGroup`. Rules:
learn.microsoft.com/entra/fundamentals/concept-group-based-licensing and .../licensing-groups-resolve-problems.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from local.tenant.directory.directory import Directory, contains
from local.tenant.directory.model import ACTIVE, AssignedLicense, Group, LicenseRow, Subscription, User
from local.tenant.licensing.rules import (
    Licensee,
    LicenseError,
    Rejection,
    Rules,
    check_dependencies,
    check_prohibited,
    check_state,
    enabled_plans,
)


class Settled(NamedTuple):
    """What processing one member led to: all rows of the user, and why products of the group are not assigned."""

    rows: tuple[LicenseRow, ...]
    rejections: tuple[Rejection, ...] = ()


def inherited_rows(
    user: Licensee,
    group_id: str,
    licenses: tuple[AssignedLicense, ...],
    country: str,
    seats: Mapping[str, Subscription],
    rules: Rules,
    now: float,
) -> Settled:
    """The user's rows after the group's licenses were given; on any error all its rows show one, the innocent `Other`.
    Whether products stay that the user has from the group is a switch, `failedGroupProduct`.

    A member without usage location is treated as being in the directory's country.
    """
    others = tuple(row for row in user.rows if row.group != group_id)
    rejections = {
        license_.sku_id: rejection
        for license_ in licenses
        if (rejection := _rejection(user, others, group_id, (license_,), country, seats, rules)) is not None
    }
    whole = _given(group_id, licenses, now)
    plans = enabled_plans(whole, rules.catalog)
    if not rejections and (rejection := check_dependencies(frozenset(), plans, rules)) is not None:
        rejections = {license_.sku_id: rejection for license_ in licenses}
    if (
        not rejections
        and (rejection := _rejection(user, others, group_id, licenses, country, seats, rules)) is not None
    ):
        rejections = {license_.sku_id: rejection for license_ in licenses}
    if rejections:
        errors = {sku_id: rejection.error for sku_id, rejection in rejections.items()}
        has = {row.sku_id: row for row in user.rows if row.group == group_id and row.state in ACTIVE}
        kept = has if rules.failed_group_product == "kept" else {}
        whole = tuple(
            kept.get(row.sku_id, row)._replace(
                state="ActiveWithError" if row.sku_id in kept else "Error",
                error=errors.get(row.sku_id, LicenseError.OTHER).value,
                updated=now,
            )
            for row in whole
        )
    return Settled((*others, *keep_times(user.rows, whole)), tuple(rejections.values()))


def rows_after_leaving(user: Licensee, group_id: str, rules: Rules, now: float) -> Settled:
    """The user's rows without the group's; they stay, with an error, while something else depends on their plans."""
    others = tuple(row for row in user.rows if row.group != group_id)
    before, after = enabled_plans(user.rows, rules.catalog), enabled_plans(others, rules.catalog)
    rejection = check_dependencies(before, after, rules)
    if rejection is None:
        return Settled(others)
    stuck = tuple(
        row._replace(state="ActiveWithError", error=rejection.error.value, updated=now)
        for row in user.rows
        if row.group == group_id and row.state != "Error"
    )
    return Settled((*others, *stuck), (rejection,))


def failed_rows(user: Licensee, group_id: str, licenses: tuple[AssignedLicense, ...], now: float) -> Settled:
    """The user's rows after processing failed for a reason of the service: what was there stays, all with `Other`."""
    own = {row.sku_id: row for row in user.rows if row.group == group_id}
    given = {row.sku_id: row for row in _given(group_id, licenses, now)}
    failed = tuple(
        row._replace(
            state="ActiveWithError" if sku_id in own and own[sku_id].state in ACTIVE else "Error",
            error=LicenseError.OTHER.value,
        )
        for sku_id, row in {**given, **own}.items()
    )
    others = tuple(row for row in user.rows if row.group != group_id)
    # Own wording: no page prints a text for it.
    rejection = Rejection("License assignment failed because of a temporary problem. Try again.")
    return Settled((*others, *keep_times(user.rows, failed)), (rejection,))


def _rejection(
    user: Licensee,
    others: tuple[LicenseRow, ...],
    group_id: str,
    licenses: tuple[AssignedLicense, ...],
    country: str,
    seats: Mapping[str, Subscription],
    rules: Rules,
) -> Rejection | None:
    own = {license_.sku_id for license_ in licenses}
    before = (*others, *(row for row in user.rows if row.group == group_id and row.sku_id in own))
    after = (*others, *_given(group_id, licenses, 0.0))
    place = user.usage_location or country
    rejection = check_prohibited(licenses, place, rules) or check_state(before, after, user.proxy_clash, seats, rules)
    if rejection is not None and rejection.error is LicenseError.DEPENDENCY:
        return None  # prerequisites are judged over the whole group, not product by product
    return rejection


def _given(group_id: str, licenses: tuple[AssignedLicense, ...], now: float) -> tuple[LicenseRow, ...]:
    return tuple(LicenseRow(sku, off, group_id, "Active", LicenseError.NONE.value, now) for sku, off in licenses)


def keep_times(old: tuple[LicenseRow, ...], new: tuple[LicenseRow, ...]) -> tuple[LicenseRow, ...]:
    """The new rows, those that are as they were with their old times."""
    times = {row._replace(updated=0.0): row.updated for row in old}
    return tuple(row._replace(updated=times.get(row._replace(updated=0.0), row.updated)) for row in new)


def settle_user(
    directory: Directory, user: User, group: Group, rules: Rules, now: float, *, fails: bool = False
) -> tuple[Rejection, ...]:
    """Make one user's rows from one group what the group's licenses and the membership ask for. Returns why products
    of the group are not assigned, or not removed. `fails`: the service does not get this member done."""
    licensee = Licensee(user.rows, user.usage_location, proxy_clash=user.proxy_clash)
    is_member = contains(group.member_ids, user.id)
    if fails:
        settled = failed_rows(licensee, group.id, group.licenses if is_member else (), now)
    elif group.licenses and is_member:
        # The same step removes a product that the group no longer has: all rows of the group are written again.
        seats, country = directory.subscriptions, directory.country
        settled = inherited_rows(licensee, group.id, group.licenses, country, seats, rules, now)
    else:
        settled = rows_after_leaving(licensee, group.id, rules, now)
    if settled.rows != user.rows:
        directory.set_rows(user, settled.rows, now)
    return settled.rejections
