"""Calls of a table side by side: after a failure none is under way, and no further one begins."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from shared.adapters.tables.client import gather_limited
from shared.domain.errors import Unavailable


async def test_a_failure_ends_the_calls_in_order() -> None:
    begun: list[int] = []
    ended: list[int] = []

    async def call(number: int) -> int:
        begun.append(number)
        await asyncio.sleep(0)
        if number == 1:
            raise Unavailable(5, "away")
        for _ in range(5):
            await asyncio.sleep(0)
        ended.append(number)
        return number

    with pytest.raises(Unavailable):
        await gather_limited([partial(call, number) for number in range(50)], 3)
    assert begun == [0, 1, 2]
    assert ended == [0, 2]
    assert await gather_limited([partial(call, number) for number in range(2, 9)], 3) == list(range(2, 9))
