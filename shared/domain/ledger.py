"""Ownership: which direct licenses this system assigned, proven by intents written before each call.

An intent is also the per-user lock: it is written with the row's ETag, so a lost race sends the user back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType

from shared.domain.desired_licenses import DesiredLicense
from shared.domain.directory import AssignedLicense, DirectoryUser, LicenseAssignmentState
from shared.domain.grant import Grant, Source, SourceKind
from shared.domain.ids import NO_PLANS, GroupId, Plans, SkuId, UserId
from shared.domain.ledger_row import Intent, LastResult, LedgerRow, ManagedLicense, ObservedEvent, sku_of
from shared.domain.permit import PERMIT_HOLDS
from shared.domain.read_back import IN_FLIGHT, VISIBLE_WITHIN, by_our_clock, judged, seen, was_written

INTENT_LOCK = timedelta(minutes=5)
"""Work of another cause waits this long for an unresolved intent: two calls of 70 s and what lies between take less."""

RESTORABLE = timedelta(days=35)
"""Deleted users can be restored for 30 days, with their licenses (learn.microsoft.com/graph/api/directory-deleteditems-
restore); some more, so that no clock cuts them short."""


NOTHING_LEFT_OUT: Mapping[SkuId, Plans] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Resolution:
    """The row after its intent was judged. `applied`: the write had been done. `wait_until`: another cause holds it."""

    row: LedgerRow
    applied: Intent | None = None
    wait_until: datetime | None = None


def intent_id(cause: str, user_id: UserId, at: datetime) -> str:
    """A deterministic id of 32 hex digits."""
    return hashlib.sha256(f"{cause}|{user_id}|{at.isoformat()}".encode()).hexdigest()[:32]


def direct_plans(user: DirectoryUser) -> dict[SkuId, Plans]:
    """The user's direct licenses: `disabledPlans` by SKU."""
    return {sku_id: row.disabled_plans for sku_id, row in user.direct.items()}


def new_intent(
    user: DirectoryUser,
    cause: str,
    add: tuple[AssignedLicense, ...],
    remove: tuple[SkuId, ...],
    usage_location: str | None,
    sources: Mapping[SkuId, tuple[Source, ...]],
    now: datetime,
    unmanaged: frozenset[SkuId] = frozenset(),
    left_out: Mapping[SkuId, Plans] = NOTHING_LEFT_OUT,
) -> Intent:
    """The intent of one call: each touched SKU before and after it. `unmanaged`: licenses that stay unmanaged.
    `left_out`: plans that the call does not name."""
    direct = direct_plans(user)
    after: dict[SkuId, Plans | None] = {license.sku_id: license.disabled_plans for license in add}
    after.update(dict.fromkeys(remove))
    return Intent(
        id=intent_id(cause, user.id, now),
        cause=cause,
        before={sku_id: direct.get(sku_id) for sku_id in after},
        after=after,
        at=now,
        usage_location=usage_location,
        sources={sku_id: sources[sku_id] for sku_id in after if sku_id in sources},
        unmanaged=unmanaged & after.keys(),
        left_out=left_out,
    )


def resolve(row: LedgerRow, user: DirectoryUser, cause: str, now: datetime) -> Resolution:
    """Judge an intent left by a crash or a lost answer, SKU by SKU, from what the directory shows now.

    - As before: not done, and ownership is unchanged, though a later read may show the write.
    - As intended, and changed since the intent: done, and managed. If the change was later than the call can have
      arrived, nothing proves who made it.
    - Anything else: unmanaged.

    A cause other than the intent's waits for its lock to expire. The same cause may be the same message delivered
    twice. It waits only as long as the other's call may still arrive, and not if the directory shows the write.
    """
    intent = row.intent
    if intent is None:
        return Resolution(row)
    if intent.cause != cause and now < intent.at + INTENT_LOCK:
        return Resolution(row, wait_until=intent.at + INTENT_LOCK)
    if now < intent.at + IN_FLIGHT and not _shows(user, intent):
        return Resolution(row, wait_until=intent.at + IN_FLIGHT)
    managed, unseen, assigned = dict(row.managed), dict(row.unseen), user.assigned
    done = False
    for sku_id, after in intent.after.items():
        direct = assigned.get(sku_id)
        current = direct.disabled_plans if direct else None
        if _is_as_intended(current, sku_id, intent) and (
            direct is None or _is_touched(direct, intent, row.managed.get(sku_id))
        ):
            done = True
            _own(managed, sku_id, intent, direct)
            if sku_id in managed and _is_later(direct, intent.at):
                managed[sku_id] = replace(managed[sku_id], unclear=True)
        elif current != intent.before[sku_id]:
            managed.pop(sku_id, None)
        elif after is not None and sku_id not in intent.unmanaged and (direct is None or sku_id in managed):
            sources, written = _giving(intent.sources.get(sku_id, ())), by_our_clock(intent.at)
            unseen[sku_id] = ManagedLicense(after, intent.at, sources, written)
    settled = replace(row, managed=managed, intent=None, unseen=unseen)
    if not done:
        return Resolution(settled)
    return Resolution(replace(settled, last_result=LastResult(intent.id, intent.cause, now)), applied=intent)


