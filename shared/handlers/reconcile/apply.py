"""Apply: charge the budget, write the intents, send usage locations and then licenses, read the answers.

One refused SKU does not block the others: the user's call goes out again without it, and without any removal it was to
replace, within a bounded number of rounds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import assert_never

from shared.domain import ledger
from shared.domain.audit import license_change
from shared.domain.directory import AssignedLicense, DirectoryUser, LicenseAssignmentState, LicenseError
from shared.domain.graph_errors import Advice, Refusal, classify, remedy_for, skus_to_drop, without
from shared.domain.ids import SkuId
from shared.domain.ledger_row import LedgerRow, RefusalRecord
from shared.domain.outcomes import Applied, Result, RetryAt
from shared.domain.plan import UserPlan, plan_user
from shared.handlers.reconcile.read import is_open, result_of
from shared.handlers.reconcile.retry import MAX_ATTEMPTS
from shared.handlers.reconcile.state import Case, Work
from shared.handlers.reconcile.write_limiter import Pacer, Prepaid
from shared.ports.graph_writes import Accepted, LicenseCall, Rejected, Throttled, Unanswered, WriteResult
from shared.ports.world import World

MAX_ROUNDS = 12
"""Calls one user may take in one look: a refused call, then each SKU alone; users have few SKUs of ours."""

TIME_LIMIT = timedelta(minutes=2)
"""A chunk gives back what it has not reached by then: well inside the ten minutes that a function may take."""

RACE_RETRY = timedelta(seconds=5)
LOCATION_RETRY = timedelta(seconds=30)
UNANSWERED_RETRY = timedelta(seconds=15)
CONFLICT_RETRY = timedelta(seconds=10)


@dataclass(slots=True)
class _Try:
    """A user's calls still to be made, first one next."""

    case: Case
    plan: UserPlan
    user: DirectoryUser
    calls: deque[LicenseCall] = field(default_factory=deque)
    location: str | None = None

    @property
    def active(self) -> bool:
        return self.case.result is None and bool(self.calls)


async def apply(world: World, work: Work, pacer: Pacer, prepaid: Prepaid, cases: Sequence[Case]) -> bool:
    """Carry out the plans of the cases; each ends with a result. Returns False when the whole operation must stop:
    the app lacks a permission or a license is not the tenant's."""
    tries = [_begin(case) for case in cases if is_open(case)]
    going_on = True
    for _ in range(MAX_ROUNDS):
        active = [each for each in tries if each.active]
        if not active or not going_on:
            break
        if world.clock.now() > work.began + TIME_LIMIT:
            _give_back(active, world.clock.now(), "the time of this chunk was used up")
            break
        going_on = await _round(world, work, pacer, prepaid, active)
    for each in tries:
        _end(world, each)
    return going_on


def _begin(case: Case) -> _Try:
    plan, user = case.plan, case.user
    if plan is None or user is None:
        raise ValueError(f"user {case.user_id} has no plan to apply")
    return _Try(case, plan, user, deque([LicenseCall(plan.add, plan.remove)]), plan.usage_location)


def _give_back(tries: Iterable[_Try], at: datetime, why: str) -> None:
    for each in tries:
        each.case.result = RetryAt(at, why)


async def _round(world: World, work: Work, pacer: Pacer, prepaid: Prepaid, active: list[_Try]) -> bool:
    """One call per user. Returns whether to go on."""
    writes = len(active) + sum(each.location is not None for each in active)
    slot = await prepaid.start(urgent=work.urgent, writes=writes)
    # Further rounds are after refusals, which planning does not expect.
    await prepaid.give_back()
    now = world.clock.now()
    if not slot.charged:
        _give_back(active, datetime.fromtimestamp(slot.start, tz=now.tzinfo), "the write quota is used; comes back")
        return True
    await world.clock.sleep(max(0.0, slot.start - now.timestamp()))
    await _write_intents(world, work, active)
    lost = [each for each in active if not each.active]
    await pacer.give_back(slot, len(lost) + sum(each.location is not None for each in lost))
    await _set_locations(world, work, pacer, [each for each in active if each.active and each.location])
    calling = [each for each in active if each.active]
    if not calling:
        return True
    answers = await world.licenses.assign({each.case.user_id: each.calls[0] for each in calling}, urgent=work.urgent)
    stopping = [each for each in calling if not _take_answer(world, work, each, answers[each.case.user_id])]
    await _freeze(pacer, answers.values())
    await _record_proof(world, calling)
    return not _concerns_all(stopping, calling)


