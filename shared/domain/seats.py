"""Which user gets an available license: waiting users first, the longest wait first, and no user passes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.domain.ids import SkuId, UserId


@dataclass(frozen=True, slots=True)
class SeatLine:
    """The queue for one SKU. `head`: waiting users for whom a license is available. `left_over`: more are available.

    A user with the SKU from any source needs no license and is not checked.
    """

    head: frozenset[UserId]
    left_over: bool

    def is_open_to(self, user_id: UserId) -> bool:
        """Whether there is a seat for this user."""
        return self.left_over or user_id in self.head


@dataclass(frozen=True, slots=True)
class Seats:
    """The seats of a tenant: queues of SKUs with waiting users or without available licenses; all others are open."""

    lines: Mapping[SkuId, SeatLine]

    def closed_to(self, user_id: UserId) -> frozenset[SkuId]:
        """SKUs of which there is no seat for this user now."""
        return frozenset(sku_id for sku_id, line in self.lines.items() if not line.is_open_to(user_id))


def seats_of(available: Mapping[SkuId, int], waiting: Mapping[SkuId, Sequence[UserId]]) -> Seats:
    """The seats as counted. `waiting`: waiting users of each SKU, the longest wait first. If enough users wait, the
    list has more of them than available licenses."""
    return Seats(
        {
            sku_id: SeatLine(frozenset(line[:count]), len(line) < count)
            for sku_id, count in available.items()
            for line in (waiting.get(sku_id, ()),)
            if count == 0 or line
        }
    )
