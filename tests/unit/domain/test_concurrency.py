"""Updates of what others change too: read again after each lost race, and given up after so many."""

from __future__ import annotations

import asyncio

import pytest

from shared.domain.concurrency import together, update
from shared.domain.errors import Conflict, NotFound, Unavailable


class Counter:
    """A stored number with a version, which others raise by 10 just before the first `races` saves."""

    def __init__(self, races: int = 0) -> None:
        self.number, self.version, self.races, self.saves, self.reads = 1, 0, races, 0, 0

    async def read(self) -> tuple[int, int]:
        self.reads += 1
        return self.number, self.version

    async def save(self, changed: tuple[int, int]) -> str:
        self.saves += 1
        if self.saves <= self.races:
            self.number, self.version = self.number + 10, self.version + 1
        number, version = changed
        if version != self.version:
            raise Conflict(f"version {version} is outdated")
        self.number, self.version = number, version + 1
        return f"saved {number}"


def raised(stored: tuple[int, int]) -> tuple[int, int]:
    number, version = stored
    return number + 1, version


@pytest.mark.parametrize("races", [0, 1, 2])
async def test_a_lost_race_is_read_and_changed_again_so_that_neither_change_is_lost(races: int) -> None:
    counter = Counter(races)
    assert await update(counter.read, raised, counter.save, tries=3) == f"saved {2 + 10 * races}"
    assert (counter.number, counter.reads) == (2 + 10 * races, races + 1)


async def test_after_the_last_try_the_error_that_the_caller_named_is_raised_from_the_conflict() -> None:
    counter, lost = Counter(races=3), Unavailable(5.0, "too many lost updates")
    with pytest.raises(Unavailable, match="too many lost updates") as caught:
        await update(counter.read, raised, counter.save, tries=3, lost=lost)
    assert isinstance(caught.value.__cause__, Conflict)
    assert (counter.number, counter.saves) == (31, 3)


async def test_without_an_error_of_its_own_the_last_conflict_is_raised() -> None:
    with pytest.raises(Conflict, match="version 1 is outdated"):
        counter = Counter(races=2)
        await update(counter.read, raised, counter.save, tries=2)


async def test_nothing_is_saved_where_nothing_is_to_be_changed() -> None:
    counter = Counter()
    assert await update(counter.read, lambda stored: None, counter.save, tries=3) is None
    assert (counter.reads, counter.saves) == (1, 0)


async def test_a_change_that_is_no_longer_needed_after_a_lost_race_is_not_made() -> None:
    counter = Counter(races=1)
    result = await update(
        counter.read, lambda stored: raised(stored) if stored[0] < 10 else None, counter.save, tries=3
    )
    assert (result, counter.number) == (None, 11)


@pytest.mark.parametrize("rejected", [Conflict("not this version"), NotFound("no such row")])
async def test_what_the_change_rejects_is_not_tried_again(rejected: Exception) -> None:
    counter = Counter()

    def reject(stored: tuple[int, int]) -> tuple[int, int]:
        raise rejected

    with pytest.raises(type(rejected), match=str(rejected)):
        await update(counter.read, reject, counter.save, tries=3, lost=Unavailable(None, "lost"))
    assert (counter.reads, counter.saves) == (1, 0)


async def test_calls_side_by_side_have_all_ended_when_one_has_failed() -> None:
    """A caller that goes on after a failure meets no write that is still under way."""
    ended: list[str] = []
    release = asyncio.Event()

    async def write(name: str) -> str:
        if name == "broken":
            release.set()
            raise Conflict(name)
        await release.wait()
        await asyncio.sleep(0)
        ended.append(name)
        return name

    with pytest.raises(Conflict, match="broken"):
        await together(write(name) for name in ("one", "broken", "two"))
    assert sorted(ended) == ["one", "two"]
    assert await together(write(name) for name in ("one", "two")) == ["one", "two"]
