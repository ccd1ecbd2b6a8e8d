"""Due entries against Azurite: each is found when its time has come."""

from __future__ import annotations

from datetime import timedelta

from shared.ports.membership_stores import Due
from shared.ports.world import Stores
from tests.support.table_rows import E3, NOW, user


async def test_what_is_due_is_found_when_its_time_has_come_over_days(stores: Stores) -> None:
    days = [Due(NOW + timedelta(days=day), user(number), E3) for number, day in enumerate((0, 1, 1, 40))]
    await stores.due.put(days)
    await stores.due.put(days[:1])
    assert await stores.due.until(NOW - timedelta(seconds=1), 10) == ()
    assert await stores.due.until(NOW, 10) == (days[0],)
    tomorrow = await stores.due.until(NOW + timedelta(days=2), 10)
    assert set(tomorrow) == set(days[:3])
    assert len(await stores.due.until(NOW + timedelta(days=2), 2)) == 2
    for _ in range(2):
        await stores.due.remove(tomorrow)
    assert await stores.due.until(NOW + timedelta(days=3), 10) == ()
    assert await stores.due.until(NOW + timedelta(days=41), 10) == (days[3],)
