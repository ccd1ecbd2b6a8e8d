"""Record: the audit entries, the ledger and the user's grants, then the member rows that people read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from shared.domain import ledger
from shared.domain.desired_licenses import desired_licenses
from shared.domain.directory import LicenseError
from shared.domain.grant import SourceKind
from shared.domain.ids import SkuId, UserId, What
from shared.domain.ledger_row import LedgerRow, sku_of
from shared.domain.member_rows import member_rows, scope_of
from shared.domain.outcomes import Failed, RetryAt, Skipped
from shared.domain.pending_removal import TENANT, held_scope
from shared.domain.permit import Permit, claims_of, permits_over
from shared.domain.read_models import MemberRow
from shared.domain.reconciliation import Attempted, Recorded, Work
from shared.domain.rejections import kept
from shared.domain.removals import pending_skus, settled_sources
from shared.domain.shown_facts import has_shown_facts
from shared.domain.verdict import LOST_RACE, after_record, contradicts_event
from shared.handlers.reconcile.grant_expiry import note_ends
from shared.handlers.reconcile.needs import Needs
from shared.handlers.reconcile.product_facts import note_attempts
from shared.ports.stores import InLine


async def record(world: Needs, work: Work, users: Sequence[Attempted]) -> list[Recorded]:
    """Keep what is known of each user; returns how each user's part ends after all, in order."""
    now = world.clock.now()
    entries = [entry for each in users for entry in each.audit]
    if entries:
        await world.stores.audit.append(entries)
    telling = [each for each in users if has_shown_facts(each)]
    if telling:
        await note_attempts(world, telling)
    await _void_permits(world, work, users, now)
    rows = {each.user_id: _final_row(each, now) for each in users}
    lost = await _record_ledger(world, work, users, rows)
    recorded = [Recorded(each, after_record(each, now, lost=each.user_id in lost)) for each in users]
    await _record_grants(world, recorded)
    await _drop_pending(world, work, [each for each in users if each.user_id not in lost], rows)
    # The winner of the race shows the user, and so does this work's next read. The loser's data is older, and its next
    # read is dropped if the operation has ended meanwhile.
    before = await _rows_before(world, work, recorded)
    shown = [
        row
        for each in recorded
        if not _is_lost(each, lost)
        for row in member_rows(each, work, now, before.get(each.user_id))
    ]
    if shown:
        await world.stores.members.record(shown)
    return recorded


async def _rows_before(world: Needs, work: Work, recorded: Sequence[Recorded]) -> dict[UserId, MemberRow]:
    """The rows that the operation writes of users who could not be read now: they keep what the last read showed."""
    scope = scope_of(work)
    if scope is None:
        return {}
    unread = [each.user_id for each in recorded if each.attempted.user is None]
    rows = [await world.stores.members.of_user(user_id, [scope]) for user_id in unread]
    return {row.user_id: row for found in rows for row in found}


def _is_lost(each: Recorded, lost: Collection[UserId]) -> bool:
    """Whether another worker wrote the user's ledger row after this one had read it: before the call, or by now."""
    return each.user_id in lost or (isinstance(each.result, RetryAt) and each.result.why == LOST_RACE)


async def _record_ledger(
    world: Needs, work: Work, users: Sequence[Attempted], rows: Mapping[UserId, LedgerRow]
) -> frozenset[UserId]:
    """Write the changed rows, and after an event each row. A worker that read the user before this one and has not
    written yet must lose its race and read again. Returns the users whose race this worker lost."""
    read = {each.user_id: each.planned.read.stored for each in users}
    # A place in the queue before the row that it is the index of: after a crash in between no user waits unseen. The
    # seats timer leaves a new place without a row alone.
    await world.stores.waiting.join(place for user_id in rows for place in _joining(read[user_id], rows[user_id]))
    changed = [rows[each.user_id] for each in users if rows[each.user_id] != each.stored or _must_be_seen(each, work)]
    written = await world.stores.ledger.write(changed) if changed else {}
    lost = frozenset(user_id for user_id, result in written.items() if result.lost)
    left = rows.keys() - lost
    await world.stores.waiting.leave(
        place for user_id in rows if user_id in left for place in _joining(rows[user_id], read[user_id])
    )
    return lost


def _joining(before: LedgerRow, after: LedgerRow) -> list[InLine]:
    """The places in the seat queue that a user has in the second row and not in the first; swapped: those given up."""
    new = after.waiting_since.items() - before.waiting_since.items()
    return [InLine(sku_id, after.user_id, since) for sku_id, since in sorted(new)]


def _must_be_seen(attempted: Attempted, work: Work) -> bool:
    settled = attempted.user is not None and not isinstance(attempted.result, RetryAt)
    return work.operation is None and settled and not attempted.wrote