def _is_as_intended(current: Plans | None, sku_id: SkuId, intent: Intent) -> bool:
    """Also without the plans that the call left out: they were in no call, and can be back in the product."""
    after = intent.after[sku_id]
    return current == after or (after is not None and current == after - intent.left_out.get(sku_id, NO_PLANS))


def _shows(user: DirectoryUser, intent: Intent) -> bool:
    """Whether the directory shows all of an intent done."""
    return direct_plans(user).items() >= {k: v for k, v in intent.after.items() if v is not None}.items() and not any(
        after is None and sku_id in user.direct for sku_id, after in intent.after.items()
    )


def _is_touched(direct: LicenseAssignmentState, intent: Intent, known: ManagedLicense | None) -> bool:
    """Whether a row that is as intended was written since the intent. Of a managed license whose plans changed, the
    time may be the one that was read before: Graph may not move it."""
    updated = direct.last_updated
    if updated is None:
        return False
    changed = intent.before[direct.sku_id] != intent.after[direct.sku_id]
    is_managed = known is not None and known.seen is not None and known.seen.updated == updated
    return updated >= by_our_clock(intent.at)[0] or (changed and is_managed)


def _is_later(direct: LicenseAssignmentState | None, at: datetime) -> bool:
    """Whether a row was written later than a call without an answer can have arrived, if both clocks agree. If they do
    not, the row can still be the call's, so only a person decides."""
    updated = direct.last_updated if direct else None
    return updated is not None and updated > at + IN_FLIGHT


def _own(
    managed: dict[SkuId, ManagedLicense],
    sku_id: SkuId,
    intent: Intent,
    row: LicenseAssignmentState | None = None,
    written: tuple[datetime, datetime] | None = None,
) -> None:
    """The license as an intent that was done leaves it. `row`: shows the write; `written`: no read has shown it yet.

    A write of the app does not make an unclear license clear: the license before it was not proven to be managed.
    """
    if sku_id in intent.unmanaged:
        return
    after = intent.after[sku_id]
    if after is None:
        managed.pop(sku_id, None)
        return
    before = managed.get(sku_id)
    sources = _giving(intent.sources.get(sku_id, ())) or (before.sources if before else ())
    shown = seen(row) if row else before.seen if before else None
    # A plan that the call left out, and that a read shows on again, was never off for this user.
    off = after & row.disabled_plans if row else after
    license = ManagedLicense(off, intent.at, sources, written, shown, before.unclear if before else False)
    was_off = intent.before[sku_id]
    if before is not None and was_off is not None:
        since, recent = before.since or before.at, intent.at - PERMIT_HOLDS
        changes = {at: plans for at, plans in before.changes.items() if at >= recent}
        license = replace(license, since=since, changes={**changes, intent.at: was_off ^ after})
    managed[sku_id] = license


def _since(written: tuple[datetime, datetime], *earlier: ManagedLicense | None) -> tuple[datetime, datetime]:
    """The times of a write, and of earlier ones of the same license that no read has shown. Graph may not move a row's
    time for a write that changes nothing."""
    first, last = written
    for license in earlier:
        if license is not None and license.written is not None:
            first = min(first, license.written[0])
    return first, last


