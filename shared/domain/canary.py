"""The canary: one group whose membership changes daily, to prove that changes reach the app.

A change must cause a notification and appear in delta. Graph repeats a notification that was not accepted for up to
four hours (learn.microsoft.com/graph/change-notifications-delivery-webhooks), and delta queries run every five minutes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

NOTIFIED_WITHIN = timedelta(hours=4)
IN_DELTA_WITHIN = timedelta(hours=1)

PROVES_FOR = timedelta(hours=26)
"""How long a proof counts: a day, and time for the next change."""


@dataclass(frozen=True, slots=True)
class Canary:
    """The canary, as far as known. `changed_at`: when the app last changed the membership; None if it never did.
    `is_member`: whether that change added the member. `notified_at`, `in_delta_at`: when the group was last named by
    Graph. `fault`: why the latest change failed, empty if it did not."""

    changed_at: datetime | None = None
    is_member: bool = False
    notified_at: datetime | None = None
    in_delta_at: datetime | None = None
    fault: str = ""

    def changed(self, at: datetime, *, is_member: bool) -> Canary:
        """After the app changed the membership."""
        return replace(self, changed_at=at, is_member=is_member, fault="")

    def failed(self, fault: str) -> Canary:
        return replace(self, fault=fault)


class CanaryState(StrEnum):
    """`PROVEN`: the latest change came by notification and by delta, and that is less than a day ago. `WAITING`: there
    is still time for it. `OVERDUE`: the latest change did not arrive in time, or there was none for a day."""

    NOT_CONFIGURED = "notConfigured"
    NEVER_CHANGED = "neverChanged"
    WAITING = "waiting"
    PROVEN = "proven"
    OVERDUE = "overdue"


def state_of(canary: Canary, now: datetime, *, is_configured: bool, has_subscription: bool) -> CanaryState:
    """The state now. `has_subscription`: whether the app expects notifications at all; without, delta
    alone is the proof. A change by hand counts like one by the app."""
    if not is_configured:
        return CanaryState.NOT_CONFIGURED
    expected = [canary.in_delta_at, *([canary.notified_at] if has_subscription else [])]
    known = [each for each in (canary.changed_at, *expected) if each is not None]
    if not known:
        return CanaryState.NEVER_CHANGED
    if all(each is not None and _counts(each, canary.changed_at, now) for each in expected):
        return CanaryState.PROVEN
    lasts = NOTIFIED_WITHIN if has_subscription else IN_DELTA_WITHIN
    return CanaryState.WAITING if now < max(known) + lasts else CanaryState.OVERDUE


def _counts(seen_at: datetime, changed_at: datetime | None, now: datetime) -> bool:
    return now - seen_at < PROVES_FOR and (changed_at is None or seen_at >= changed_at)