def _concerns_all(stopping: Sequence[_Try], calling: Sequence[_Try]) -> bool:
    """Whether everybody would be refused: the product is not the tenant's, or the app may write to none of several
    users. One alone may be protected from it
    (learn.microsoft.com/entra/identity/role-based-access-control/admin-units-restricted-management)."""
    denied = [each for each in stopping if each.case.problems[-1].error is LicenseError.PERMISSION]
    return len(denied) < len(stopping) or 1 < len(denied) == len(calling)


async def _write_intents(world: World, work: Work, active: Sequence[_Try]) -> None:
    """The intent goes to the ledger before the call; who loses the race for the row goes back."""
    now = world.clock.now()
    rows: list[LedgerRow] = []
    for each in active:
        call = each.calls[0]
        plan = each.plan
        intent = ledger.new_intent(
            each.user, work.cause, call.add, call.remove, each.location, plan.sources, now, plan.foreign
        )
        rows.append(replace(each.case.row, intent=intent))
    written = await world.stores.ledger.write(rows)
    for each in active:
        result = written[each.case.user_id]
        if result.lost:
            each.case.result = RetryAt(now + RACE_RETRY, "another write to this user was quicker")
        else:
            each.case.row = result.row


async def _set_locations(world: World, work: Work, pacer: Pacer, tries: Sequence[_Try]) -> None:
    """Set missing usage locations; a user whose location could not be set gets no license call."""
    if not tries:
        return
    locations = {each.case.user_id: each.location or "" for each in tries}
    answers = await world.licenses.set_usage_locations(locations, urgent=work.urgent)
    now = world.clock.now()
    for each in tries:
        match answers[each.case.user_id]:
            case Accepted():
                each.user = replace(each.user, usage_location=each.location)
                each.location = None
                continue
            case Rejected(status=status, code=code, message=message):
                refusal = classify(status, code, message)
                error = LicenseError.PERMISSION if status == 403 else refusal.error
                each.case.fail(error, f"The usage location could not be set: {message}", remedy_for(error))
                each.calls.clear()
            case Throttled(retry_after_s=seconds):
                each.case.result = RetryAt(now + timedelta(seconds=seconds), "Graph throttles writes")
            case Unanswered(why=why):
                each.case.result = RetryAt(now + UNANSWERED_RETRY, why, refused=True)
        each.case.row = ledger.refused(each.case.row)
    await _freeze(pacer, answers.values())
    await _record_proof(world, [each for each in tries if each.location is not None])


def _take_answer(world: World, work: Work, each: _Try, answer: WriteResult) -> bool:
    """Fold one answer into the case. Returns False when it may be everybody's, so that the operation must stop."""
    case, now = each.case, world.clock.now()
    match answer:
        case Accepted():
            call = each.calls.popleft()
            if case.row.intent is not None:
                case.audit.append(license_change(work.operation, case.user_id, case.row.intent, "success"))
            case.row = ledger.accepted(case.row, now)
            case.wrote = True
            each.user = _after(each.user, call, now)
        case Rejected(status=status, code=code, message=message):
            refusal = classify(status, code, message)
            if case.row.intent is not None and refusal.advice is not Advice.TREAT_AS_DONE:
                case.audit.append(
                    license_change(work.operation, case.user_id, case.row.intent, "failure", refusal.text)
                )
            case.row = ledger.refused(case.row)
            return _take_refusal(work, each, refusal, now)
        case Throttled(retry_after_s=seconds):
            case.row = ledger.refused(case.row)
            case.result = RetryAt(now + timedelta(seconds=seconds), "Graph throttles writes")
        case Unanswered(why=why):
            case.result = RetryAt(now + UNANSWERED_RETRY, why, refused=True)
        case _:
            assert_never(answer)
    return True