def accepted(row: LedgerRow, now: datetime, between: tuple[datetime, datetime] | None = None) -> LedgerRow:
    """The row after Graph accepted its intent: assigned licenses are managed, removed ones are not.

    `between`: the earliest and latest time of the write by Graph's clock, if the answer has it.
    """
    intent = row.intent
    if intent is None:
        return row
    managed = dict(row.managed)
    for sku_id in intent.after:
        written = _since(between or by_our_clock(intent.at), row.managed.get(sku_id), row.unseen.get(sku_id))
        _own(managed, sku_id, intent, written=written)
    touched = intent.after.keys()
    return replace(
        row,
        managed=managed,
        intent=None,
        last_result=LastResult(intent.id, intent.cause, now),
        removal_seen_at={key: at for key, at in row.removal_seen_at.items() if sku_of(key) not in touched},
        gone_since={sku_id: at for sku_id, at in row.gone_since.items() if sku_id not in touched},
        waiting_since={sku_id: at for sku_id, at in row.waiting_since.items() if sku_id not in touched},
        rejections={sku_id: record for sku_id, record in row.rejections.items() if sku_id not in touched},
        unseen={sku_id: license for sku_id, license in row.unseen.items() if sku_id not in touched},
        removed_at={
            **{sku_id: at for sku_id, at in row.removed_at.items() if sku_id not in touched},
            **{sku_id: now for sku_id, after in intent.after.items() if after is None},
        },
    )


def with_managed(
    row: LedgerRow,
    user: DirectoryUser,
    sku_ids: Iterable[SkuId],
    desired: Mapping[SkuId, DesiredLicense],
    now: datetime,
) -> tuple[LedgerRow, tuple[Grant, ...]]:
    """The row in which unmanaged licenses become managed, as a person decided, and grants that keep their extra plans.

    Only licenses that a grant gives become managed. Plans that are on beyond the grants stay on until a person decides
    otherwise, by a `kept` grant without a person's id.
    """
    managed, kept = dict(row.managed), []
    for sku_id in sku_ids:
        wanted, direct = desired.get(sku_id), user.direct.get(sku_id)
        known = managed.get(sku_id)
        if direct is None or wanted is None or not wanted.adds or (known is not None and not known.unclear):
            continue
        managed[sku_id] = ManagedLicense(direct.disabled_plans, now, _giving(wanted.sources), seen=seen(direct))
        if wanted.disabled_plans - direct.disabled_plans:
            kept.append(Grant(sku_id, direct.disabled_plans, Source(SourceKind.KEPT)))
    return replace(row, managed=managed), tuple(kept)


def rejected(
    row: LedgerRow, between: tuple[datetime, datetime] | None = None, *, perhaps_done: bool = False
) -> LedgerRow:
    """The row after a definite rejection: the intent is erased, ownership as it was. `perhaps_done`: the rejection does
    not prove that nothing was done, as with a 503.

    A call with several parts may have been carried out in part before it was rejected; one program for live tenants
    says so (syn-con/n8n-nodes-microsoft-365-admin, changelog 0.2.0). An addition that shows all the same, with our
    plans and at the time of the call, is managed. `between`: that time by Graph's clock.
    """
    intent = row.intent
    if intent is not None and perhaps_done:
        between = between or by_our_clock(intent.at)
    elif intent is None or between is None or len(intent.after) < 2:
        return replace(row, intent=None)
    perhaps = {
        sku_id: ManagedLicense(
            after,
            intent.at,
            _giving(intent.sources.get(sku_id, ())),
            _since(between, row.managed.get(sku_id), row.unseen.get(sku_id)),
        )
        for sku_id, after in intent.after.items()
        if after is not None
        and sku_id not in intent.unmanaged
        and (intent.before[sku_id] is None or sku_id in row.managed)
    }
    return replace(row, intent=None, unseen={**row.unseen, **perhaps})


def refresh(row: LedgerRow, user: DirectoryUser, now: datetime) -> LedgerRow:
    """Drop licenses that were removed outside this app: missing in two reads 15 minutes apart of an existing user.

    A license in a state that does not count, because its subscription has lapsed, is not missing. A more recent write
    may not be visible yet, so the ledger counts. A write whose answer was lost, and that a late read shows, is managed.
    A row that changed after the app's write is unclear (see `read_back`).
    """
    row = _recalled(replace(row, denied_since=None) if row.denied_since else row, user, now)
    assigned = user.assigned
    managed = dict(row.managed)
    gone: dict[SkuId, datetime] = {}
    for sku_id, license in row.managed.items():
        if sku_id in assigned:
            known = judged(license, assigned[sku_id], now)
            if known is None:
                managed.pop(sku_id)
            else:
                managed[sku_id] = known
            continue
        if now < license.at + VISIBLE_WITHIN:
            continue
        first_seen = row.gone_since.get(sku_id, now)
        if now >= first_seen + VISIBLE_WITHIN:
            managed.pop(sku_id)
        else:
            gone[sku_id] = first_seen
    if managed == row.managed and gone == row.gone_since:
        return row
    return replace(row, managed=managed, gone_since=gone)


