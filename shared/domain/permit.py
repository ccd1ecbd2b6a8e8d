"""A removal permit: what planning needs before a license or plan may be removed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from shared.domain.grant import Source
from shared.domain.ids import NO_PLANS, Plans, SkuId, UserId


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to remove a SKU (or turn off `plans` of it) from a user, given by an allowance or a sealed approval.

    Valid only for a license that was ours when the permit was given: one given again later needs a new permit.
    """

    user_id: UserId
    sku_id: SkuId
    source: Source
    at: datetime
    given_by: str
    plans: Plans = NO_PLANS
    by_approval: bool = False


LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
"""Before any license of ours: a permit of this time permits nothing."""
