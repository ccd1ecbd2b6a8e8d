"""No gap between two licenses: a removal waits until the desired license that overlaps it shows in the directory.

A license that the ledger calls assigned may be gone: an administrator removed it by hand, or the read lags. Until the
directory shows it, another license with the same service plans is all that the person has.
"""

from __future__ import annotations

from datetime import timedelta

from shared.domain.desired_licenses import DesiredLicense
from shared.domain.ids import SkuId
from shared.domain.ledger import is_leftover
from shared.domain.permit import claims_of
from shared.domain.plan_draft import Draft, NoteKind, PermitRequest
from shared.domain.removals import valid_permits

WITHHELD_FOR = timedelta(hours=24)
"""How long a removal waits for a license that does not come; then a person is asked."""


def withhold_removals(draft: Draft, due: frozenset[SkuId]) -> None:
    """Leave out each removal whose desired replacement neither shows in the directory nor is in the call.

    `due`: what could go if its replacement were there. Those left out, for whatever reason, are remembered with the
    time. After WITHHELD_FOR a person is asked, and only an approval given after that lets them go alone.
    """
    for sku_id in sorted(_missing(draft)):
        for removed in sorted(draft.remove):
            if draft.context.catalog.replaces(sku_id, removed):
                draft.drop(removed)
                draft.note(NoteKind.KEPT_UNTIL_REPLACED, removed)
        for narrowed in sorted(draft.plans_off.keys() & draft.add.keys() - {sku_id}):
            if draft.context.catalog.brings(sku_id, draft.plans_off[narrowed]):
                draft.drop(narrowed)
                draft.note(NoteKind.KEPT_UNTIL_REPLACED, narrowed)
    left_out = due.difference(draft.remove, draft.ledger.rejections)
    for sku_id in sorted(left_out | _held_since(draft)):
        since = draft.withheld[sku_id] = draft.ledger.withheld_since.get(sku_id, draft.context.now)
        if sku_id in left_out and draft.context.now >= since + WITHHELD_FOR:
            _ask(draft, sku_id)


def _missing(draft: Draft) -> set[SkuId]:
    return {
        sku_id
        for sku_id, wanted in draft.desired.items()
        if wanted.adds and sku_id not in draft.add and not _is_there(draft, wanted)
    }


def _is_there(draft: Draft, wanted: DesiredLicense) -> bool:
    """Whether the directory shows a license, from any source; one that was removed a moment ago may still show."""
    sku_id, direct = wanted.sku_id, draft.direct.get(wanted.sku_id)
    if direct is None or sku_id in draft.ledger.managed:
        return sku_id in draft.user.assigned_skus
    return not is_leftover(draft.ledger, sku_id, direct, draft.context.now)


def _held_since(draft: Draft) -> frozenset[SkuId]:
    """Removals that were left out before and that only wait for a person, for their window or for a permit now."""
    waiting = {sku_id for sku_id, wanted in draft.desired.items() if not wanted.adds}
    waiting |= draft.settling.keys() | draft.awaiting_permit.keys()
    return frozenset(sku_id for sku_id in draft.ledger.withheld_since if sku_id in draft.direct.keys() & waiting)


def _ask(draft: Draft, sku_id: SkuId) -> None:
    managed, context = draft.ledger.managed[sku_id], draft.context
    asked_at = draft.withheld[sku_id] + WITHHELD_FOR
    ended = claims_of(managed.sources, context.assignments)
    permits = valid_permits(draft.user.id, sku_id, managed, context)
    asked = [permit for permit in permits if permit.by_person and permit.at >= asked_at and not permit.plans]
    if not ended.difference(*(permit.claims for permit in asked)):
        draft.remove.add(sku_id)
    elif sku_id in context.denied:
        draft.hold(sku_id)
    else:
        draft.wants.append(PermitRequest(draft.user.id, sku_id, ended, asked_at, by_person=True))