def denied(row: LedgerRow, now: datetime) -> LedgerRow:
    """The row of a user whom the directory does not know: after RESTORABLE nothing of it is needed any more."""
    since = row.denied_since or now
    if now < since + RESTORABLE:
        return replace(row, denied_since=since, waiting_since={})
    return replace(row, denied_since=since, waiting_since={}, managed={}, intent=None, unseen={})


def is_spent(row: LedgerRow, before: datetime) -> bool:
    """Whether a row can be deleted: it has no managed license, open write or waiting user, and its newest time is
    before a time. A row without any time is kept, since its age is unknown."""
    if row.managed or row.intent or row.waiting_since or row.unseen:
        return False
    times = [
        *row.withheld_since.values(),
        *([row.last_result.at] if row.last_result else ()),
        *([row.denied_since] if row.denied_since else ()),
        *row.removal_seen_at.values(),
        *row.gone_since.values(),
        *row.removed_at.values(),
        *(rejection.at for rejection in row.rejections.values()),
        *(observed.at for observed in row.observed.values()),
    ]
    return bool(times) and max(times) < before


def last_event(row: LedgerRow, said: Mapping[GroupId, bool], at: datetime, forget_before: datetime) -> LedgerRow:
    """The row with what an event said at a time, where nothing newer was said of the group; old events are dropped."""
    observed = {group_id: known for group_id, known in row.observed.items() if known.at >= forget_before}
    for group_id, came in said.items():
        if group_id not in observed or observed[group_id].at < at:
            observed[group_id] = ObservedEvent(came, at)
    return row if observed == row.observed else replace(row, observed=observed)


def _recalled(row: LedgerRow, user: DirectoryUser, now: datetime) -> LedgerRow:
    """The row with lost writes that show now, and without those and removals that are too old to be late."""
    managed, unseen = dict(row.managed), {}
    for sku_id, license in row.unseen.items():
        direct = user.assigned.get(sku_id)
        if direct is not None and was_written(license, direct):
            kept = replace(managed.get(sku_id, license), disabled_plans=license.disabled_plans)
            unclear = license.written == by_our_clock(license.at) and _is_later(direct, license.at)
            managed[sku_id] = replace(kept, written=None, seen=seen(direct), unclear=kept.unclear or unclear)
        elif now < license.at + VISIBLE_WITHIN and (direct is None or sku_id in managed):
            unseen[sku_id] = license
    removed = {sku_id: at for sku_id, at in row.removed_at.items() if now < at + VISIBLE_WITHIN}
    if unseen == row.unseen and removed == row.removed_at and managed == row.managed:
        return row
    return replace(row, managed=managed, unseen=unseen, removed_at=removed)


def is_leftover(row: LedgerRow, sku_id: SkuId, direct: LicenseAssignmentState, now: datetime) -> bool:
    """Whether a read still shows what we took away a moment ago, so that nothing can be said of it yet."""
    at = row.removed_at.get(sku_id)
    return at is not None and now < at + VISIBLE_WITHIN and (direct.last_updated is None or direct.last_updated <= at)


def not_visible_yet(row: LedgerRow, user: DirectoryUser, now: datetime) -> frozenset[SkuId]:
    """Owned SKUs written so recently that a read without them proves nothing."""
    direct = user.direct
    return frozenset(
        sku_id for sku_id, license in row.managed.items() if sku_id not in direct and now < license.at + VISIBLE_WITHIN
    )


def retag(row: LedgerRow, sources: Mapping[SkuId, tuple[Source, ...]]) -> LedgerRow:
    """The row with the sources that grant each owned license now; what only waits for its end keeps its old ones."""
    managed = {
        sku_id: replace(license, sources=given)
        if (given := _giving(sources.get(sku_id, ()))) and given != license.sources
        else license
        for sku_id, license in row.managed.items()
    }
    return row if managed == row.managed else replace(row, managed=managed)


def _giving(sources: tuple[Source, ...]) -> tuple[Source, ...]:
    return tuple(source for source in sources if not source.keeps)


def giving_groups(row: LedgerRow) -> frozenset[GroupId]:
    """The groups of the managed licenses."""
    sources = (source for license in row.managed.values() for source in license.sources)
    return frozenset(source.group_id for source in sources if source.group_id)
