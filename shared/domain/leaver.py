"""Leavers: what they had, which groups they leave, and which of their licenses go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.directory import DirectoryUser
from shared.domain.grant import Grant, Source, SourceKind
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
    Standing,
    Taken,
    waiting,
)

LEAVERS = Source(SourceKind.HR, "leavers")
"""Whose allowance leavers are counted against, and the source of their permits."""

HELD_RETRY = timedelta(hours=6)
"""A held leaver is tried again now and then: the allowance of a day grows back."""

FIRST_LOOK = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Leaver:
    """One person who leaves."""

    record: OnboardingRecord
    user: DirectoryUser
    row: LedgerRow
    grants: tuple[Grant, ...]
    results: tuple[GroupResult, ...] = ()
    remove: tuple[GroupId, ...] = ()

    @property
    def left(self) -> list[GroupId]:
        """Groups of the record that the person was taken out of."""
        return [each.group_id for each in self.record.groups if each.outcome is GroupOutcome.REMOVED]


def held(record: OnboardingRecord, maximum: int, now: datetime) -> Next:
    """A leaver over the allowance."""
    note = f"More than {maximum} leavers within 24 hours: a person has to see their number first."
    remedy = "Look at the held leavers, then approve or reject them."
    return Next(waiting(record, OnboardingState.HELD, now, now + HELD_RETRY, note, remedy))


def taken_of(record: OnboardingRecord, hr_state: Standing, grants: Sequence[Grant]) -> Taken:
    """What the leaver has, as it was when the work began the first time."""
    if record.taken is not None and hr_state.last_key == record.key:
        return record.taken
    return Taken(hr_state, tuple(grant for grant in grants if grant.source.kind is SourceKind.HR))


def groups_to_leave(
    user: DirectoryUser, taken: Taken, hr_state: Standing, allowed: frozenset[GroupId]
) -> frozenset[GroupId]:
    """Groups that HR put the person in are left also if this read does not show it: it may be older than that."""
    return user.group_ids & allowed | hr_state.groups | taken.standing.groups


def planned(leaver: Leaver, hindrances: Hindrances) -> Leaver:
    """Which memberships to remove, and why not the others."""
    blocked = {g: each for g, each in hindrances.items() if each[0]}
    kept = [GroupResult(g, GroupOutcome.KEPT, *blocked[g]) for g in sorted(blocked) if g in leaver.user.group_ids]
    return replace(leaver, results=tuple(kept), remove=tuple(sorted(hindrances.keys() - blocked.keys())))


def state_after(record: OnboardingRecord, hr_state: Standing) -> Standing:
    """Nothing of what HR brought about is left, and no older event counts."""
    return replace(
        hr_state,
        groups=frozenset(),
        was_in=frozenset(),
        last_key=record.key,
        last_type=record.event.type,
        last_order=record.order,
    )


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


def unlicensing(leaver: Leaver, now: datetime) -> Next:
    """The memberships are removed: the licenses go when the person is reconciled."""
    note = "The licenses are being removed, after a second read."
    record = replace(
        waiting(leaver.record, OnboardingState.WORKING, now, now + FIRST_LOOK, note),
        working_since=now,
        licenses=tuple(LicenseResult(sku_id, LicenseOutcome.PENDING) for sku_id in _going(leaver)),
    )
    return Next(record, users={leaver.user.id: dict.fromkeys(leaver.left, False)})


def _going(leaver: Leaver) -> list[SkuId]:
    """Managed licenses, and those that native licensing gives by groups that are left."""
    left = set(leaver.left)
    inherited = {
        sku_id
        for sku_id, rows in leaver.user.inherited.items()
        if {row.assigned_by_group for row in rows} <= left and sku_id not in leaver.user.direct
    }
    return sorted(leaver.row.owned.keys() | inherited)