def _take_refusal(work: Work, each: _Try, refusal: Refusal, now: datetime) -> bool:
    case, call = each.case, each.calls[0]
    match refusal.advice:
        case Advice.RETRY:
            wait = timedelta(seconds=refusal.retry_after_s) if refusal.retry_after_s else CONFLICT_RETRY
            case.result = RetryAt(now + wait, refusal.text, refused=True)
        case Advice.FAIL_USER:
            if _may_be_lag(work, refusal, each.case):
                case.result = RetryAt(now + LOCATION_RETRY, refusal.text, refused=True)
            else:
                case.fail(refusal.error, refusal.text, refusal.remedy)
                each.calls.clear()
        case Advice.STOP_OPERATION:
            case.fail(refusal.error, refusal.text, refusal.remedy, *refusal.sku_ids[:1])
            each.calls.clear()
            return False
        case Advice.TREAT_AS_DONE:
            _forget_removals(each, call, refusal)
        case Advice.DROP_SKU | Advice.WAIT_FOR_SEAT:
            _isolate(each, call, refusal, now)
        case _:
            assert_never(refusal.advice)
    return True


def _may_be_lag(work: Work, refusal: Refusal, case: Case) -> bool:
    """Graph refuses a location for a while after it was set, and a user for a while after creation: bounded retries,
    and then the error that Graph named. A location that was there before us is wrong, not late."""
    attempts = work.attempts.get(case.user_id, 0)
    if attempts + 1 >= MAX_ATTEMPTS:
        return False
    set_by_us = attempts > 0 or (case.user is not None and not case.user.usage_location)
    lagging_location = refusal.error is LicenseError.PROHIBITED_IN_USAGE_LOCATION and set_by_us
    return lagging_location or refusal.error is LicenseError.NOT_FOUND


def _forget_removals(each: _Try, call: LicenseCall, refusal: Refusal) -> None:
    """What was to be removed is not there any more: it is not ours, and the rest of the call goes on. Where the text
    does not say which of several it is, they go one by one."""
    named = [sku_id for sku_id in call.remove if sku_id in refusal.sku_ids]
    each.calls.popleft()
    if not named and len(call.remove) > 1:
        one_by_one = [LicenseCall((), (sku_id,)) for sku_id in call.remove[1:]]
        each.calls.extendleft(reversed([LicenseCall(call.add, call.remove[:1]), *one_by_one]))
        return
    gone = named or call.remove
    each.case.row = replace(
        each.case.row, owned={sku_id: kept for sku_id, kept in each.case.row.owned.items() if sku_id not in gone}
    )
    rest = tuple(sku_id for sku_id in call.remove if sku_id not in gone)
    if call.add or rest:
        each.calls.appendleft(LicenseCall(call.add, rest))


def _isolate(each: _Try, call: LicenseCall, refusal: Refusal, now: datetime) -> None:
    """Leave out the SKU that was refused; where the text names none, each SKU goes alone, an addition with what it
    replaces; of a call that cannot be cut further the addition is left out."""
    catalog = each.case.catalog()
    alone = _alone(call, each)
    parts = [*(license.sku_id for license in call.add), *call.remove]
    named = skus_to_drop(refusal, call.add, call.remove, catalog) or (tuple(parts[:1]) if len(alone) == 1 else ())
    each.calls.popleft()
    if not named:
        each.calls.extendleft(reversed(alone))
        return
    add, remove = call.add, call.remove
    for sku_id in named:
        add, remove = without(add, remove, sku_id, catalog, each.plan.plans_off)
        _note_refused(each, sku_id, refusal, now)
        each.calls = deque(_trimmed(each.calls, sku_id, each))
    if add or remove:
        each.calls.appendleft(LicenseCall(add, remove))


def _note_refused(each: _Try, sku_id: SkuId, refusal: Refusal, now: datetime) -> None:
    if refusal.advice is Advice.WAIT_FOR_SEAT:
        each.case.waiting.append(sku_id)
        return
    each.case.fail(refusal.error, refusal.text, refusal.remedy, sku_id)
    each.case.refusals[sku_id] = RefusalRecord("", refusal.error, refusal.text, now)


