"""The table of moves between native and direct licensing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Protocol

from shared.domain.ids import GroupId
from shared.domain.move import Move
from shared.domain.move_report import MemberBefore


class MoveStore(Protocol):
    """Moves by group, and the members of each as they were when it began."""

    async def insert(self, move: Move) -> Move:
        """Raises Conflict while another move of the group is open. A preview replaces an older one that is open."""
        ...

    async def get(self, group_id: GroupId, move_id: str = "") -> Move | None:
        """The move with this ID, or the newest one of the group."""
        ...

    async def save(self, move: Move) -> Move:
        """Raises Conflict if it was changed since it was read."""
        ...

    async def open(self) -> tuple[Move, ...]:
        """Moves that have not ended, previews that are being counted included."""
        ...

    async def write_page(self, move: Move, number: int, members: Sequence[MemberBefore]) -> None:
        """A page of the members at the start; a repeat replaces it."""
        ...

    def pages(self, move: Move) -> AsyncIterator[Sequence[MemberBefore]]:
        """The stored pages in order."""
        ...

    async def forget(self, before: datetime) -> int:
        """Delete moves that ended before a time, with their pages; returns how many."""
        ...
