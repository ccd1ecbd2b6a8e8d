"""Rows about one person across tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from shared.domain.ids import GroupId, UserId


class PersonStore(Protocol):
    async def rows(self, user_id: UserId, groups: Iterable[GroupId]) -> dict[str, list[dict[str, object]]]:
        """Rows about a user by table, as JSON can write them. `groups`: those whose members are looked through."""
        ...

    async def erase(self, user_id: UserId, groups: Iterable[GroupId], names: Sequence[str]) -> dict[str, int]:
        """Delete names of the user, member status, claims and kept messages that mention the user's ID or one of the
        names. In rows that stay, such as who requested an operation, the ID takes the place of the names. Returns how
        many rows of which table. What proves which licenses are the app's stays."""
        ...
