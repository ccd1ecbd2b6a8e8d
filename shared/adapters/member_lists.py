"""Members of groups by ID, each list kept for a while: the previews of one plan all need the same lists."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial

from shared.adapters.shared_read import SharedRead
from shared.domain.ids import GroupId, UserId

MOST_KEPT = 1_000_000
"""IDs in all kept lists together, some 100 MB. Above that, all lists are forgotten."""

Read = Callable[[GroupId], AsyncIterator[Sequence[UserId]]]
Members = frozenset[UserId]


class MemberLists:
    """One per process. Callers who ask for a list at the same time share its read."""

    def __init__(self, read: Read, monotonic: Callable[[], float]) -> None:
        self._read = read
        self._monotonic = monotonic
        self._lists: dict[GroupId, SharedRead[Members]] = {}

    async def get(self, group_id: GroupId, max_age_s: float) -> Members:
        """The members, from a read that began within the last `max_age_s` seconds. Raises what reading raises."""
        kept = sum(len(each.last or ()) for each in self._lists.values()) if group_id not in self._lists else 0
        if kept > MOST_KEPT:
            self._lists.clear()
        if group_id not in self._lists:
            self._lists[group_id] = SharedRead(partial(self._whole, group_id), self._monotonic)
        return await self._lists[group_id].get(max_age_s)

    async def _whole(self, group_id: GroupId) -> Members:
        return frozenset([user_id async for page in self._read(group_id) for user_id in page])
