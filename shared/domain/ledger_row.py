"""The ledger row of one user: managed licenses, the last intent, and data with which later reads are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from shared.domain.directory import LicenseError, LicenseState
from shared.domain.grant import Source
from shared.domain.ids import NO_PLANS, GroupId, Plans, ServicePlanId, SkuId, UserId


@dataclass(frozen=True, slots=True)
class SeenRow:
    """A license row of the directory as a read showed it. `updated` is its `lastUpdatedDateTime`, by Graph's clock."""

    updated: datetime
    state: LicenseState = LicenseState.ACTIVE
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ManagedLicense:
    """A direct license this system assigned: what was written, when, and for which sources. See `read_back` for what
    later reads make of it."""

    disabled_plans: Plans
    at: datetime
    sources: tuple[Source, ...] = ()
    written: tuple[datetime, datetime] | None = None
    """The earliest and latest time, by Graph's clock, of a write that no read has shown yet; None once it was read."""
    seen: SeenRow | None = None
    """The row as the newest read showed it; None if no read has shown its time."""
    unclear: bool = False
    """Somebody changed the row after the app's write: only an approval lets the license be removed or narrowed."""
    since: datetime | None = None
    """When it was assigned, if later writes changed plans of it; None: at `at`."""
    changes: Mapping[datetime, Plans] = field(default_factory=dict)
    """Those writes, as long as a permit can be older than one: their times, and the plans turned on or off."""

    def changed_at(self, plan: ServicePlanId) -> datetime:
        """When the app last turned this plan on or off, or assigned the license."""
        return max((at for at, plans in self.changes.items() if plan in plans), default=self.since or self.at)


@dataclass(frozen=True, slots=True)
class Intent:
    """A write about to go out, recorded before it does. `before`/`after` map each touched SKU to its direct
    `disabledPlans`, or None if the user has (or will have) no direct license of it."""

    id: str
    cause: str
    before: Mapping[SkuId, Plans | None]
    after: Mapping[SkuId, Plans | None]
    at: datetime
    usage_location: str | None = None
    sources: Mapping[SkuId, tuple[Source, ...]] = field(default_factory=dict)
    unmanaged: frozenset[SkuId] = frozenset()
    """SKUs in which a person had plans enabled without making the license ours."""
    left_out: Mapping[SkuId, Plans] = field(default_factory=dict)
    """Plans of `after` that the call does not name, because they have left their product."""


@dataclass(frozen=True, slots=True)
class RejectionRecord:
    """A rejection by Graph, remembered so that the same work is not sent again every night (see `rejections`).

    `plans`: the service plans that its text named.
    """

    fingerprint: str
    error: LicenseError
    text: str
    at: datetime
    plans: Plans = NO_PLANS


@dataclass(frozen=True, slots=True)
class LastResult:
    """The newest write that succeeded and its cause, kept so that a redelivery reports it instead of `Unchanged`."""

    intent_id: str
    cause: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ObservedEvent:
    """An observed event of a user and a group: added or removed, and when it was observed."""

    came: bool
    at: datetime


def sku_of(key: str) -> SkuId:
    """The SKU of a key of `removal_seen_at`, which names a SKU or a plan of it."""
    return SkuId(key.partition("/")[0])


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """What this system knows of one user. `version` is the ETag of the stored row, None where there is none yet."""

    user_id: UserId
    managed: Mapping[SkuId, ManagedLicense] = field(default_factory=dict)
    intent: Intent | None = None
    last_result: LastResult | None = None
    removal_seen_at: Mapping[str, datetime] = field(default_factory=dict)
    """First read at which a removal was due, by SKU id or `sku/plan`; the second read decides."""
    gone_since: Mapping[SkuId, datetime] = field(default_factory=dict)
    rejections: Mapping[SkuId, RejectionRecord] = field(default_factory=dict)
    waiting_since: Mapping[SkuId, datetime] = field(default_factory=dict)
    unseen: Mapping[SkuId, ManagedLicense] = field(default_factory=dict)
    """Writes whose answer was lost and that no read has shown: they are managed if a late read shows them."""
    removed_at: Mapping[SkuId, datetime] = field(default_factory=dict)
    """Licenses that the app removed within the last minutes. A late read may still show them as unmanaged."""
    withheld_since: Mapping[SkuId, datetime] = field(default_factory=dict)
    """Since when the removal of a license waits for a desired one that overlaps it."""
    observed: Mapping[GroupId, ObservedEvent] = field(default_factory=dict)
    """The newest events of the last minutes, so that an older one is not waited for."""
    usage_location: str = ""
    """The location from HR. It is set for a user without one, before any default."""
    denied_since: datetime | None = None
    """Since when the directory says that there is no such user; a deleted one can be restored for 30 days."""
    version: str | None = None
