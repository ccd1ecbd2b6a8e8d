"""Leavers: what they had, which groups they leave, and which of their licenses go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.approval_rules import has_expired
from shared.domain.assignment import AssignmentState, GroupLicenseAssignment
from shared.domain.desired_licenses import desired_licenses, group_grants
from shared.domain.directory import DirectoryUser
from shared.domain.grant import Grant, Source, SourceKind, do_not_license
from shared.domain.hr_state import Employment, HrState, Taken
from shared.domain.ids import GroupId, SkuId
from shared.domain.joiner import Hindrances
from shared.domain.ledger_row import LedgerRow
from shared.domain.onboarding import (
    GroupOutcome,
    GroupResult,
    LicenseOutcome,
    LicenseResult,
    Next,
    OnboardingRecord,
    OnboardingState,
    waiting,
)
from shared.domain.removals import LIST_RETRY

LEAVERS = Source(SourceKind.HR, "leavers")
"""Whose allowance leavers are counted against, and the source of their permits."""

HELD_RETRY = timedelta(hours=6)
"""A held leaver is tried again now and then: the allowance of a day grows back."""

FIRST_CHECK = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Leaver:
    """One leaver. `employment`: the one that ends. `hr_state`: as it was read."""

    record: OnboardingRecord
    user: DirectoryUser
    row: LedgerRow
    hr_state: HrState
    employment: str
    grants: tuple[Grant, ...]
    results: tuple[GroupResult, ...] = ()
    remove: tuple[GroupId, ...] = ()

    @property
    def left(self) -> list[GroupId]:
        """Groups of the record that the person was taken out of."""
        return [each.group_id for each in self.record.groups if each.outcome is GroupOutcome.REMOVED]

    @property
    def ended_grants(self) -> list[Grant]:
        """Grants of HR that go: all of them, or those of this employment if the person has another one."""
        if self.record.one_of_several:
            own = _own_profiles(self.record, self.hr_state, self.employment)
            left = set(self.left)
            return [each for each in self.grants if _is_own(each, own, left)]
        return [each for each in self.grants if each.source.kind in (SourceKind.HR, SourceKind.JOINED)]


def held(record: OnboardingRecord, maximum: int, now: datetime) -> Next:
    """A leaver over the allowance."""
    note = f"More than {maximum} leavers within 24 hours: a person has to see their number first."
    remedy = "Look at the held leavers, then approve or reject them."
    return Next(waiting(record, OnboardingState.HELD, now, now + HELD_RETRY, note, remedy))


def without_expired_approval(record: OnboardingRecord, now: datetime, lasts: timedelta) -> OnboardingRecord:
    """The record; without its approval if that has expired before the leaver began. One that began is completed."""
    counts_from = record.permitted_from
    if counts_from is None or record.taken is not None or not has_expired(counts_from, now, lasts):
        return record
    return replace(record, permitted_by="", for_protected=False, approvals=())


def held_as_expired(record: OnboardingRecord, now: datetime) -> Next:
    """A leaver whose approval has expired."""
    note = "The approval has expired, because the leaver could not be carried out in time."
    remedy = "Look at the held leavers, then approve or reject them."
    return Next(waiting(record, OnboardingState.HELD, now, now + HELD_RETRY, note, remedy))


def held_as_protected(record: OnboardingRecord, reasons: Sequence[str], now: datetime) -> Next:
    """A protected leaver: two people decide. `reasons`: why the person is protected."""
    note = protected_note(record, reasons)
    remedy = "Look at the held leavers, then approve or reject them. The two approvals must be of different people."
    return Next(waiting(record, OnboardingState.HELD, now, now + HELD_RETRY, note, remedy))


def protected_note(record: OnboardingRecord, reasons: Sequence[str]) -> str:
    """Why two people have to approve, and the approval so far."""
    note = f"A protected person ({', '.join(reasons)}): two people have to approve the removal."
    if record.approvals:
        note += f" Approved by {record.approvals[-1].by.display_name}; one more approval is needed."
    return note


def waits_for_list(record: OnboardingRecord, now: datetime) -> Next:
    """A leaver, while the protected people have not been read."""
    remedy = (
        "Grant the permission (grant-graph-permissions.sh --with protected-people), or set PROTECTED_PEOPLE to off."
    )
    note = "The list of protected people has not been read yet."
    return Next(waiting(record, OnboardingState.RECEIVED, now, now + LIST_RETRY, note, remedy))


def _own_profiles(record: OnboardingRecord, hr_state: HrState, employment: str) -> frozenset[str]:
    had = record.taken.employment if record.taken is not None else hr_state.of(employment)
    return had.profiles - hr_state.profiles_of_others(employment)


def _is_own(grant: Grant, profiles: frozenset[str], left: set[GroupId]) -> bool:
    if grant.source.kind is SourceKind.HR:
        return grant.source.id in profiles
    return grant.source.kind is SourceKind.JOINED and grant.source.id in left


def with_taken(
    record: OnboardingRecord,
    hr_state: HrState,
    employment: str,
    grants: Sequence[Grant],
    earlier: OnboardingRecord | None,
) -> OnboardingRecord:
    """The leaver with what it takes, as it was when the work began the first time. `earlier`: the leaver by which the
    employment is over already. What that took is taken by this one, whose cancelling gives it back."""
    before = hr_state.of(employment)
    if record.taken is not None and before.end is not None and before.end.key == record.key:
        return record
    own = _own_profiles(replace(record, taken=None), hr_state, employment)
    mine = [
        grant
        for grant in grants
        if grant.source.kind is SourceKind.HR and (not record.one_of_several or grant.source.id in own)
    ]
    if earlier is None or earlier.taken is None:
        return replace(record, taken=Taken(before, tuple(mine)))
    taken = Taken(earlier.taken.employment, tuple(dict.fromkeys((*earlier.taken.grants, *mine))))
    left = {each.group_id: each for each in earlier.groups if each.outcome is GroupOutcome.REMOVED}
    groups = left | {each.group_id: each for each in record.groups}
    return replace(record, taken=taken, groups=tuple(groups.values()))


def groups_to_leave(
    record: OnboardingRecord,
    user: DirectoryUser,
    taken: Taken,
    hr_state: HrState,
    employment: str,
    allowed: frozenset[GroupId],
) -> frozenset[GroupId]:
    """Groups that HR put the person in are left also if this read does not show it: it may be older than that.

    Of a person with another employment only those of this one: the end of one job takes nothing from the other.
    """
    own = hr_state.of(employment).groups | taken.employment.groups
    if record.one_of_several:
        return own - hr_state.groups_of_others(employment)
    return user.group_ids & allowed | own


def licenses_to_remove(
    leaver: Leaver, assignments: Mapping[GroupId, GroupLicenseAssignment], now: datetime
) -> list[SkuId]:
    """Managed licenses that go: all, or those that nothing but the ended employment gave."""
    if not leaver.record.one_of_several:
        return sorted(leaver.row.managed)
    after = replace(leaver.user, group_ids=leaver.user.group_ids - frozenset(leaver.left))
    ended = leaver.ended_grants
    rest = [each for each in leaver.grants if each not in ended and each.source.kind is not SourceKind.HELD]
    desired = desired_licenses((*group_grants(after, assignments), *rest), now)
    return sorted(leaver.row.managed.keys() - desired.keys())


def block_of(leaver: Leaver, assignments: Mapping[GroupId, GroupLicenseAssignment], now: datetime) -> Grant | None:
    """*Do not license*, if a membership of a managed group stays: dynamic, synchronized and nested groups are written
    elsewhere (learn.microsoft.com/graph/api/group-delete-members)."""
    if leaver.record.one_of_several:
        return None
    managed = {g for g, each in assignments.items() if each.state is AssignmentState.ACTIVE and each.skus}
    stays = (leaver.user.group_ids & managed) - frozenset(leaver.left)
    return do_not_license(leaver.record.key, now) if stays else None


def planned(leaver: Leaver, hindrances: Hindrances) -> Leaver:
    """Which memberships to remove, and why not the others."""
    blocked = {g: each for g, each in hindrances.items() if each[0]}
    kept = [GroupResult(g, GroupOutcome.KEPT, *blocked[g]) for g in sorted(blocked) if g in leaver.user.group_ids]
    return replace(leaver, results=tuple(kept), remove=tuple(sorted(hindrances.keys() - blocked.keys())))


def state_after(record: OnboardingRecord, hr_state: HrState, employment: str) -> HrState:
    """Nothing of what HR brought about by the employment is left, and no older statement counts."""
    before = hr_state.of(employment)
    return hr_state.having(employment, Employment(start=before.start, job=before.job, end=record.statement))


def with_removals(leaver: Leaver, written: Mapping[GroupId, GroupResult]) -> Leaver:
    """What became of the memberships, with those that an earlier try removed."""
    removed = {each.group_id: each for each in leaver.record.groups if each.outcome is GroupOutcome.REMOVED}
    results = (*leaver.results, *(_seen(written[g], leaver.user) for g in leaver.remove if g in written))
    news = {
        each.group_id: each
        for each in results
        if each.outcome is not GroupOutcome.NOT_A_MEMBER or each.group_id not in removed
    }
    return replace(leaver, record=replace(leaver.record, groups=tuple((removed | news).values())))


def _seen(result: GroupResult, user: DirectoryUser) -> GroupResult:
    """The directory shows the person in the group, and yet there is no membership to remove: it lies deeper."""
    if result.outcome is not GroupOutcome.NOT_A_MEMBER or result.group_id not in user.group_ids:
        return result
    text = "The person is in the group through another group, or was taken out a moment ago."
    return replace(result, text=text, remedy="If the license stays, take the person out of the nested group.")


def unlicensing(leaver: Leaver, going: Sequence[SkuId], now: datetime) -> Next:
    """The memberships are removed: the licenses go when the person is reconciled. `going`: the managed ones."""
    note = "The licenses are being removed, after a second read."
    record = replace(
        waiting(leaver.record, OnboardingState.WORKING, now, now + FIRST_CHECK, note),
        working_since=now,
        licenses=tuple(LicenseResult(sku_id, LicenseOutcome.PENDING) for sku_id in _going(leaver, going)),
    )
    return Next(record, users={leaver.user.id: dict.fromkeys(leaver.left, False)})


def _going(leaver: Leaver, managed: Sequence[SkuId]) -> list[SkuId]:
    """Managed licenses, and those that native licensing gives by groups that are left."""
    left = set(leaver.left)
    inherited = {
        sku_id
        for sku_id, rows in leaver.user.inherited.items()
        if {row.assigned_by_group for row in rows} <= left and sku_id not in leaver.user.direct
    }
    return sorted({*managed, *inherited})
