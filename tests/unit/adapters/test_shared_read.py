"""One read at a time serves all callers that wait for it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from shared.adapters.shared_read import SharedRead
from shared.domain.errors import Unavailable


@dataclass
class Source:
    """Reads that end when the test says so; `now` is the time."""

    now: float = 100.0
    reads: list[asyncio.Future[str]] = field(default_factory=list)

    async def read(self) -> str:
        self.reads.append(asyncio.get_running_loop().create_future())
        return await self.reads[-1]

    def shared(self) -> SharedRead[str]:
        return SharedRead(self.read, lambda: self.now)


async def rest() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def ask(shared: SharedRead[str], *ages: float) -> list[asyncio.Task[str]]:
    return [asyncio.create_task(shared.get(age)) for age in ages]


async def test_all_who_wait_share_one_read_and_a_later_caller_gets_its_answer_again() -> None:
    source = Source()
    shared = source.shared()
    asked = ask(shared, *[10.0] * 8)
    await rest()
    source.now += 60
    late = ask(shared, 100.0)
    await rest()
    source.reads[0].set_result("one")
    assert await asyncio.gather(*asked, *late) == ["one"] * 9
    assert await shared.get(61.0) == "one"
    assert len(source.reads) == 1


async def test_callers_for_whom_the_read_began_too_early_share_the_next_one() -> None:
    source = Source()
    shared = source.shared()
    first = ask(shared, 10.0)
    await rest()
    source.now += 6
    second = ask(shared, 0.0, 5.0, 0.0)
    await rest()
    assert len(source.reads) == 1
    source.reads[0].set_result("one")
    await rest()
    source.now += 6
    source.reads[1].set_result("two")
    assert await asyncio.gather(*first, *second) == ["one", "two", "two", "two"]
    assert len(source.reads) == 2


async def test_a_failed_read_fails_all_who_waited_for_it_and_the_next_caller_reads_again() -> None:
    source = Source()
    shared = source.shared()
    asked = ask(shared, 10.0, 10.0)
    await rest()
    later = ask(shared, 0.0)
    await rest()
    source.reads[0].set_exception(Unavailable(None, "away"))
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(each) for each in found] == [Unavailable, Unavailable]
    await rest()
    source.reads[1].set_result("two")
    assert await asyncio.gather(*later) == ["two"]
    assert await shared.get(10.0) == "two"


async def test_a_cancelled_caller_does_not_cancel_the_others_and_the_last_one_ends_the_read() -> None:
    source = Source()
    shared = source.shared()
    first, second = ask(shared, 10.0, 10.0)
    await rest()
    first.cancel()
    await rest()
    source.reads[0].set_result("one")
    assert await second == "one"
    source.now += 60
    (third,) = ask(shared, 10.0)
    await rest()
    third.cancel()
    with pytest.raises(asyncio.CancelledError):
        await third
    await rest()
    assert source.reads[1].cancelled()
    (fourth,) = ask(shared, 10.0)
    await rest()
    source.reads[2].set_result("three")
    assert await fourth == "three"


async def test_what_was_read_before_a_change_is_not_given_again() -> None:
    source = Source()
    shared = source.shared()
    (before,) = ask(shared, 10.0)
    await rest()
    shared.forget()
    (after,) = ask(shared, 10.0)
    await rest()
    source.reads[0].set_result("old")
    await rest()
    source.reads[1].set_result("new")
    assert (await before, await after, await shared.get(10.0)) == ("old", "new", "new")
