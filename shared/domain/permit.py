"""A removal permit: what planning needs before a license or plan may be removed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from shared.domain.grant import Source
from shared.domain.ids import NO_PLANS, Plans, SkuId, UserId

BY_ALLOWANCE = "allowance"
"""`given_by` of a permit that no person gave."""

BEFORE_ANY_LICENSE = datetime(2000, 1, 1, tzinfo=UTC)


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

    @property
    def by_person(self) -> bool:
        """Whether a person decided about this removal: who only asked for a change of a group has not seen whom it
        concerns."""
        return self.by_approval and self.given_by != BY_ALLOWANCE

    @classmethod
    def void(cls, user_id: UserId, sku_id: SkuId, source: Source, given_by: str) -> Permit:
        """A permit older than any license, so it permits nothing. Stored in the place of an earlier permit, it ends
        that one. `given_by`: who or what ended it."""
        return cls(user_id, sku_id, source, BEFORE_ANY_LICENSE, given_by)
