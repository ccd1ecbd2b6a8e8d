"""Whether a license row is still the one that this app wrote, judged by the row's own time.

`lastUpdatedDateTime` is "when the state of the license assignment was last updated" (learn.microsoft.com/graph/api/
resources/licenseassignmentstate): a write moves it, and so may a change of `state` that Microsoft makes. Only Graph's
times are compared with each other: the row's with that of an earlier read, or with the `Date` of the answer to the
write. A row that changed after the app's write is *unclear*. An administrator may have removed the license and assigned
it again, and in the directory this looks like a plan that was switched.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.directory import LicenseAssignmentState, LicenseState
from shared.domain.ledger_row import ManagedLicense, SeenRow

IN_FLIGHT = timedelta(seconds=75)
"""A call may still arrive this long after its intent: connecting and waiting for an answer take 70 s at most."""

CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far the directory's clock may be from ours, where the answer to a write had no `Date`. A row is called older than
a write, so that the license becomes unmanaged, only if it is that much older by Graph's own clock."""

VISIBLE_WITHIN = timedelta(minutes=15)
"""Reads of the directory are believed to show a write after this time; Graph states no figure, so it is chosen."""


def seen(row: LicenseAssignmentState) -> SeenRow | None:
    """What later reads are compared with; None for a row without a time."""
    return SeenRow(row.last_updated, row.state, row.error) if row.last_updated is not None else None


def by_our_clock(at: datetime) -> tuple[datetime, datetime]:
    """The times between which Graph did a write that was sent at `at`, as far as two clocks agree."""
    return at - CLOCK_TOLERANCE, at + IN_FLIGHT + CLOCK_TOLERANCE


def was_written(license: ManagedLicense, row: LicenseAssignmentState) -> bool:
    """Whether a row is what a write gave: its plans, and its time among those at which the write can have been done."""
    first, last = license.written or by_our_clock(license.at)
    in_time = row.last_updated is not None and first <= row.last_updated <= last
    return in_time and row.disabled_plans == license.disabled_plans


def judged(license: ManagedLicense, row: LicenseAssignmentState, now: datetime) -> ManagedLicense | None:
    """The license after a read that shows its row. None: the row is older than every write of the app, so the license
    was assigned by others. A row without a time, as in lists of members, proves nothing."""
    updated, before = row.last_updated, license.seen
    if updated is None:
        return license
    if before is not None and updated <= before.updated:
        # The same row, or a read that lags behind it, or a write for which Graph did not move the time. The state is
        # kept for the next comparison: times have whole seconds, and Microsoft may set a state without moving them.
        is_same = updated == before.updated and license.written is None
        return replace(license, seen=seen(row)) if is_same else license
    if license.written is None and before is not None:
        return _changed(license, row, before)
    first, last = license.written or by_our_clock(license.at)
    is_older = updated < first and license.written is not None
    if updated <= last and row.disabled_plans == license.disabled_plans and not is_older:
        return replace(license, written=None, seen=seen(row))
    if updated <= last and now < license.at + VISIBLE_WITHIN:
        return license  # a row from before our newest write: the read lags
    return None if is_older and updated < first - CLOCK_TOLERANCE else _changed(license, row, None)


def _changed(license: ManagedLicense, row: LicenseAssignmentState, before: SeenRow | None) -> ManagedLicense:
    """The license after its row changed. A state that differs from the one before explains the new time: Microsoft sets
    it, for example when a subscription lapses. The app's own writes leave a row `Active`."""
    known = (before.state, before.error) if before else (LicenseState.ACTIVE, None)
    explained = (row.state, row.error) != known and row.disabled_plans == license.disabled_plans
    return replace(license, written=None, seen=seen(row), unclear=license.unclear or not explained)
