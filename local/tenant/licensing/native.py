"""Microsoft's own group-based licensing, as far as it meets the product's users.

A licensed group is processed a moment after a change: first-level user members only, all of the group's products or
none, inherited rows with `assignedByGroup`. Rules: learn.microsoft.com/entra/fundamentals/concept-group-based-licensing
and .../licensing-groups-resolve-problems.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

from local.tenant.directory.directory import Directory, contains
from local.tenant.directory.model import AssignedLicense, Group, LicenseRow, Subscription, User
from local.tenant.licensing.rules import (
    Licensee,
    LicenseError,
    Refusal,
    Rules,
    check_dependencies,
    check_prohibited,
    check_state,
    enabled_plans,
)

_BREATH = 50  # users between two turns for other work on the event loop


def inherited_rows(
    user: Licensee,
    group_id: str,
    licenses: tuple[AssignedLicense, ...],
    country: str,
    seats: Mapping[str, Subscription],
    rules: Rules,
    now: float,
) -> tuple[LicenseRow, ...]:
    """The user's rows after the group's licenses were given; on any error all its rows show one, the innocent `Other`.

    A member without usage location is treated as being in the directory's country.
    """
    others = tuple(row for row in user.rows if row.group != group_id)
    errors = {
        license_.sku_id: refusal.error
        for license_ in licenses
        if (refusal := _refusal(user, others, group_id, (license_,), country, seats, rules)) is not None
    }
    whole = _given(group_id, licenses, now)
    plans = enabled_plans(whole, rules.catalog)
    if not errors and (refusal := check_dependencies(frozenset(), plans, rules)) is not None:
        errors = {license_.sku_id: refusal.error for license_ in licenses}
    if not errors and (refusal := _refusal(user, others, group_id, licenses, country, seats, rules)) is not None:
        errors = {license_.sku_id: refusal.error for license_ in licenses}
    if errors:
        whole = tuple(
            row._replace(state="Error", error=errors.get(row.sku_id, LicenseError.OTHER).value) for row in whole
        )
    return (*others, *keep_times(user.rows, whole))


def rows_after_leaving(user: Licensee, group_id: str, rules: Rules, now: float) -> tuple[LicenseRow, ...]:
    """The user's rows without the group's; they stay, with an error, while something else depends on their plans."""
    others = tuple(row for row in user.rows if row.group != group_id)
    before, after = enabled_plans(user.rows, rules.catalog), enabled_plans(others, rules.catalog)
    refusal = check_dependencies(before, after, rules)
    if refusal is None:
        return others
    stuck = tuple(
        row._replace(state="ActiveWithError", error=refusal.error.value, updated=now)
        for row in user.rows
        if row.group == group_id and row.state != "Error"
    )
    return (*others, *stuck)


def _refusal(
    user: Licensee,
    others: tuple[LicenseRow, ...],
    group_id: str,
    licenses: tuple[AssignedLicense, ...],
    country: str,
    seats: Mapping[str, Subscription],
    rules: Rules,
) -> Refusal | None:
    own = {license_.sku_id for license_ in licenses}
    before = (*others, *(row for row in user.rows if row.group == group_id and row.sku_id in own))
    after = (*others, *_given(group_id, licenses, 0.0))
    place = user.usage_location or country
    refusal = check_prohibited(licenses, place, rules) or check_state(before, after, user.proxy_clash, seats, rules)
    if refusal is not None and refusal.error is LicenseError.DEPENDENCY:
        return None  # prerequisites are judged over the whole group, not product by product
    return refusal


def _given(group_id: str, licenses: tuple[AssignedLicense, ...], now: float) -> tuple[LicenseRow, ...]:
    return tuple(LicenseRow(sku, off, group_id, "Active", LicenseError.NONE.value, now) for sku, off in licenses)


def keep_times(old: tuple[LicenseRow, ...], new: tuple[LicenseRow, ...]) -> tuple[LicenseRow, ...]:
    """The new rows, those that are as they were with their old times."""
    times = {row._replace(updated=0.0): row.updated for row in old}
    return tuple(row._replace(updated=times.get(row._replace(updated=0.0), row.updated)) for row in new)


class NativeLicensing:
    """Processes changed groups and members; one task per tenant."""

    def __init__(self, directory: Directory, rules: Callable[[], Rules], delay: Callable[[], float]) -> None:
        self.directory = directory
        self._rules = rules
        self._delay = delay
        self._due: asyncio.Queue[tuple[float, str, str | None]] = asyncio.Queue()

    def group_changed(self, group: Group) -> None:
        """The group's licenses changed: all its members are due."""
        group.processing_state = "QueuedForProcessing"
        self._due.put_nowait((time.monotonic(), group.id, None))

    def member_changed(self, group: Group, user_id: str) -> None:
        """A user joined or left the group."""
        if group.licenses or group.processing_state is not None:
            self._due.put_nowait((time.monotonic(), group.id, user_id))

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            since, group_id, user_id = await self._due.get()
            await asyncio.sleep(max(0.0, since + self._delay() - time.monotonic()))
            group = self.directory.groups.get(group_id)
            if group is None:
                continue
            if user_id is not None:
                self._settle(group, user_id)
                continue
            group.processing_state = "ProcessingInProgress"
            await self._settle_all(group)
            group.processing_state = "ProcessingComplete"

    async def _settle_all(self, group: Group) -> None:
        holders = [user.id for user in self.directory.users.values() if any(row.group == group.id for row in user.rows)]
        for number, user_id in enumerate(dict.fromkeys([*group.member_ids, *holders])):
            self._settle(group, user_id)
            if number % _BREATH == 0:
                await asyncio.sleep(0)

    def _settle(self, group: Group, user_id: str) -> None:
        user = self.directory.users.get(user_id)
        if user is not None and user.deleted is None:
            settle_user(self.directory, user, group, self._rules(), time.time())


def settle_user(directory: Directory, user: User, group: Group, rules: Rules, now: float) -> None:
    """Make one user's rows from one group what the group's licenses and the membership ask for."""
    licensee = Licensee(user.rows, user.usage_location, proxy_clash=user.proxy_clash)
    if group.licenses and contains(group.member_ids, user.id):
        rows = inherited_rows(
            licensee, group.id, group.licenses, directory.country, directory.subscriptions, rules, now
        )
        # The same call removes a product that the group no longer has: rows of the group are written again.
    else:
        rows = rows_after_leaving(licensee, group.id, rules, now)
    if rows != user.rows:
        directory.set_rows(user, rows, now)
