"""The calls of one user and what each answer of Graph makes of them: an answer and a state give the next state.

A rejected SKU does not block the others: the call is sent again without it, and without any removal that it would
have replaced. If it is not clear which SKU was rejected, each addition is sent alone, once. `Attempted` holds the calls
still to send, the proven results and the errors.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import assert_never

from shared.domain import denials, ledger
from shared.domain.audit import license_change
from shared.domain.backoff import Backoff
from shared.domain.catalog import Catalog
from shared.domain.directory import AssignedLicense, DirectoryUser, LicenseError
from shared.domain.dropped_skus import one_by_one, skus_to_drop, without
from shared.domain.grant import SourceKind
from shared.domain.graph_errors import Advice, Rejection, classify, remedy_for
from shared.domain.ids import NO_PLANS, Plans, SkuId
from shared.domain.ledger_row import LedgerRow, RejectionRecord
from shared.domain.outcomes import Problem, RetryAt
from shared.domain.plan import UserPlan, plan_user
from shared.domain.product_facts import ObservedConflict, Pair
from shared.domain.reconciliation import Attempted, Planned, Work
from shared.domain.rejections import fingerprint_of
from shared.domain.retry import MAX_ATTEMPTS
from shared.domain.write_results import (
    Accepted,
    Contended,
    LicenseCall,
    Rejected,
    Throttled,
    Unanswered,
    Unsent,
    WriteResult,
    as_left_by,
)

LOCATION_RETRY = timedelta(seconds=30)
THROTTLED = "Graph throttles writes"
UNSENT = "no connection to Graph could be opened"
UNANSWERED_RETRY = timedelta(seconds=15)
CONTENTION_RETRY = Backoff(timedelta(seconds=5), timedelta(minutes=1), share=0.1)
CONFLICT_RETRY = timedelta(seconds=10)


def begin(work: Work, planned: Planned) -> Attempted:
    """A user before the first call; without calls if there is nothing to write, or the operation was cancelled."""
    plan, read = planned.plan, planned.read
    writes = planned.result is None and plan is not None and plan.writes and not work.is_cancelled
    return Attempted(
        planned,
        user=read.user,
        row=planned.row,
        stored=read.stored,
        wrote=read.wrote,
        calls=(LicenseCall(plan.add, plan.remove),) if writes and plan is not None else (),
        location=plan.usage_location if writes and plan is not None else None,
        audit=planned.audit,
    )


def postponed(attempted: Attempted, at: datetime, why: str) -> Attempted:
    """The user without a further call now; no attempt is counted."""
    return replace(attempted, retry=RetryAt(at, why))


def intended(attempted: Attempted, cause: str, now: datetime) -> LedgerRow:
    """The ledger row with the intent of the next call."""
    plan, user = _plan(attempted), _user(attempted)
    call = attempted.calls[0]
    sent = {each.sku_id: each.disabled_plans for each in to_send(attempted).add}
    left_out = {each.sku_id: gone for each in call.add if (gone := each.disabled_plans - sent[each.sku_id])}
    intent = ledger.new_intent(
        user, cause, call.add, call.remove, attempted.location, plan.sources, now, plan.unmanaged, left_out
    )
    return replace(attempted.row, intent=intent)


def to_send(attempted: Attempted) -> LicenseCall:
    """The next call as it is sent: without plans that have left their product. The intent keeps them, so that a plan
    that comes back is off again."""
    catalog, call = _catalog(attempted), attempted.calls[0]
    add = []
    for each in call.add:
        gone = catalog.retired(each.sku_id) | attempted.rejected_plans.get(each.sku_id, NO_PLANS)
        add.append(AssignedLicense(each.sku_id, each.disabled_plans - gone) if each.disabled_plans & gone else each)
    return LicenseCall(tuple(add), call.remove)


def with_stored(attempted: Attempted, row: LedgerRow) -> Attempted:
    """The user after the ledger row was written."""
    return replace(attempted, row=row, stored=row)


def location_answered(
    work: Work,
    attempted: Attempted,
    answer: WriteResult,
    now: datetime,
    grant_until: datetime | None = None,
    *,
    alone: bool = False,
) -> Attempted:
    """After the usage location was sent: a user whose location could not be set gets no license call. `grant_until`:
    until then a missing permission is waited for."""
    match answer:
        case Accepted():
            user = replace(_user(attempted), usage_location=attempted.location)
            return replace(attempted, user=user, location=None)
        case Rejected(status=status, message=message) if denials.is_denial(status) and _is_before(now, grant_until):
            attempted = _waiting_for_grant(work, attempted, f"The usage location could not be set: {message}", now)
        case Rejected(status=status, code=code, message=message):
            # 403 here is the app's permission to write users, whatever the text says.
            error = LicenseError.PERMISSION if status == 403 else classify(status, code, message).error
            failed = _failed(attempted, error, f"The usage location could not be set: {message}", remedy_for(error))
            attempted = replace(failed, calls=())
        case Throttled() | Unsent() | Contended():
            attempted = _not_made(work, attempted, answer, now, alone=alone)
        case Unanswered(why=why):
            attempted = replace(attempted, retry=RetryAt(now + UNANSWERED_RETRY, why, rejected=True))
        case _:
            assert_never(answer)
    return replace(attempted, row=ledger.rejected(attempted.row))


def answered(
    work: Work,
    attempted: Attempted,
    answer: WriteResult,
    now: datetime,
    grant_until: datetime | None = None,
    *,
    alone: bool = False,
) -> Attempted:
    """After the next license call was sent. `grant_until`: until then a missing permission is waited for."""
    row, intent = attempted.row, attempted.row.intent
    match answer:
        case Accepted(between=between):
            audit = (license_change(work.operation, attempted.user_id, intent, "success"),) if intent else ()
            return replace(
                attempted,
                user=as_left_by(_user(attempted), attempted.calls[0], now),
                row=ledger.accepted(row, now, between),
                wrote=True,
                calls=attempted.calls[1:],
                audit=(*attempted.audit, *audit),
            )
        case Rejected(status=status, code=code, message=message, between=between):
            rejection = classify(status, code, message)
            audit = ()
            is_done_already = rejection.advice is Advice.TREAT_AS_DONE and bool(attempted.calls[0].remove)
            if intent is not None and not is_done_already:
                audit = (license_change(work.operation, attempted.user_id, intent, "failure", rejection.text),)
            rejected = replace(attempted, row=ledger.rejected(row, between))
            if rejection.advice is Advice.WAIT_FOR_GRANT and _is_before(now, grant_until):
                return _waiting_for_grant(work, rejected, rejection.text, now)
            return _rejected(work, replace(rejected, audit=(*attempted.audit, *audit)), rejection, now)
        case Throttled() | Unsent():
            return replace(_not_made(work, attempted, answer, now), row=ledger.rejected(row))
        case Contended(between=between):
            settled = ledger.rejected(row, between, perhaps_done=True)
            return replace(_not_made(work, attempted, answer, now, alone=alone), row=settled)
        case Unanswered(why=why):
            # The intent stays: the next read shows whether the write was done.
            return replace(attempted, retry=RetryAt(now + UNANSWERED_RETRY, why, rejected=True))
        case _:
            assert_never(answer)


def _not_made(
    work: Work, attempted: Attempted, answer: Throttled | Unsent | Contended, now: datetime, *, alone: bool = False
) -> Attempted:
    """A write that Graph did not carry out: no attempt is counted. `alone`: only this user is rejected as concurrent,
    which is an error of the user after a day."""
    if isinstance(answer, Contended):
        waited = now - (work.first_sent_at or now)
        wait = max(CONTENTION_RETRY.after(waited), timedelta(seconds=answer.retry_after_s or 0))
        error = LicenseError.CONCURRENCY
        return replace(attempted, retry=RetryAt(now + wait, answer.message, unread=alone, error=error))
    why = THROTTLED if isinstance(answer, Throttled) else UNSENT
    return postponed(attempted, now + timedelta(seconds=answer.retry_after_s), why)


def _is_before(now: datetime, end: datetime | None) -> bool:
    return end is not None and now < end


def _waiting_for_grant(work: Work, attempted: Attempted, text: str, now: datetime) -> Attempted:
    at = denials.retry_at(work.first_sent_at, now)
    why = f"{denials.WAITS_FOR_GRANT}: {text}"
    return replace(attempted, retry=RetryAt(at, why, unread=True, error=LicenseError.PERMISSION))


def _rejected(work: Work, attempted: Attempted, rejection: Rejection, now: datetime) -> Attempted:
    match rejection.advice:
        case Advice.RETRY:
            return replace(attempted, retry=RetryAt(now + CONFLICT_RETRY, rejection.text, rejected=True))
        case Advice.FAIL_USER:
            if _may_be_lag(work, attempted, rejection):
                return replace(attempted, retry=RetryAt(now + LOCATION_RETRY, rejection.text, rejected=True))
            return replace(_failed(attempted, rejection.error, rejection.text, rejection.remedy), calls=())
        case Advice.WAIT_FOR_GRANT:
            return replace(_failed(attempted, rejection.error, rejection.text, rejection.remedy), calls=())
        case Advice.TREAT_AS_DONE if attempted.calls[0].remove:
            return _without_done_removals(attempted)
        case Advice.TREAT_AS_DONE | Advice.DROP_SKU | Advice.WAIT_FOR_SEAT:
            return _without_rejected_plans(attempted, rejection) or _isolated(attempted, rejection, now)
        case _:
            assert_never(rejection.advice)


def _failed(
    attempted: Attempted, error: LicenseError, text: str, remedy: str, sku_id: SkuId | None = None
) -> Attempted:
    return replace(attempted, problems=(*attempted.problems, Problem(error, text, remedy, sku_id)))


def _may_be_lag(work: Work, attempted: Attempted, rejection: Rejection) -> bool:
    """Graph rejects a location for a while after it was set, and a user for a while after creation: bounded retries,
    and then the error that Graph named. A location that was there before us is wrong, not late."""
    attempts = work.attempts.get(attempted.user_id, 0)
    if attempts + 1 >= MAX_ATTEMPTS:
        return False
    user = attempted.planned.read.user
    set_by_us = attempts > 0 or (user is not None and not user.usage_location)
    lagging_location = rejection.error is LicenseError.PROHIBITED_IN_USAGE_LOCATION and set_by_us
    return lagging_location or rejection.error is LicenseError.NOT_FOUND


def _without_done_removals(attempted: Attempted) -> Attempted:
    """A license to remove no longer exists: it is not managed any more, and the rest of the call is sent. Graph's text
    does not name it, so several removals are sent one by one."""
    call, *later = attempted.calls
    if len(call.remove) > 1:
        others = [LicenseCall((), (sku_id,)) for sku_id in call.remove[1:]]
        return replace(attempted, calls=(LicenseCall(call.add, call.remove[:1]), *others, *later))
    managed = {sku_id: kept for sku_id, kept in attempted.row.managed.items() if sku_id not in call.remove}
    return replace(
        attempted, row=replace(attempted.row, managed=managed), calls=_to_send(LicenseCall(call.add, ()), *later)
    )


def _without_rejected_plans(attempted: Attempted, rejection: Rejection) -> Attempted | None:
    """The same call without disabled plans that Graph rejected as not part of their product; None for other reasons.

    The text is not published (MicrosoftDocs/azure-docs 81269 reports "plan does not belong to the subscription").
    It is therefore recognized by the disabled plan that it names. If it names none, disabled plans that the product
    does not list are left out. The result is also None if several products of the call have such a plan and the text
    names none of them. Leaving the plan out of the wrong product would turn on a plan that must be off.
    """
    if rejection.error is not LicenseError.OTHER or rejection.sku_ids or rejection.plan_ids:
        return None
    catalog, known = _catalog(attempted), attempted.rejected_plans
    found = {}
    for license in to_send(attempted).add:
        named = frozenset(plan for plan in license.disabled_plans if rejection.names(plan))
        if gone := named or license.disabled_plans - catalog.plans(license.sku_id):
            found[license.sku_id] = gone
    meant = _meant_by(rejection, found, catalog)
    rejected = {sku_id: found[sku_id] | known.get(sku_id, NO_PLANS) for sku_id in meant}
    return replace(attempted, rejected_plans={**known, **rejected}) if rejected else None


def _meant_by(rejection: Rejection, found: Mapping[SkuId, Plans], catalog: Catalog) -> Collection[SkuId]:
    """Of products with disabled plans that a text may mean: the only one, the one that the text names, or else those
    that do not list the plan."""
    named = [sku_id for sku_id in found if rejection.names(sku_id) or rejection.names(catalog.name(sku_id))]
    if len(found) == 1 or len(named) == 1:
        return named or found
    return [sku_id for sku_id, plans in found.items() if plans - catalog.plans(sku_id)]


def _isolated(attempted: Attempted, rejection: Rejection, now: datetime) -> Attempted:
    """Leave out the SKU that was rejected. If the text fits none or several, each SKU goes alone, an addition with the
    removals that it replaces. A call that cannot be cut further loses its addition."""
    plan, catalog = _plan(attempted), _catalog(attempted)
    call, *later = attempted.calls
    alone = one_by_one(call, catalog, plan.plans_off)
    named = skus_to_drop(rejection, call, _user(attempted), catalog)
    if not named and len(alone) == 1:
        # Nothing is left to cut: what is added was rejected, or the one removal.
        named = tuple([*(license.sku_id for license in call.add), *call.remove][:1])
    if not named:
        # Each product alone: a rejection then names its product, and the other products are assigned.
        return replace(attempted, calls=(*alone, *later))
    add, remove = call.add, call.remove
    for sku_id in named:
        attempted = _with_rejection(attempted, sku_id, rejection, now)
        add, remove = without(add, remove, sku_id, catalog, plan.plans_off)
        # The license that the product was to replace must stay, or the user would have neither.
        later = _trimmed(attempted, later, sku_id)
    return replace(attempted, calls=_to_send(LicenseCall(add, remove), *later))


def _with_rejection(attempted: Attempted, sku_id: SkuId, rejection: Rejection, now: datetime) -> Attempted:
    if rejection.advice is Advice.WAIT_FOR_SEAT:
        return replace(attempted, waiting=(*attempted.waiting, sku_id))
    named = frozenset((*rejection.plan_ids, *rejection.needed_ids))
    record = RejectionRecord("", rejection.error, rejection.text, now, named)
    failed = _failed(attempted, rejection.error, rejection.text, rejection.remedy, sku_id)
    return replace(
        failed,
        rejections={**attempted.rejections, sku_id: record},
        conflicts={**attempted.conflicts, **_conflicts(attempted, sku_id, record)},
    )


def _conflicts(attempted: Attempted, sku_id: SkuId, record: RejectionRecord) -> dict[Pair, ObservedConflict]:
    """The licenses of the user because of which Graph rejected an addition: those that have one of the named plans on
    while the addition turns on another."""
    added = [license for license in attempted.calls[0].add if license.sku_id == sku_id]
    if record.error is not LicenseError.MUTUALLY_EXCLUSIVE or not added:
        return {}
    catalog, removed = _catalog(attempted), attempted.calls[0].remove
    found = {}
    for row in _user(attempted).license_assignment_states:
        if not row.state.counts or row.sku_id == sku_id or (row.assigned_by_group is None and row.sku_id in removed):
            continue
        pair = Pair.of(sku_id, row.sku_id)
        conflict = ObservedConflict(pair, record.plans, record.text, record.at)
        if conflict.is_between(catalog.on(added[0]), catalog.plans(row.sku_id) - row.disabled_plans):
            found[pair] = conflict
    return found


def _trimmed(attempted: Attempted, calls: Iterable[LicenseCall], dropped: SkuId) -> list[LicenseCall]:
    """The calls still waiting, without removals and plans turned off that a dropped addition was to replace."""
    catalog, off = _catalog(attempted), _plan(attempted).plans_off
    replaced = {sku_id for sku_id in off if catalog.brings(dropped, off[sku_id])}
    return list(
        _to_send(
            *(
                LicenseCall(
                    tuple(license for license in call.add if license.sku_id not in replaced),
                    tuple(sku_id for sku_id in call.remove if not catalog.replaces(dropped, sku_id)),
                )
                for call in calls
            )
        )
    )


def _to_send(*calls: LicenseCall) -> tuple[LicenseCall, ...]:
    return tuple(call for call in calls if call.add or call.remove)


def ended(attempted: Attempted, now: datetime) -> Attempted:
    """The user after the last call of this message. The next message makes the remaining calls. Rejections are stored
    with the work that is planned for then."""
    planned, user = attempted.planned, attempted.user
    if attempted.is_active:
        why = "more calls than one message can make"
        attempted = replace(attempted, retry=RetryAt(now + CONFLICT_RETRY, why, rejected=True))
    if not attempted.rejections or planned.context is None or user is None:
        return attempted
    if attempted.retry is None and _makes_way(attempted):
        why = "the license in grace makes way for the one that Graph rejected because of it"
        attempted = replace(attempted, retry=RetryAt(now + CONFLICT_RETRY, why, rejected=True))
    expected = plan_user(user, planned.grants, attempted.row, replace(planned.context, ignore_rejections=True))
    catalog = planned.context.catalog
    rejections = {
        sku_id: replace(record, fingerprint=fingerprint_of(sku_id, record, user, expected.wished, catalog))
        for sku_id, record in attempted.rejections.items()
    }
    return replace(attempted, rejections=rejections)


def _makes_way(attempted: Attempted) -> bool:
    """Whether a license in grace was found to be in the way: the next plan swaps it."""
    graces = {grant.sku_id for grant in attempted.planned.grants if grant.source.kind is SourceKind.GRACE}
    new = {grant.sku_id for grant in _plan(attempted).new_grants if grant.source.kind is SourceKind.GRACE}
    return any(sku_id in graces | new for pair in attempted.conflicts for sku_id in pair)


def _plan(attempted: Attempted) -> UserPlan:
    if attempted.plan is None:
        raise ValueError(f"user {attempted.user_id} has no plan to apply")
    return attempted.plan


def _user(attempted: Attempted) -> DirectoryUser:
    if attempted.user is None:
        raise ValueError(f"user {attempted.user_id} was not read")
    return attempted.user


def _catalog(attempted: Attempted) -> Catalog:
    """The products the user was planned with."""
    if attempted.planned.context is None:
        raise ValueError(f"user {attempted.user_id} was not planned")
    return attempted.planned.context.catalog
