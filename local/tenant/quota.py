"""Graph's limits on identity and access: resource units per 10 s, writes per 150 s, writes of the whole tenant.

Figures: learn.microsoft.com/graph/throttling-limits, "Identity and access service limits". Microsoft documents a token
bucket. A sliding window is offered too, since a client must work with either. Limits of an application over all its
tenants are left out: 150,000 units per 20 s and 35,000 writes per 5 min. They cannot be reached before those of one
tenant.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from email.utils import formatdate
from typing import Protocol

from local.tenant.call import GraphError
from local.tenant.settings import Settings

UNITS_PER_10_S = {"S": 3_500, "M": 5_000, "L": 8_000}
WRITES_PER_150_S = 3_000
TENANT_WRITES_PER_5_MIN = 18_000

_OVERFULL = 1.8  # x-ms-throttle-limit-percentage ends there; more rejections do not push the end of throttling further
_SLOT_SECONDS = 0.05  # grain of the sliding window; keeps it at 3,000 entries for 150 s


def tenant_size(users: int) -> str:
    """S below 50 users, M from 50 to 500, L above."""
    return "S" if users < 50 else "M" if users <= 500 else "L"


class Meter(Protocol):
    """How full one limit is; levels are in units of that limit."""

    def levels(self, limit: float, now: float) -> tuple[float, float]:
        """(level of accepted requests, level with rejected ones too)."""

    def add(self, cost: float, accepted: bool, limit: float, now: float) -> None:
        """Count a request."""

    def wait(self, excess: float, accepted_only: bool, limit: float, now: float) -> float:
        """Seconds until the level has fallen by `excess`."""


class BucketMeter:
    """A bucket that drains at limit / period."""

    def __init__(self, period: float) -> None:
        self.period = period
        self._accepted = 0.0
        self._total = 0.0
        self._at = 0.0

    def levels(self, limit: float, now: float) -> tuple[float, float]:
        drained = max(0.0, now - self._at) * limit / self.period
        self._accepted = max(0.0, self._accepted - drained)
        self._total = max(0.0, self._total - drained)
        self._at = now
        return self._accepted, self._total

    def add(self, cost: float, accepted: bool, limit: float, now: float) -> None:
        if accepted:
            self._accepted += cost
            self._total += cost
        else:
            self._total = max(self._total, min(self._total + cost, limit * _OVERFULL))

    def wait(self, excess: float, accepted_only: bool, limit: float, now: float) -> float:
        return excess * self.period / limit


class WindowMeter:
    """Everything counted in the last `period` seconds."""

    def __init__(self, period: float) -> None:
        self.period = period
        self._slots: deque[tuple[float, float, float]] = deque()
        self._accepted = 0.0
        self._total = 0.0

    def levels(self, limit: float, now: float) -> tuple[float, float]:
        while self._slots and self._slots[0][0] <= now - self.period:
            _, accepted, total = self._slots.popleft()
            self._accepted -= accepted
            self._total -= total
        return max(0.0, self._accepted), max(0.0, self._total)

    def add(self, cost: float, accepted: bool, limit: float, now: float) -> None:
        taken = cost if accepted else 0.0
        if not accepted:
            cost = max(0.0, min(cost, limit * _OVERFULL - self._total))
        self._accepted += taken
        self._total += cost
        if self._slots and now - self._slots[-1][0] < _SLOT_SECONDS:
            at, old_taken, old_cost = self._slots[-1]
            self._slots[-1] = (at, old_taken + taken, old_cost + cost)
        else:
            self._slots.append((now, taken, cost))

    def wait(self, excess: float, accepted_only: bool, limit: float, now: float) -> float:
        freed = 0.0
        for at, accepted, total in self._slots:
            freed += accepted if accepted_only else total
            if freed >= excess:
                return max(0.0, at + self.period - now)
        return self.period


@dataclass(frozen=True, slots=True)
class Limit:
    """One published limit."""

    scope: str
    kind: str
    period: float
    amount: float
    information: str


class Quota:
    """All limits of one tenant; charges requests of every application."""

    def __init__(self, settings: Settings, tenant_id: str) -> None:
        self.settings = settings
        self.tenant_id = tenant_id
        self.users = 0
        self._meters: dict[tuple[str, str, str, str], Meter] = {}

    def charge(
        self, app_id: str, units: int, writes: int, priority: str, now: float, own: Limit | None = None
    ) -> tuple[GraphError | None, float]:
        """Count a request; a 429 if a limit is reached, and the fullest limit's share (1.0 = at the limit).

        A request with an `own` limit, of another service, counts one there and nothing anywhere else.
        """
        rejection: GraphError | None = None
        charged: list[tuple[Meter, float, float]] = []
        fullest = 0.0
        for limit in self._limits(writes) if own is None else [own]:
            amount = limit.amount * self.settings.quota_scale
            cost = 1.0 if own is not None else float(units if limit.kind == "ReadWrite" else writes)
            meter = self._meter(limit, app_id)
            accepted, total = meter.levels(amount, now)
            level, room = self._judged(accepted, total, amount, priority)
            fullest = max(fullest, (total + cost) / amount)
            charged.append((meter, cost, amount))
            if rejection is None and level + cost > room:
                wait = meter.wait(level + cost - room, level == accepted, amount, now)
                rejection = self._rejection(limit, app_id, wait, now)
        for meter, cost, amount in charged:
            if rejection is None or self.settings.rejected_count:
                meter.add(cost, rejection is None, amount, now)
        return rejection, min(fullest, _OVERFULL)

    def take(self, writes: float, now: float) -> None:
        """Count writes of other applications against the limit of the whole tenant; no more than it takes."""
        limit = _WRITE_LIMITS[1]
        amount = limit.amount * self.settings.quota_scale
        meter = self._meter(limit, "")
        level, _ = meter.levels(amount, now)
        meter.add(max(0.0, min(writes, amount - level)), True, amount, now)

    def reset(self) -> None:
        """Empty all meters."""
        self._meters.clear()

    def _judged(self, accepted: float, total: float, amount: float, priority: str) -> tuple[float, float]:
        """(level that counts, room) by priority: Low is rejected first, High last; none gets more than the limit."""
        match priority.lower():
            case "low":
                return total, amount * self.settings.low_priority_share
            case "high":
                return accepted, amount
            case _:
                return total, amount

    def _limits(self, writes: int) -> list[Limit]:
        size = self.settings.tenant_size
        if size == "auto":
            size = tenant_size(self.users)
        units = Limit("Tenant_Application", "ReadWrite", 10.0, UNITS_PER_10_S[size], "ResourceUnitLimitExceeded")
        return [units, *_WRITE_LIMITS] if writes else [units]

    def _meter(self, limit: Limit, app_id: str) -> Meter:
        owner = app_id if limit.scope == "Tenant_Application" else ""
        key = (limit.scope, limit.kind, owner, self.settings.quota_kind)
        meter = self._meters.get(key)
        if meter is None:
            kind = BucketMeter if self.settings.quota_kind == "bucket" else WindowMeter
            meter = self._meters[key] = kind(limit.period)
        return meter

    def _rejection(self, limit: Limit, app_id: str, wait: float, now: float) -> GraphError:
        headers = {
            **retry_after(self.settings.retry_after, wait, now),
            "x-ms-throttle-scope": f"{limit.scope}/{limit.kind}/{app_id}/{self.tenant_id}",
            "x-ms-throttle-information": limit.information,
        }
        return GraphError(429, "TooManyRequests", "Please retry again later.", headers)


def retry_after(form: str, wait: float, now: float) -> dict[str, str]:
    """The header in one of its forms (RFC 9110, section 10.2.3; Microsoft's sample is a decimal)."""
    match form:
        case "absent":
            return {}
        case "float":
            return {"Retry-After": f"{max(wait, 0.05):.3f}"}
        case "date":
            return {"Retry-After": formatdate(math.ceil(now + wait), usegmt=True)}
    return {"Retry-After": str(max(1, math.ceil(wait)))}


_WRITE_LIMITS = (
    Limit("Tenant_Application", "Write", 150.0, WRITES_PER_150_S, "WriteLimitExceeded"),
    Limit("Tenant", "Write", 300.0, TENANT_WRITES_PER_5_MIN, "WriteLimitExceeded"),
)


def subscription_limit(kind: str, amount: float) -> Limit:
    """A limit of the subscriptions service per 20 s and application (learn.microsoft.com/graph/throttling-limits)."""
    return Limit("Tenant_Application", kind, 20.0, amount, f"{kind}LimitExceeded")


SUBSCRIPTION_WRITES = subscription_limit("SubscriptionWrite", 500)
SUBSCRIPTION_REAUTHORIZE = subscription_limit("SubscriptionReauthorize", 1_000)
SUBSCRIPTION_READ = subscription_limit("SubscriptionRead", 500)
SUBSCRIPTION_LIST = subscription_limit("SubscriptionList", 25)