def _alone(call: LicenseCall, each: _Try) -> list[LicenseCall]:
    """The call cut into single SKUs, so ordered that nothing goes before what replaces it: a removal with the last
    addition that overlaps it, licenses in which plans are turned off last."""
    catalog = each.case.catalog()
    adding = sorted(call.add, key=lambda license: license.sku_id in each.plan.plans_off)
    removals: dict[SkuId, list[SkuId]] = {license.sku_id: [] for license in adding}
    free: list[SkuId] = []
    for sku_id in call.remove:
        successors = [license.sku_id for license in adding if catalog.overlaps(license.sku_id, sku_id)]
        (removals[successors[-1]] if successors else free).append(sku_id)
    singles = [LicenseCall((license,), tuple(removals[license.sku_id])) for license in adding]
    return singles + [LicenseCall((), (sku_id,)) for sku_id in free]


def _trimmed(calls: Iterable[LicenseCall], dropped: SkuId, each: _Try) -> list[LicenseCall]:
    """The calls still waiting, without removals and plans turned off that a dropped addition was to replace."""
    catalog = each.case.catalog()
    off = each.plan.plans_off
    replaced = {sku_id for sku_id in off if catalog.touches(off[sku_id], catalog.plans(dropped))}
    trimmed = [
        LicenseCall(
            tuple(license for license in call.add if license.sku_id not in replaced),
            tuple(sku_id for sku_id in call.remove if not catalog.overlaps(dropped, sku_id)),
        )
        for call in calls
    ]
    return [call for call in trimmed if call.add or call.remove]


async def _freeze(pacer: Pacer, answers: Iterable[WriteResult]) -> None:
    """After a 429 for writes nothing starts before the longest Retry-After of the batch."""
    waits = [a.retry_after_s for a in answers if isinstance(a, Throttled) and "Read/" not in a.scope]
    if waits:
        await pacer.freeze(max(waits))


async def _record_proof(world: World, tries: Sequence[_Try]) -> None:
    """Audit first, then the ledger: a crash between them leaves an intent, whose resolution writes the audit again."""
    entries = [entry for each in tries for entry in each.case.audit]
    if entries:
        await world.stores.audit.append(entries)
    for each in tries:
        each.case.audit.clear()
    settled = [each.case.row for each in tries if each.case.row.intent is None]
    if not settled:
        return
    written = await world.stores.ledger.write(settled)
    for each in tries:
        result = written.get(each.case.user_id)
        if result is None:
            continue
        if result.lost:
            each.case.result = RetryAt(world.clock.now() + RACE_RETRY, "another write to this user was quicker")
        else:
            each.case.row = result.row


def _after(user: DirectoryUser, call: LicenseCall, now: datetime) -> DirectoryUser:
    """The user as the accepted call left it."""
    touched = {license.sku_id for license in call.add} | set(call.remove)
    rows = [
        row for row in user.license_assignment_states if row.assigned_by_group is not None or row.sku_id not in touched
    ]
    rows += [_direct(license, now) for license in call.add]
    return replace(user, license_assignment_states=tuple(rows))


def _direct(license: AssignedLicense, now: datetime) -> LicenseAssignmentState:
    return LicenseAssignmentState(license.sku_id, license.disabled_plans, last_updated=now)


def _end(world: World, each: _Try) -> None:
    """The result of the whole plan, and refusals remembered with the work as it will look next time."""
    case = each.case
    if case.result is None and each.calls:
        case.result = RetryAt(world.clock.now() + CONFLICT_RETRY, "more calls than one look may make", refused=True)
    if case.refusals and case.context is not None:
        expected = plan_user(each.user, case.grants, case.row, replace(case.context, ignore_refusals=True))
        case.refusals = {
            sku_id: replace(record, fingerprint=expected.fingerprint) for sku_id, record in case.refusals.items()
        }
    if case.result is None:
        written: Result | None = Applied() if case.wrote else None
        plan = replace(
            each.plan,
            problems=(*each.plan.problems, *case.problems),
            waiting=tuple(dict.fromkeys((*each.plan.waiting, *case.waiting))),
        )
        case.result = result_of(plan, written)
    case.user = each.user
