"""Values of the domain for tests: short names, sensible defaults, and a small catalog with every kind of relation.

Products of the catalog: E3 and E5 share plans and E1 excludes both; F3 excludes E3; VISIO stands alone; PHONE needs a
plan of E3 or E5; ROOM is for the company.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from shared.domain.catalog import Catalog
from shared.domain.directory import (
    DirectoryUser,
    LicenseAssignmentState,
    LicenseError,
    LicenseState,
    ServicePlan,
    SubscribedSku,
)
from shared.domain.grant import Grant, Source, SourceKind
from shared.domain.ids import NO_PLANS, GroupId, Plans, ServicePlanId, SkuId, UserId
from shared.domain.ledger import accepted, new_intent, refresh, rejected, resolve, retag
from shared.domain.ledger_row import LedgerRow, ManagedLicense, RejectionRecord, SeenRow
from shared.domain.permit import Claim, Permit
from shared.domain.plan import UserPlan, plan_user
from shared.domain.plan_draft import PlanContext
from shared.domain.read_models import AuditEntry, AuditFilter
from shared.domain.rejections import fingerprint_of
from shared.domain.removals import settled_sources
from shared.ports.world import Stores

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=30)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

USER = UserId("a0000000-0000-0000-0000-000000000001")
GROUP_A = GroupId("aaaaaaaa-0000-0000-0000-000000000000")
GROUP_B = GroupId("bbbbbbbb-0000-0000-0000-000000000000")
FROM_A = Source(SourceKind.GROUP, GROUP_A)
FROM_B = Source(SourceKind.GROUP, GROUP_B)
CLAIM_A, CLAIM_B = frozenset({Claim(FROM_A)}), frozenset({Claim(FROM_B)})


def plan_id(number: int) -> ServicePlanId:
    return ServicePlanId(f"00000000-0000-0000-0000-{number:012x}")


def sku_id(number: int) -> SkuId:
    return SkuId(f"50000000-0000-0000-0000-{number:012x}")


EXCHANGE_1, EXCHANGE_2, SHAREPOINT_1, SHAREPOINT_2, SHAREPOINT_KIOSK, TEAMS, CALLING, DRAWING, ROOMS = map(
    plan_id, range(1, 10)
)
E1, E3, E5, F3, VISIO, PHONE, ROOM = map(sku_id, range(1, 8))


def plans(*ids: ServicePlanId) -> Plans:
    return frozenset(ids)


NAMES = {
    EXCHANGE_1: "EXCHANGE_1",
    EXCHANGE_2: "EXCHANGE_2",
    SHAREPOINT_1: "SHAREPOINT_1",
    SHAREPOINT_2: "SHAREPOINT_2",
    SHAREPOINT_KIOSK: "SHAREPOINT_KIOSK",
    TEAMS: "TEAMS",
    CALLING: "CALLING",
    DRAWING: "DRAWING",
    ROOMS: "ROOMS",
}


def sku(
    number: SkuId, name: str, contents: Iterable[ServicePlanId], *, applies_to: str = "User", enabled: int = 100
) -> SubscribedSku:
    services = tuple(ServicePlan(each, NAMES.get(each, each)) for each in sorted(contents))
    return SubscribedSku(number, name, services, applies_to=applies_to, enabled=enabled)


SKUS = {
    each.sku_id: each
    for each in (
        sku(E1, "E1", (EXCHANGE_1, SHAREPOINT_1, TEAMS)),
        sku(E3, "E3", (EXCHANGE_2, SHAREPOINT_2, TEAMS)),
        sku(E5, "E5", (EXCHANGE_2, SHAREPOINT_2, TEAMS, CALLING)),
        sku(F3, "F3", (SHAREPOINT_KIOSK,)),
        sku(VISIO, "VISIO", (DRAWING,)),
        sku(PHONE, "PHONE", (CALLING,)),
        sku(ROOM, "ROOM", (ROOMS,), applies_to="Company"),
    )
}
EXCLUDING = (plans(SHAREPOINT_1, SHAREPOINT_2, SHAREPOINT_KIOSK),)
CATALOG = Catalog(SKUS, EXCLUDING, {CALLING: (plans(TEAMS),)})


def direct(
    sku: SkuId,
    disabled: Plans = NO_PLANS,
    *,
    state: LicenseState = LicenseState.ACTIVE,
    at: datetime | None = LONG_AGO,
) -> LicenseAssignmentState:
    return LicenseAssignmentState(sku, disabled, None, state, last_updated=at)


def native(
    sku: SkuId, disabled: Plans = NO_PLANS, *, group: GroupId = GROUP_B, state: LicenseState = LicenseState.ACTIVE
) -> LicenseAssignmentState:
    return LicenseAssignmentState(sku, disabled, group, state, last_updated=LONG_AGO)


def person(
    *rows: LicenseAssignmentState,
    user_id: UserId = USER,
    groups: Iterable[GroupId] = (),
    location: str | None = "CH",
    user_type: str = "Member",
    enabled: bool = True,
) -> DirectoryUser:
    return DirectoryUser(user_id, "ada@example.com", "Ada", enabled, user_type, location, rows, frozenset(groups))


def grant(
    sku: SkuId,
    disabled: Plans = NO_PLANS,
    source: Source = FROM_A,
    *,
    until: datetime | None = None,
    adds: bool = True,
) -> Grant:
    return Grant(sku, disabled, source, until, adds)


def managed(disabled: Plans = NO_PLANS, *, at: datetime = LONG_AGO, source: Source = FROM_A) -> ManagedLicense:
    """A license that was written, and read back with the time of the write."""
    return ManagedLicense(disabled, at, (source,), seen=SeenRow(at))


def ledger(
    owning: Mapping[SkuId, ManagedLicense] | None = None, *, seen: Mapping[str, datetime] | None = None
) -> LedgerRow:
    return LedgerRow(USER, owning or {}, removal_seen_at=seen or {})


def permit(
    sku: SkuId, *, at: datetime = NOW, disabling: Plans = NO_PLANS, by_approval: bool = False, source: Source = FROM_A
) -> Permit:
    return Permit(USER, sku, source, at, "system", frozenset({Claim(source)}), disabling, by_approval)


def context(now: datetime = NOW, **values: object) -> PlanContext:
    """A removal waits for a minute between its two reads."""
    return replace(PlanContext(CATALOG, now, MINUTE), **values)  # type: ignore[arg-type]


def given(user: DirectoryUser, plan: UserPlan, now: datetime) -> DirectoryUser:
    """The user as the directory shows it after the plan's call was accepted."""
    touched = {license.sku_id for license in plan.add} | set(plan.remove)
    rows = [
        row for row in user.license_assignment_states if row.assigned_by_group is not None or row.sku_id not in touched
    ]
    rows += [direct(license.sku_id, license.disabled_plans, at=now) for license in plan.add]
    return replace(
        user, license_assignment_states=tuple(rows), usage_location=plan.usage_location or user.usage_location
    )


