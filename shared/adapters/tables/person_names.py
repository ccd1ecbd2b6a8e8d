"""A person's name in rows that stay, such as who requested an operation: the person's ID takes its place.

It reads whole tables, which takes about a minute for 100,000 rows; an erasure is rare.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from typing import Any

from shared.adapters.tables.client import LAST, Tables
from shared.adapters.tables.packing import dump
from shared.adapters.tables.rows import Op, Row, joined_body, split_body
from shared.domain.errors import Conflict
from shared.domain.ids import UserId
from shared.domain.initiator import InitiatorKind

PLACES: tuple[tuple[str, str, str, Collection[str]], ...] = (
    ("operations", "operation", "operation", ("initiator", "approvals", "approvedBy", "cancelledBy")),
    ("assignments", "assignment", f"history-{LAST}", ("changedBy",)),
    ("onboarding", "e", f"e{LAST}", ("sender", "approvals", "permittedBy", "cancelledBy", "decidedBy", "note")),
    ("profiles", "proposal", "proposal", ("by",)),
    ("moves", "group-", f"group-{LAST}", ("initiator", "paused", "pausedBy", "approvals", "approvedBy")),
    ("deadletters", "bulk", "bulk", ("initiator", "wanted")),
)
"""Table, first and last partition, and the fields of `body` that can hold a name. The content of an HR event is none of
them: an open event is carried out by it."""

INITIATOR = 6
"""Texts of a packed initiator: ID, name, kind, application, channel and claim."""

KINDS = frozenset(map(str, InitiatorKind))

MAX_TRIES = 5


class PersonNames:
    """The names of one person, and those found on the way beside the person's ID."""

    def __init__(self, tables: Tables, user_id: UserId, names: Iterable[str]) -> None:
        self._tables = tables
        self._user_id = user_id
        self._names = {name.casefold() for name in names if name} - {user_id}

    async def replace(self) -> dict[str, int]:
        """Returns how many rows of which table were changed. Raises Conflict for a row that others change all the
        time."""
        changed: dict[str, int] = {}
        for table, first, last, fields in PLACES:
            async for row in self._tables.query(table, first, to_partition=last):
                if self._renamed(row, fields) is not None:
                    changed[table] = changed.get(table, 0) + await self._write(table, row, fields)
        return changed

    async def _write(self, table: str, row: Row | None, fields: Collection[str]) -> int:
        for _ in range(MAX_TRIES):
            renamed = self._renamed(row, fields) if row is not None else None
            if row is None or renamed is None:
                return 0
            try:
                await self._tables.write(table, Op("replace", renamed, row["etag"]))
            except Conflict:
                row = await self._tables.get(table, row["PartitionKey"], row["RowKey"])
            else:
                return 1
        raise Conflict(f"A row of {table} was changed by others all the time; erase again.")

    def _renamed(self, row: Row, fields: Collection[str]) -> Row | None:
        """The row without the names; None if it has none."""
        body: dict[str, Any] = json.loads(joined_body(row))
        named = {name: body[name] for name in fields if name in body}
        self._names |= set(_names_beside(self._user_id, named)) - {self._user_id, ""}
        without = {name: self._without(value) for name, value in named.items()}
        if without == named:
            return None
        rest = {name: value for name, value in row.items() if name != "etag" and not re.fullmatch(r"body\d*", name)}
        return {**rest, **split_body(dump({**body, **without}))}

    def _without(self, value: Any) -> Any:
        if _is_initiator(value):
            # HR can give a person any name: that of another person, or a word that means something here.
            *rest, claimed = value
            if rest[0] == self._user_id and rest[1].casefold() in self._names:
                rest[1] = self._user_id
            return [*rest, self._user_id if claimed.casefold() in self._names else claimed]
        if isinstance(value, list):
            return [self._without(each) for each in value]
        if not isinstance(value, str):
            return value
        if value.casefold() in self._names:
            return self._user_id
        for name in self._names:
            # In the midst of a text, a number or a single word can mean anything.
            if ("@" in name or " " in name) and name in value.casefold():
                value = re.sub(rf"(?<![\w.@-]){re.escape(name)}(?![\w@-])", self._user_id, value, flags=re.IGNORECASE)
        return value


def _is_initiator(value: Any) -> bool:
    """Whether it is a packed initiator, and not another list of so many."""
    is_texts = isinstance(value, list) and len(value) == INITIATOR and all(isinstance(each, str) for each in value)
    return is_texts and value[2] in KINDS


def _names_beside(user_id: UserId, value: Any) -> list[str]:
    """Names that packed initiators have with the ID: an earlier sign-in name is a name too."""
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return []
    if _is_initiator(value) and value[0] == user_id:
        return [str(value[1]).casefold()]
    return [name for each in value for name in _names_beside(user_id, each)]
