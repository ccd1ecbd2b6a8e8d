"""Remembered rejections: the same work is not sent again every night, and other work is.

Only facts that concern the rejected product are compared: its own license, the licenses that its rejection named or
that share plans with it, and the user's location. Changes of other products do not send it again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from shared.domain.catalog import Catalog
from shared.domain.directory import DirectoryUser, LicenseError
from shared.domain.ids import Plans, SkuId
from shared.domain.ledger_row import RejectionRecord
from shared.domain.write_results import LicenseCall

REJECTION_HOLDS = timedelta(days=7)
"""How long a rejection of the same work is remembered: a cause that Graph does not show is tried again weekly."""


def fingerprint_of(
    sku_id: SkuId, record: RejectionRecord, user: DirectoryUser, wished: LicenseCall, catalog: Catalog
) -> str:
    """16 hex digits over what is wished for a SKU and what it meets: the same digits mean the same work. Empty if
    nothing is wished for it."""
    give = {each.sku_id: sorted(each.disabled_plans - catalog.retired(each.sku_id)) for each in wished.add}
    if sku_id not in give and sku_id not in wished.remove:
        return ""
    # An unknown text can be about anything, so every change of the user counts.
    unknown = record.error is LicenseError.OTHER

    def concerns(other: SkuId) -> bool:
        return unknown or other == sku_id or _is_related(sku_id, other, record.plans, catalog)

    rows = sorted(
        (row.sku_id, row.assigned_by_group or "", row.state, sorted(row.disabled_plans - catalog.retired(row.sku_id)))
        for row in user.license_assignment_states
        if concerns(row.sku_id)
    )
    add = [(other, give[other]) for other in sorted(give) if concerns(other)]
    remove = [other for other in sorted(wished.remove) if concerns(other)]
    # Microsoft may have taken a named plan out of a product since.
    named = [
        (other, sorted(record.plans & catalog.plans(other))) for other in sorted({sku_id, *(row[0] for row in rows)})
    ]
    text = repr((sku_id, rows, add, remove, named, user.usage_location))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _is_related(sku_id: SkuId, other: SkuId, named: Plans, catalog: Catalog) -> bool:
    return bool(named & catalog.plans(other)) or catalog.replaces(sku_id, other)


def still_rejected(
    rejections: Mapping[SkuId, RejectionRecord],
    user: DirectoryUser,
    wished: LicenseCall,
    catalog: Catalog,
    now: datetime,
) -> dict[SkuId, RejectionRecord]:
    """The rejections that answer what is wished now."""
    return {
        sku_id: record
        for sku_id, record in sorted(rejections.items())
        if now < record.at + REJECTION_HOLDS
        and record.fingerprint
        and record.fingerprint == fingerprint_of(sku_id, record, user, wished, catalog)
    }


def kept(
    rejections: Mapping[SkuId, RejectionRecord], concerned: Collection[SkuId], now: datetime
) -> dict[SkuId, RejectionRecord]:
    """The rejections to remember further: of SKUs that the user should have or has by the app, for as long as they
    hold. One whose work has just changed may be the answer to the next work again."""
    return {
        sku_id: record
        for sku_id, record in rejections.items()
        if sku_id in concerned and now < record.at + REJECTION_HOLDS
    }