def plan_once(
    user: DirectoryUser, grants: Iterable[Grant], row: LedgerRow, where: PlanContext, cause: str = "test"
) -> tuple[UserPlan, LedgerRow]:
    """One look at a user as the processing does it: resolve, refresh, plan; with what the row remembers of it."""
    grants = tuple(grants)
    settled = refresh(resolve(row, user, cause, where.now).row, user, where.now)
    plan = plan_user(user, grants, settled, where)
    left = [each for each in (*grants, *plan.new_grants) if each not in plan.ended_grants]
    sources = settled_sources(plan.sources, plan.removal_seen_at, left)
    return plan, replace(retag(settled, sources), removal_seen_at=plan.removal_seen_at)


def write(
    user: DirectoryUser, plan: UserPlan, row: LedgerRow, now: datetime, *, cause: str = "test", accept: bool = True
) -> tuple[DirectoryUser, LedgerRow]:
    """The user and the row after the plan's call was sent and accepted, or rejected."""
    if not plan.writes:
        return user, row
    intent = new_intent(user, cause, plan.add, plan.remove, plan.usage_location, plan.sources, now)
    row = replace(row, intent=intent)
    return (given(user, plan, now), accepted(row, now)) if accept else (user, rejected(row))


def rejection_of(
    plan: UserPlan,
    sku: SkuId,
    *,
    error: LicenseError = LicenseError.OTHER,
    named: Plans = NO_PLANS,
    user: DirectoryUser | None = None,
    at: datetime = NOW,
) -> RejectionRecord:
    """A rejection of what a plan wishes for a SKU, remembered as it is after the call."""
    record = RejectionRecord("", error, "because", at, named)
    fingerprint = fingerprint_of(sku, record, user or person(), plan.wished, CATALOG)
    return replace(record, fingerprint=fingerprint)


async def audited(stores: Stores, month: str = "") -> tuple[AuditEntry, ...]:
    """The audit log of a month (YYYYMM), by default of the last 31 days, newest first."""
    until = datetime.now(UTC)
    since = until - timedelta(days=31)
    if month:
        since = datetime.strptime(month, "%Y%m").replace(tzinfo=UTC)
        until = (since + timedelta(days=32)).replace(day=1) - timedelta(microseconds=1)
    found: list[AuditEntry] = []
    after: str | None = ""
    while after is not None:
        entries, after = await stores.audit.search(AuditFilter(), since, until, 10_000, after or None)
        found += entries
    return tuple(found)
