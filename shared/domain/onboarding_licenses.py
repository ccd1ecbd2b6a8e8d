"""What became of the licenses of a person whose event is worked on, license by license, and with it the event's end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain import onboarding_ends as ends
from shared.domain.backoff import Backoff
from shared.domain.desired_licenses import desired_licenses
from shared.domain.directory import DirectoryUser
from shared.domain.grant import Grant, SourceKind
from shared.domain.ids import SkuId
from shared.domain.ledger_row import LedgerRow
from shared.domain.member_status import no_seat_problem
from shared.domain.onboarding import (
    GroupOutcome,
    HrEventType,
    LicenseOutcome,
    LicenseResult,
    Next,
    OnboardingRecord,
    OnboardingState,
    waiting,
)
from shared.domain.onboarding_ends import ended
from shared.domain.outcomes import Problem
from shared.domain.plan import UserPlan

CHECK_AGAIN = Backoff(timedelta(seconds=2), timedelta(seconds=60), share=0.5)
"""The pause before licenses that are being written are read again."""

GIVEN_UP_AFTER = timedelta(hours=1)
"""Work on a person that has not ended by then is shown as an error. It continues automatically all the same."""

LONGEST_BACKLOG = timedelta(minutes=2)
"""Work that waits for the write quota is not read before its turn can have come, but at least this often."""

SHOWN_WITHIN = timedelta(minutes=10)
"""How long a membership that was removed may still show; Graph states no figure."""

LEAVING = "Still given by another group, a grant, or a person's decision; see the user's page."


@dataclass(frozen=True, slots=True)
class View:
    """A person as all that is known now says."""

    user: DirectoryUser
    row: LedgerRow
    grants: tuple[Grant, ...]
    plan: UserPlan
    now: datetime


def progress(record: OnboardingRecord, view: View, backlog: timedelta) -> Next:
    """The progress of the licenses, and the end of an event that waits for nothing more. `backlog`: of the write quota;
    nothing is read again before it has ended."""
    leaving, now = record.event.type is HrEventType.LEAVER, view.now
    record = replace(record, licenses=leaver_licenses(record, view) if leaving else joiner_licenses(view))
    if any(each.outcome is LicenseOutcome.PENDING for each in record.licenses):
        if now - (record.working_since or now) < GIVEN_UP_AFTER:
            return later(record, now, backlog, record.note)
        record = replace(record, licenses=tuple(_overdue(each) for each in record.licenses))
    rejected = record.location_rejected
    end = ends.finished(_shortcomings(record), record.matched_by, rejected.remedy if rejected else "")
    return Next(ended(record, end, now))


def later(record: OnboardingRecord, now: datetime, backlog: timedelta, note: str) -> Next:
    """Look again, later the longer it lasts."""
    since = record.working_since or now
    pause = max(CHECK_AGAIN.after(now - since), min(backlog, LONGEST_BACKLOG))
    return Next(waiting(record, OnboardingState.WORKING, now, now + pause, note))


def joiner_licenses(view: View) -> tuple[LicenseResult, ...]:
    """Each license that groups and HR give the person."""
    given = (
        grant for grant in view.grants if grant.source.kind in (SourceKind.GROUP, SourceKind.JOINED, SourceKind.HR)
    )
    wanted = desired_licenses(given, view.now)
    return tuple(_wanted(sku_id, view) for sku_id in sorted(wanted) if wanted[sku_id].adds)


def _wanted(sku_id: SkuId, view: View) -> LicenseResult:
    problem = next((p for p in view.plan.problems if p.sku_id in (sku_id, None)), None)
    has_it = sku_id in view.user.assigned_skus or sku_id in view.row.managed
    if problem is not None and (problem.sku_id == sku_id or not has_it):
        return _problem(sku_id, problem, LicenseOutcome.ERROR)
    if has_it:
        return LicenseResult(sku_id, LicenseOutcome.ASSIGNED)
    if sku_id in view.plan.waiting:
        return _problem(sku_id, no_seat_problem(sku_id), LicenseOutcome.WAITING)
    return LicenseResult(sku_id, LicenseOutcome.PENDING)


def leaver_licenses(record: OnboardingRecord, view: View) -> tuple[LicenseResult, ...]:
    """The licenses that were ours when the leaving began, and what the person still has from elsewhere."""
    managed = {each.sku_id for each in record.licenses if each.outcome is not LicenseOutcome.KEPT}
    desired = desired_licenses((grant for grant in view.grants if grant.source.kind is not SourceKind.HELD), view.now)
    results = []
    for sku_id in sorted(managed if record.one_of_several else managed | view.row.managed.keys()):
        if sku_id in view.row.managed and sku_id in desired and _is_settled(record, view.now):
            results.append(LicenseResult(sku_id, LicenseOutcome.KEPT, _why_kept(desired[sku_id].sources), LEAVING))
        elif sku_id in view.row.managed or _goes_with_its_group(sku_id, record, view):
            results.append(LicenseResult(sku_id, LicenseOutcome.PENDING))
        elif sku_id in view.user.assigned_skus:
            results.append(_of_somebody_else(sku_id, view.user))
        else:
            results.append(LicenseResult(sku_id, LicenseOutcome.REMOVED))
    elsewhere = view.user.assigned_skus - managed - view.row.managed.keys()
    for sku_id in () if record.one_of_several else sorted(elsewhere):
        results.append(_of_somebody_else(sku_id, view.user))
    return tuple(results)


def _goes_with_its_group(sku_id: SkuId, record: OnboardingRecord, view: View) -> bool:
    """Whether native licensing gives it by groups that were left, which may show for a while yet."""
    left = {each.group_id for each in record.groups if each.outcome is GroupOutcome.REMOVED}
    by = {row.assigned_by_group for row in view.user.inherited.get(sku_id, ())}
    return bool(by) and by <= left and sku_id not in view.user.direct and not _is_settled(record, view.now)


def _is_settled(record: OnboardingRecord, now: datetime) -> bool:
    """Whether the memberships that were removed must be seen by now: until then they are waited for."""
    removed = any(each.outcome is GroupOutcome.REMOVED for each in record.groups)
    since = record.working_since
    return not removed or (since is not None and now - since > SHOWN_WITHIN)


def _why_kept(sources: Sequence[object]) -> str:
    return f"Still given by {', '.join(map(str, sources))}."


def _of_somebody_else(sku_id: SkuId, user: DirectoryUser) -> LicenseResult:
    groups = [row.assigned_by_group for row in user.inherited.get(sku_id, ()) if row.assigned_by_group]
    if sku_id in user.direct:
        return LicenseResult(
            sku_id,
            LicenseOutcome.KEPT,
            "Assigned outside this app, which never removes it.",
            "Remove it where it was given, or in the Microsoft 365 admin center.",
        )
    return LicenseResult(
        sku_id,
        LicenseOutcome.KEPT,
        f"Inherited from group {', '.join(groups)} by native group-based licensing.",
        "Take the person out of that group.",
    )


def _problem(sku_id: SkuId, problem: Problem, outcome: LicenseOutcome) -> LicenseResult:
    return LicenseResult(sku_id, outcome, problem.text, problem.remedy)


def _overdue(result: LicenseResult) -> LicenseResult:
    if result.outcome is not LicenseOutcome.PENDING:
        return result
    text = f"Not settled after {GIVEN_UP_AFTER}; the work goes on."
    return replace(
        result, outcome=LicenseOutcome.ERROR, text=text, remedy="See the user's page, then reprocess the user."
    )


def _shortcomings(record: OnboardingRecord) -> list[str]:
    """Differences from the request of the event, in words."""
    wrong = {
        LicenseOutcome.ERROR: "in error",
        LicenseOutcome.WAITING: "waiting for a seat",
        LicenseOutcome.KEPT: "kept",
    }
    notes = []
    for outcome, word in wrong.items():
        count = sum(each.outcome is outcome for each in record.licenses)
        if count:
            notes.append(f"{count} {'license' if count == 1 else 'licenses'} {word}.")
    blocked = sum(bool(each.remedy) and each.outcome is not GroupOutcome.NOT_A_MEMBER for each in record.groups)
    if blocked:
        notes.append(f"{blocked} {'membership' if blocked == 1 else 'memberships'} could not be changed.")
    if record.location_rejected:
        notes.append(record.location_rejected.text)
    return notes
