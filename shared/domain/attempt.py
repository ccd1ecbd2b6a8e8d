"""The calls of one user and what each answer of Graph makes of them: an answer and a state give the next state.

A rejected SKU does not block the others: the call is sent again without it, and without any removal that it would
have replaced. If it is not clear which SKU was rejected, each addition is sent alone, once. `Attempted` holds the calls
still to send, the proven results and the errors.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import assert_never

from shared.domain import denials, ledger
from shared.domain.audit import license_change
from shared.domain.backoff import Backoff
from shared.domain.directory import LicenseError
from shared.domain.grant import SourceKind
from shared.domain.graph_errors import Advice, Rejection, classify, remedy_for
from shared.domain.ledger_row import LedgerRow
from shared.domain.outcomes import RetryAt
from shared.domain.plan import plan_user
from shared.domain.reconciliation import Attempted, Planned, Work
from shared.domain.rejected_calls import (
    first_calls,
    isolated,
    plan_of,
    rejected_before,
    to_send,
    unclear_ones,
    user_of,
    with_problem,
    without_done_removals,
    without_rejected_plans,
)
from shared.domain.rejections import fingerprint_of
from shared.domain.retry import MAX_ATTEMPTS
from shared.domain.write_results import (
    Accepted,
    Contended,
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
        calls=first_calls(planned, plan) if writes and plan is not None else (),
        location=plan.usage_location if writes and plan is not None else None,
        audit=planned.audit,
        rejected_plans=rejected_before(planned.row, plan) if writes and plan is not None else {},
    )


def postponed(attempted: Attempted, at: datetime, why: str) -> Attempted:
    """The user without a further call now; no attempt is counted."""
    return replace(attempted, retry=RetryAt(at, why))


def intended(attempted: Attempted, cause: str, now: datetime) -> LedgerRow:
    """The ledger row with the intent of the next call."""
    plan, user = plan_of(attempted), user_of(attempted)
    call = attempted.calls[0]
    sent = {each.sku_id: each.disabled_plans for each in to_send(attempted).add}
    left_out = {each.sku_id: gone for each in call.add if (gone := each.disabled_plans - sent[each.sku_id])}
    intent = ledger.new_intent(
        user, cause, call.add, call.remove, attempted.location, plan.sources, now, plan.unmanaged, left_out
    )
    return replace(attempted.row, intent=intent)


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
            user = replace(user_of(attempted), usage_location=attempted.location)
            return replace(attempted, user=user, location=None)
        case Rejected(status=status, message=message) if denials.is_denial(status) and _is_before(now, grant_until):
            attempted = _waiting_for_grant(work, attempted, f"The usage location could not be set: {message}", now)
        case Rejected(status=status, code=code, message=message):
            # 403 here is the app's permission to write users, whatever the text says.
            error = LicenseError.PERMISSION if status == 403 else classify(status, code, message).error
            failed = with_problem(
                attempted, error, f"The usage location could not be set: {message}", remedy_for(error)
            )
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
                user=as_left_by(user_of(attempted), attempted.calls[0], now),
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
            return replace(with_problem(attempted, rejection.error, rejection.text, rejection.remedy), calls=())
        case Advice.WAIT_FOR_GRANT:
            return replace(with_problem(attempted, rejection.error, rejection.text, rejection.remedy), calls=())
        case Advice.TREAT_AS_DONE if attempted.calls[0].remove:
            return without_done_removals(attempted, rejection, now)
        case Advice.TREAT_AS_DONE | Advice.DROP_SKU | Advice.WAIT_FOR_SEAT:
            return without_rejected_plans(attempted, rejection, now) or isolated(attempted, rejection, now)
        case _:
            assert_never(rejection.advice)


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


def ended(attempted: Attempted, now: datetime) -> Attempted:
    """The user after the last call of this message. The next message makes the remaining calls. Rejections are stored
    with the work that is planned for then."""
    planned, user = attempted.planned, attempted.user
    if attempted.is_active:
        why = "more calls than one message can make"
        attempted = replace(attempted, retry=RetryAt(now + CONFLICT_RETRY, why, rejected=True))
    unclear = unclear_ones(attempted)
    if not attempted.rejections or planned.context is None or user is None:
        return replace(attempted, rejections=unclear) if unclear else attempted
    if attempted.retry is None and _makes_way(attempted):
        why = "the license in grace makes way for the one that Graph rejected because of it"
        attempted = replace(attempted, retry=RetryAt(now + CONFLICT_RETRY, why, rejected=True))
    expected = plan_user(user, planned.grants, attempted.row, replace(planned.context, ignore_rejections=True))
    catalog = planned.context.catalog
    rejections = {
        sku_id: replace(record, fingerprint=fingerprint_of(sku_id, record, user, expected.wished, catalog))
        for sku_id, record in attempted.rejections.items()
    }
    return replace(attempted, rejections={**unclear, **rejections})


def _makes_way(attempted: Attempted) -> bool:
    """Whether a license in grace was found to be in the way: the next plan swaps it."""
    graces = {grant.sku_id for grant in attempted.planned.grants if grant.source.kind is SourceKind.GRACE}
    new = {grant.sku_id for grant in plan_of(attempted).new_grants if grant.source.kind is SourceKind.GRACE}
    return any(sku_id in graces | new for pair in attempted.conflicts for sku_id in pair)
