"""Rows about one person in all tables, for export and erasure. It knows the keys of other tables, and nothing else of
their rows. Rows of members are deleted by the module that writes them.

Kept by an erasure: `ledger`, `usergrants`, `permits` and `standings`. They have IDs only, and without them the app
could not prove which licenses are managed.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterable, Sequence, Set

from shared.adapters.tables.audit_names import NAME, NAMES, PAYLOAD, PAYLOADS
from shared.adapters.tables.by_user import rows_of_users
from shared.adapters.tables.client import Tables
from shared.adapters.tables.dead_letters import DEAD_LETTERS, LETTER
from shared.adapters.tables.hr_state import STANDINGS
from shared.adapters.tables.member_row import ERROR, MEMBER
from shared.adapters.tables.member_row import TABLE as MEMBERS
from shared.adapters.tables.members import TableMembers
from shared.adapters.tables.person_names import PersonNames
from shared.adapters.tables.rows import Row, joined_bytes
from shared.domain.ids import GroupId, UserId
from shared.domain.messages import ONBOARDING

BY_USER = ("ledger", "usergrants", "permits")
_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")
FIRST_CLAIM, LAST_CLAIM = "claim000000", "claim999999"


class TablePeople:
    """Implements PersonStore."""

    def __init__(self, tables: Tables, members: TableMembers) -> None:
        self._tables = tables
        self._members = members

    async def rows(self, user_id: UserId, groups: Iterable[GroupId]) -> dict[str, list[dict[str, object]]]:
        found = {table: await rows_of_users(self._tables, table, [user_id]) for table in BY_USER}
        found[STANDINGS] = await self._some(STANDINGS, [(user_id[:1], user_id)])
        found[MEMBERS] = await self._some(MEMBERS, _member_keys(user_id, groups))
        found[NAMES] = await self._some(NAMES, [(NAME, user_id)])
        return {table: [_plain(row) for row in rows] for table, rows in found.items() if rows}

    async def erase(self, user_id: UserId, groups: Iterable[GroupId], names: Sequence[str]) -> dict[str, int]:
        texts = frozenset(name.casefold() for name in (user_id, *names) if name)
        erased = {
            MEMBERS: sum([await self._members.forget(group_id, [user_id]) for group_id in groups]),
            NAMES: await self._delete(NAMES, [(NAME, user_id)])
            + await self._tables.clear(
                NAMES, FIRST_CLAIM, to_partition=LAST_CLAIM, where=lambda row: str(row["text"]).casefold() in texts
            ),
            PAYLOADS: await self._tables.clear(PAYLOADS, PAYLOAD, where=lambda row: _has(_payload(row), texts)),
            DEAD_LETTERS: await self._tables.clear(
                DEAD_LETTERS,
                LETTER,
                where=lambda row: row["queue"] == ONBOARDING and _has(_text(joined_bytes(row, "data")), texts),
            ),
        }
        for table, count in (await PersonNames(self._tables, user_id, names).replace()).items():
            erased[table] = erased.get(table, 0) + count
        return {table: count for table, count in erased.items() if count}

    async def _some(self, table: str, keys: Iterable[tuple[str, str]]) -> list[Row]:
        rows = [await self._tables.get(table, *key) for key in keys]
        return [row for row in rows if row is not None]

    async def _delete(self, table: str, keys: Iterable[tuple[str, str]]) -> int:
        rows = await self._some(table, keys)
        for row in rows:
            await self._tables.delete(table, row["PartitionKey"], row["RowKey"])
        return len(rows)


def _member_keys(user_id: UserId, groups: Iterable[GroupId]) -> list[tuple[str, str]]:
    return [(group_id, f"{kind}{user_id}") for group_id in groups for kind in (MEMBER, ERROR)]


def _has(text: str, wanted: Set[str]) -> bool:
    """Whether a JSON text has one of the names as a whole value: an employee number can be part of any other number."""
    # JSON can escape a letter, and a message of which only the beginning was kept is no JSON.
    folded = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text).casefold()
    return any(f'"{each}"' in folded for each in wanted)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _payload(row: Row) -> str:
    parts = [joined_bytes(row, name) for name in ("original", "corrected")]
    return " ".join(_text(zlib.decompress(part)) for part in parts if part)


def _plain(row: Row) -> dict[str, object]:
    """The row as JSON can write it: bytes in base64."""
    return {
        name: base64.b64encode(value).decode() if isinstance(value, bytes) else value
        for name, value in row.items()
        if name != "etag"
    }
