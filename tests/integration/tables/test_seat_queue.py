"""The line for seats against Azurite: read in the order of waiting, closed only when empty."""

from __future__ import annotations

from datetime import timedelta

from shared.ports.stores import InLine
from shared.ports.world import Stores
from tests.support.table_rows import E3, NOW, user


async def test_a_line_for_seats_is_read_in_the_order_of_waiting_and_closed_only_when_empty(stores: Stores) -> None:
    waiting = stores.waiting
    places = [InLine(E3, user(number), NOW + timedelta(seconds=number * 7 % 5)) for number in range(5)]
    await waiting.join(places)
    await waiting.join(places[:2])
    in_order = sorted(places, key=lambda place: place.since)
    assert await waiting.first(E3, 3) == tuple(in_order[:3])
    assert await waiting.lines(0.0) == {E3}
    await waiting.close(E3)
    assert await waiting.lines(0.0) == {E3}
    await waiting.leave([*places, InLine(E3, user(77), NOW)])
    assert await waiting.first(E3, 3) == ()
    await waiting.close(E3)
    assert await waiting.lines(0.0) == frozenset()


async def test_two_who_came_within_the_same_millisecond_keep_their_order(stores: Stores) -> None:
    waiting = stores.waiting
    places = [InLine(E3, user(number), NOW + timedelta(microseconds=100 + 9 - number)) for number in range(5)]
    await waiting.join(places)
    assert await waiting.first(E3, 5) == tuple(reversed(places))
    await waiting.leave(places)
    assert await waiting.first(E3, 5) == ()
