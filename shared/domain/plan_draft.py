"""The data of planning one user: inputs, notes, requested changes, and the unfinished plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain.catalog import Catalog
from shared.domain.desired_licenses import DesiredLicense
from shared.domain.directory import AssignedLicense, DirectoryUser, LicenseAssignmentState
from shared.domain.dropped_skus import without
from shared.domain.grant import Grant, Source, SourceKind
from shared.domain.ids import NO_PLANS, Plans, SkuId, UserId, What
from shared.domain.ledger_row import LedgerRow
from shared.domain.outcomes import Problem
from shared.domain.pending_removal import TENANT
from shared.domain.permit import Assignments, Claim, Permit
from shared.domain.product_facts import Pair


class NoteKind(StrEnum):
    """Notes that are shown beside the plan."""

    UNMANAGED = "unmanaged"
    UNMANAGED_LACKS_PLANS = "unmanagedLacksApps"
    TURNED_ON_BY_HAND = "appsTurnedOnManually"
    TURNED_OFF_BY_HAND = "appsTurnedOffManually"
    SECOND_READ = "secondRead"
    PENDING_APPROVAL = "pendingApproval"
    AFTER_REMOVAL = "assignedAfterRemoval"
    HELD = "held"
    KEPT = "keptByDecision"
    PROTECTED = "protectedPerson"
    PROTECTION_UNKNOWN = "protectedPeopleNotRead"
    KEPT_UNTIL_REPLACED = "keptUntilReplaced"
    IN_GRACE = "inGrace"
    DEPENDS_ON_NATIVE = "dependsOnNativeLicensing"
    NOT_VISIBLE_YET = "notVisibleYet"
    UNCLEAR = "changedByOthers"


_FORMER: Mapping[str, str] = {
    "givenBySomebodyElse": NoteKind.UNMANAGED,
    "foreignLicenseLacksPlans": NoteKind.UNMANAGED_LACKS_PLANS,
    "plansTurnedOnByHand": NoteKind.TURNED_ON_BY_HAND,
    "plansTurnedOffByHand": NoteKind.TURNED_OFF_BY_HAND,
}
"""Codes in rows of version 0.1."""


def current_code(stored: str) -> str:
    """The code of a stored note in the words of this version."""
    return str(_FORMER.get(stored, stored))


@dataclass(frozen=True, slots=True)
class Note:
    kind: NoteKind
    sku_id: SkuId
    plans: Plans = NO_PLANS


@dataclass(frozen=True, slots=True)
class PermitRequest:
    """A removal that is due and not permitted: a whole SKU, or `plans` of it. `claims`: those that ended and that no
    permit names. `since`: when it was first seen. `ripe`: its window is over, so it can be decided. `by_person`: no
    allowance permits it, only an approval."""

    user_id: UserId
    sku_id: SkuId
    claims: frozenset[Claim]
    since: datetime
    plans: Plans = NO_PLANS
    ripe: bool = True
    by_person: bool = False

    @property
    def what(self) -> What:
        return self.user_id, self.sku_id


@dataclass(frozen=True, slots=True)
class PlanContext:
    """The inputs of planning a user beside user, grants and ledger.

    `denied`: SKUs whose removal is held; `held_by_tenant`: of these, the ones that wait for the approval of the whole
    tenant. `closed_skus`: no license is available. `grace`: how long a license stays after a source stopped assigning
    it. `ignore_rejections`: a person requested another try. `protected`: the user's licenses are removed only with an
    approval that names the user. `protection_known`: the protected people have been read once; until then nothing is
    removed.
    """

    catalog: Catalog
    now: datetime
    removal_window: timedelta = timedelta(minutes=5)
    assignments: Assignments = field(default_factory=dict)
    permits: tuple[Permit, ...] = ()
    denied: frozenset[SkuId] = frozenset()
    held_by_tenant: frozenset[SkuId] = frozenset()
    closed_skus: frozenset[SkuId] = frozenset()
    grace: Mapping[Source, timedelta] = field(default_factory=dict)
    count_inherited: frozenset[SkuId] = frozenset()
    usage_location: str | None = None
    """The location for a user without one; None: such a user is an error."""
    taken_probes: frozenset[Pair] = frozenset()
    """Expired conflicts that another person probes now: additions that depend on the result wait for it."""
    enable: frozenset[SkuId] = frozenset()
    """SKUs in which a person requested to turn on missing apps, also in unmanaged licenses."""
    ignore_rejections: bool = False
    protected: bool = False
    protection_known: bool = True
    second_read: bool = True
    """False in a preview: a removal is shown at the first read."""
    writing_since: datetime | None = None
    """When writing to Graph was turned on: first reads from before do not count."""


@dataclass(slots=True)
class Draft:
    """The plan while it is made."""

    user: DirectoryUser
    ledger: LedgerRow
    context: PlanContext
    desired: dict[SkuId, DesiredLicense]
    direct: dict[SkuId, LicenseAssignmentState]
    graced: frozenset[SkuId]
    in_grace: frozenset[SkuId]
    """SKUs whose grace has not ended, whether or not it counts."""
    add: dict[SkuId, AssignedLicense] = field(default_factory=dict)
    remove: set[SkuId] = field(default_factory=set)
    plans_off: dict[SkuId, Plans] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    waiting: list[SkuId] = field(default_factory=list)
    wants: list[PermitRequest] = field(default_factory=list)
    new_grants: list[Grant] = field(default_factory=list)
    seen: dict[str, datetime] = field(default_factory=dict)
    check_again: datetime | None = None
    enabling: set[SkuId] = field(default_factory=set)
    settling: dict[SkuId, Plans] = field(default_factory=dict)
    awaiting_permit: dict[SkuId, Plans] = field(default_factory=dict)
    withheld: dict[SkuId, datetime] = field(default_factory=dict)
    """Removals that wait for a desired license, and since when."""
    probes: set[Pair] = field(default_factory=set)

    def note(self, kind: NoteKind, sku_id: SkuId, plans: Plans = NO_PLANS) -> None:
        self.notes.append(Note(kind, sku_id, plans))

    def hold(self, sku_id: SkuId) -> None:
        """Keep a license until a person decides, in the approval of its groups or in that of the tenant."""
        by = TENANT if sku_id in self.context.held_by_tenant else ""
        self.new_grants.append(Grant(sku_id, self.direct[sku_id].disabled_plans, Source(SourceKind.HELD, by)))
        self.note_held(sku_id)

    def note_held(self, sku_id: SkuId, plans: Plans = NO_PLANS) -> None:
        self.note(NoteKind.HELD, sku_id, plans)
        if self.context.protected:
            self.note(NoteKind.PROTECTED, sku_id)

    def again(self, at: datetime) -> None:
        self.check_again = at if self.check_again is None else max(self.check_again, at)

    def drop(self, sku_id: SkuId) -> None:
        """Leave a SKU out, and with it every removal it was to replace."""
        before = tuple(self.add.values())
        add, remove = without(before, tuple(sorted(self.remove)), sku_id, self.context.catalog, self.plans_off)
        narrowed = self.plans_off.keys() & (self.add.keys() - {license.sku_id for license in add} - {sku_id})
        for kept in sorted(self.remove.difference(remove, {sku_id}) | narrowed):
            self.note(NoteKind.KEPT_UNTIL_REPLACED, kept)
        self.add = {license.sku_id: license for license in add}
        self.remove = set(remove)
