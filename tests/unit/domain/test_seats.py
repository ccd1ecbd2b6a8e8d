"""Lines for seats: order, seats left over, products nobody waits for."""

from __future__ import annotations

from uuid import UUID

import pytest

from shared.domain.ids import SkuId, UserId
from shared.domain.seats import Seats, seats_of

SKU = SkuId(str(UUID(int=1)))
ANNA, BEN, CARA, NEW = (UserId(str(UUID(int=number))) for number in (11, 12, 13, 14))


def seats(free: int, *line: UserId) -> Seats:
    return seats_of({SKU: free}, {SKU: line} if line else {})


def served(found: Seats) -> set[UserId]:
    return {user for user in (ANNA, BEN, CARA, NEW) if SKU not in found.closed_to(user)}


@pytest.mark.parametrize(
    ("free", "line", "expected"),
    [
        (0, (), set()),
        (5, (), {ANNA, BEN, CARA, NEW}),
        (0, (ANNA, BEN), set()),
        (1, (ANNA, BEN), {ANNA}),
        (2, (ANNA, BEN), {ANNA, BEN}),
        (2, (BEN, ANNA, CARA), {BEN, ANNA}),
        (3, (ANNA, BEN), {ANNA, BEN, CARA, NEW}),
    ],
)
def test_seats_go_to_those_who_wait_in_order_and_to_others_only_when_some_are_left_over(
    free: int, line: tuple[UserId, ...], expected: set[UserId]
) -> None:
    assert served(seats(free, *line)) == expected
