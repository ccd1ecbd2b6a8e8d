"""Rows about one person in all tables, for export and erasure. It knows the keys of other tables, and little else of
their rows. Rows of members are deleted by the module that writes them.

Kept by an erasure: `ledger`, `usergrants`, `permits` and `hr_states`. They have IDs only, and without them the app
could not prove which licenses are managed.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Iterable, Sequence, Set
from contextlib import suppress

from shared.adapters.tables.audit_names import NAME, NAMES, PAYLOAD, PAYLOADS
from shared.adapters.tables.by_user import rows_of_users
from shared.adapters.tables.client import LAST, Tables
from shared.adapters.tables.dead_letters import DEAD_LETTERS, LETTER
from shared.adapters.tables.hr_state import HR_STATES
from shared.adapters.tables.member_row import ERROR, MEMBER, left_row
from shared.adapters.tables.member_row import TABLE as MEMBERS
from shared.adapters.tables.members import TableMembers
from shared.adapters.tables.person_names import PersonNames
from shared.adapters.tables.rows import Op, Row, joined_bytes, split_bytes
from shared.domain.errors import Conflict, NotFound
from shared.domain.ids import GroupId, UserId
from shared.domain.messages import JOBS, ONBOARDING

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
        found[HR_STATES] = await self._some(HR_STATES, [(user_id[:1], user_id)])
        found[MEMBERS] = await self._some(MEMBERS, _member_keys(user_id, groups))
        found[MEMBERS] += [row async for row in self._tables.query(MEMBERS, *_left_keys(user_id))]
        found[NAMES] = await self._some(NAMES, [(NAME, user_id)])
        return {table: [_plain(row) for row in rows] for table, rows in found.items() if rows}

    async def erase(self, user_id: UserId, groups: Iterable[GroupId], names: Sequence[str]) -> dict[str, int]:
        texts = frozenset(name.casefold() for name in (user_id, *names) if name)
        erased = {
            MEMBERS: sum([await self._members.forget(group_id, [user_id]) for group_id in groups])
            + await self._tables.clear(MEMBERS, *_left_keys(user_id)),
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
        erased[DEAD_LETTERS] += await self._rename_in_jobs(user_id, texts - {user_id})
        for table, count in (await PersonNames(self._tables, user_id, names).replace()).items():
            erased[table] = erased.get(table, 0) + count
        return {table: count for table, count in erased.items() if count}

    async def _rename_in_jobs(self, user_id: UserId, names: Set[str]) -> int:
        """Put the ID in the place of the name in jobs that others may still need. A message that is no JSON object, or
        that has the name in another place, is deleted. Returns how many were changed or deleted."""
        changed = 0
        async for row in self._tables.query(DEAD_LETTERS, LETTER, equal={"queue": JOBS}):
            body = joined_bytes(row, "data")
            if not _has(_text(body), names):
                continue
            renamed = _renamed(body, user_id, names)
            rest = {name: value for name, value in row.items() if name != "etag" and not re.fullmatch(r"data\d*", name)}
            op = Op("replace", {**rest, "size": len(renamed), **split_bytes("data", renamed)}, row["etag"])
            # A letter that was replayed or deleted meanwhile is gone.
            with suppress(Conflict, NotFound):
                await self._tables.write(DEAD_LETTERS, op if renamed else Op("delete", _keys(row), row["etag"]))
                changed += 1
        return changed

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


def _left_keys(user_id: UserId) -> tuple[str, str, str]:
    """The partition, the first and the last key of the rows that name groups which the user has left."""
    row = left_row(GroupId(""), user_id)
    return row["PartitionKey"], row["RowKey"], f"{row['RowKey']}{LAST}"


def _has(text: str, wanted: Set[str]) -> bool:
    """Whether a JSON text has one of the names as a whole value: an employee number can be part of any other number."""
    # JSON can escape a letter, and a message of which only the beginning was kept is no JSON.
    folded = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text).casefold()
    return any(f'"{each}"' in folded for each in wanted)


def _renamed(body: bytes, user_id: UserId, names: Set[str]) -> bytes:
    """A job with the ID in the place of the name; empty if the name is still in it."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return b""
    if not isinstance(fields, dict):
        return b""
    texts = {name: user_id for name, value in fields.items() if isinstance(value, str) and value.casefold() in names}
    renamed = json.dumps({**fields, **texts}, separators=(",", ":"))
    return b"" if _has(renamed, names) else renamed.encode()


def _keys(row: Row) -> Row:
    return {name: row[name] for name in ("PartitionKey", "RowKey")}


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