def _final_row(attempted: Attempted, now: datetime) -> LedgerRow:
    """The ledger row with what the next read must know: due removals, the seat queue, rejections of the same plan."""
    plan, result, row = attempted.plan, attempted.result, attempted.row
    if attempted.user is None or plan is None:
        if attempted.user is None and _is_unknown(attempted):
            return ledger.denied(row, now) if _has_something(row) else row
        gone = attempted.user is None and isinstance(result, Failed | Skipped)
        return replace(row, waiting_since={}) if gone and row.waiting_since else row
    waiting = {sku: row.waiting_since.get(sku, now) for sku in (*plan.waiting, *attempted.waiting)}
    if isinstance(result, RetryAt):
        # The next read decides: until then no user loses a place in the queue.
        waiting = {**row.waiting_since, **waiting}
    grants = (*attempted.planned.grants, *plan.new_grants)
    sources = settled_sources(plan.sources, plan.removal_seen_at, (g for g in grants if g not in plan.ended_grants))
    # Held as a whole: the grant that holds it keeps it, and after a decision it is due since then.
    held = {str(grant.sku_id) for grant in plan.new_grants if grant.source.kind is SourceKind.HELD}
    remembered = kept(row.rejections, plan.sources.keys() | row.managed.keys(), now)
    return replace(
        ledger.retag(row, sources),
        removal_seen_at={
            key: at for key, at in plan.removal_seen_at.items() if sku_of(key) in row.managed and key not in held
        },
        withheld_since={sku: at for sku, at in plan.withheld_since.items() if sku in row.managed},
        waiting_since=waiting,
        rejections={**remembered, **attempted.rejections},
    )


async def _void_permits(world: Needs, work: Work, users: Sequence[Attempted], now: datetime) -> None:
    """End permits for licenses that are claimed again, before anything that says that they were to go is forgotten.

    That also holds for users who are reconciled again later, because the claim can have ended once more by then. A
    read that is older than the event, or than another worker's, shows no return of a claim.
    """
    over: list[Permit] = []
    for each in users:
        context = each.planned.context
        if context is None or not context.permits or _is_outdated(work, each, now):
            continue
        lasting = desired_licenses((g for g in each.planned.grants if not g.source.keeps), now)
        over += permits_over(context.permits, lasting, context.assignments)
    if over:
        await world.stores.permits.put(
            Permit.void(each.user_id, each.sku_id, each.source, "claimed again") for each in over
        )


def _is_outdated(work: Work, attempted: Attempted, now: datetime) -> bool:
    result = attempted.result
    return isinstance(result, RetryAt) and (result.why == LOST_RACE or contradicts_event(work, attempted.planned, now))


async def _drop_pending(world: Needs, work: Work, users: Sequence[Attempted], rows: Mapping[UserId, LedgerRow]) -> None:
    """Drop pending removals that are not due any more: the license is claimed again, held for a person, or gone,
    or the user is. `rows`: as they were written."""
    over: dict[str, set[What]] = defaultdict(set)
    for each in users:
        before = each.planned.read.stored
        # What this work removed counts where an allowance let it go, and never waited if an approval did.
        removed = frozenset(each.plan.remove) if each.plan and each.wrote else frozenset()
        seen = pending_skus((*before.removal_seen_at, *(each.plan.removal_seen_at if each.plan else ())))
        # A deleted user loses everything anyway, and is restored with the removals that the ledger row remembers.
        due = () if _is_unknown(each) else rows[each.user_id].removal_seen_at
        ended = seen - pending_skus(due) - removed
        for sku_id in ended & before.managed.keys():
            for claim in claims_of(before.managed[sku_id].sources, work.assignments):
                over[str(claim.source)].add((each.user_id, sku_id))
            over[TENANT].add((each.user_id, sku_id))
        for sku_id in _no_longer_held(each):
            managed = before.managed.get(sku_id)
            groups = {source.group_id for source in managed.sources} if managed else set()
            for group_id in groups | {None}:
                over[held_scope(group_id)].add((each.user_id, sku_id))
    for scope, removals in sorted(over.items()):
        await world.stores.removals.drop(scope, removals)


def _no_longer_held(attempted: Attempted) -> set[SkuId]:
    """Licenses that a read found held and that are not held any more: removed, kept, or claimed again."""
    if attempted.plan is None or isinstance(attempted.result, RetryAt | Failed):
        return set()
    return {grant.sku_id for grant in attempted.plan.ended_grants if grant.source.kind is SourceKind.HELD}


def _is_unknown(attempted: Attempted) -> bool:
    """Whether every read has found that the directory does not know the user."""
    problems = attempted.result.problems if isinstance(attempted.result, Failed) else ()
    return any(problem.error is LicenseError.NOT_FOUND for problem in problems)


def _has_something(row: LedgerRow) -> bool:
    return bool(row.managed or row.intent or row.unseen or row.waiting_since)


async def _record_grants(world: Needs, users: Sequence[Recorded]) -> None:
    plans = [(each, each.attempted.plan) for each in users if each.attempted.plan is not None]
    new = [(each.user_id, grant) for each, plan in plans for grant in plan.new_grants]
    ended = [
        (each.user_id, grant)
        for each, plan in plans
        if not isinstance(each.result, RetryAt | Failed)
        for grant in plan.ended_grants
    ]
    if new:
        await note_ends(world, new)
        await world.stores.grants.put(new)
    if ended:
        await world.stores.grants.remove(ended)
