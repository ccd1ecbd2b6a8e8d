"""A removal permit: what planning needs before a license or plan may be removed, and the claims that it names.

A claim is a reason for a user to have a license: a group, a list of users, HR. Each claim that ended needs a permit. So
an approval for one group never removes what another group stopped assigning later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from shared.domain.assignment import GroupLicenseAssignment
from shared.domain.desired_licenses import DesiredLicense
from shared.domain.grant import Grant, Source, SourceKind
from shared.domain.ids import NO_PLANS, GroupId, Plans, SkuId, UserId
from shared.domain.ledger_row import LedgerRow, ManagedLicense

BY_ALLOWANCE = "allowance"
"""`given_by` of a permit, and `permitted_by` of a leaver, that no person gave."""

PERMIT_HOLDS = timedelta(days=7)
"""How long a permit holds: an approval of last month must not remove a license after the user came back to need it."""

BEFORE_ANY_LICENSE = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, order=True)
class Claim:
    """A reason for a license: its source. `version`: of the group's assignment (`claim_version`), 0 of another source.

    A newer version is a different claim: an approval from before the group changed does not name it.
    """

    source: Source
    version: int = 0


@dataclass(frozen=True, slots=True)
class Permit:
    """Permission to remove a SKU (or turn off `plans` of it) from a user once the named claims have ended.

    It comes from the removal allowance or from an approval. It is valid only for older licenses and plans: a license
    or plan assigned again later needs a new one (see `not_carried_out`). `by_approval`: a person asked for this removal
    or approved it, so that it also ends what a person decided to keep. `given_by`: the key of that initiator, or
    BY_ALLOWANCE.
    """

    user_id: UserId
    sku_id: SkuId
    source: Source
    at: datetime
    given_by: str
    claims: frozenset[Claim]
    plans: Plans = NO_PLANS
    by_approval: bool = False
    for_protected: bool = False
    """Whether it was given by people who knew that the user is protected; only such a permit counts for one."""

    @property
    def by_person(self) -> bool:
        """Whether a person decided about this removal: who only asked for a change of a group has not seen whom it
        concerns."""
        return self.by_approval and self.given_by != BY_ALLOWANCE

    @classmethod
    def void(cls, user_id: UserId, sku_id: SkuId, source: Source, given_by: str) -> Permit:
        """A permit that names no claim, so it permits nothing. Stored in the place of an earlier permit, it ends that
        one. `given_by`: the person or component that ended it."""
        return cls(user_id, sku_id, source, BEFORE_ANY_LICENSE, given_by, frozenset())


Assignments = Mapping[GroupId, GroupLicenseAssignment]


def assignment_of(source: Source, assignments: Assignments) -> GroupLicenseAssignment | None:
    """The assignment of the group behind a source; None for another kind of source and for an unmanaged group."""
    return assignments.get(source.group_id) if source.group_id else None


def claim_of(source: Source, assignments: Assignments) -> Claim:
    """The claim of a source as the group's assignment is now."""
    assignment = assignment_of(source.claimed, assignments)
    return Claim(source.claimed, assignment.claim_version if assignment else 0)


def claims_of(sources: Iterable[Source], assignments: Assignments) -> frozenset[Claim]:
    """The claims of a license. One without a known source was asked for by a person, for named users."""
    return frozenset(claim_of(each, assignments) for each in (tuple(sources) or (Source(SourceKind.LIST),)))


def not_carried_out(permit: Permit, license: ManagedLicense) -> Permit | None:
    """What later writes of the license leave of a permit; None: nothing.

    A permit for the whole license ends with the next write of it. One for plans loses the plans that were turned off
    since, so that none goes off twice by it. Other plans can change meanwhile: missing ones are turned on at once, and
    the permitted ones wait for their second read. If a permitted plan was turned on since, a source assigned it again,
    and the permit ends.
    """
    if not permit.plans:
        return permit if permit.at > license.at else None
    changed = frozenset(plan for plan in permit.plans if license.changed_at(plan) >= permit.at)
    left = permit.plans - changed
    return replace(permit, plans=left) if left and changed <= license.disabled_plans else None


def permits_over(
    permits: Iterable[Permit], desired: Mapping[SkuId, DesiredLicense], assignments: Assignments
) -> tuple[Permit, ...]:
    """Permits for a removal that is no longer due: a claim that they name gives the license again.

    If the claim ends once more, that is another removal, which needs its own decision. A leaver's permit names claims
    before they end, so it stays. `desired`: by the grants that give.
    """

    def is_over(permit: Permit) -> bool:
        wanted = desired.get(permit.sku_id)
        if permit.source.kind is SourceKind.HR or not permit.claims or wanted is None or not wanted.adds:
            return False
        return bool(claims_of(wanted.sources, assignments) & permit.claims) and not (
            permit.plans & wanted.disabled_plans
        )

    return tuple(permit for permit in permits if is_over(permit))


def leaver_permits(
    row: LedgerRow,
    groups: Iterable[GroupId],
    grants: Iterable[Grant],
    assignments: Assignments,
    source: Source,
    at: datetime,
    given_by: str,
    *,
    for_protected: bool = False,
) -> tuple[Permit, ...]:
    """Permits for each managed license of a leaver, naming everything that ends with the employment.

    That is what the ledger names, what `groups` that the person leaves assign, and `grants` that are taken away. A
    claim that is not named, such as a group that the person joins later, still needs a permit of its own.
    """
    leaving = sorted(set(groups) & assignments.keys())
    found = []
    for sku_id, license in row.managed.items():
        named = [Source(SourceKind.GROUP, group) for group in leaving if assignments[group].sku(sku_id)]
        named += [grant.source for grant in grants if grant.sku_id == sku_id]
        claims = claims_of((*license.sources, *named), assignments)
        found.append(Permit(row.user_id, sku_id, source, at, given_by, claims, for_protected=for_protected))
    return tuple(found)
