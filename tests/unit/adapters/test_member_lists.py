"""Lists of members that are kept for a while."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest

from shared.adapters import member_lists
from shared.adapters.member_lists import MemberLists
from shared.domain.ids import GroupId, UserId

ONE, OTHER = GroupId("one"), GroupId("other")


@dataclass
class Source:
    """Two pages for each group; `now` is the time."""

    now: float = 100.0
    read: list[GroupId] = field(default_factory=list)

    async def pages(self, group_id: GroupId) -> AsyncIterator[Sequence[UserId]]:
        self.read.append(group_id)
        yield [UserId(f"{group_id}-1"), UserId(f"{group_id}-2")]
        await asyncio.sleep(0)
        yield [UserId(f"{group_id}-3")]

    def lists(self) -> MemberLists:
        return MemberLists(self.pages, lambda: self.now)


async def test_callers_share_a_read_and_an_old_list_is_read_again() -> None:
    source = Source()
    lists = source.lists()
    found = await asyncio.gather(lists.get(ONE, 30), lists.get(ONE, 30), lists.get(OTHER, 30))
    assert [len(each) for each in found] == [3, 3, 3]
    assert sorted(source.read) == [ONE, OTHER]
    source.now += 29
    await lists.get(ONE, 30)
    assert len(source.read) == 2
    source.now += 2
    await lists.get(ONE, 30)
    assert source.read[2:] == [ONE]


async def test_too_many_members_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(member_lists, "MOST_KEPT", 2)
    source = Source()
    lists = source.lists()
    await lists.get(ONE, 30)
    await lists.get(OTHER, 30)
    await lists.get(ONE, 30)
    assert source.read == [ONE, OTHER, ONE]
