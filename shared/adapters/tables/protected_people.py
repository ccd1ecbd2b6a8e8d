"""Table `protectedpeople`: protected people, as last read from the directory.

PartitionKey `person`, RowKey user id; `body` JSON: `reasons`, `until`. PartitionKey `list`, RowKey `read`; `body` JSON:
`readAt` of the last complete read, `fault` of the latest one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from shared.adapters.tables.client import Tables
from shared.adapters.tables.packing import dump, time_of, time_text
from shared.adapters.tables.rows import Op, Row, joined_body, split_body
from shared.domain.ids import UserId
from shared.domain.protected_people import Protected, ProtectedList

TABLE = "protectedpeople"
PERSON = "person"
LIST, READ = "list", "read"


class TableProtectedPeople:
    """Implements ProtectedPeopleStore."""

    def __init__(self, tables: Tables, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._tables = tables
        self._monotonic = monotonic
        self._known: tuple[float, ProtectedList] | None = None

    async def load(self, max_age_s: float = 0.0) -> ProtectedList:
        known = self._known
        # A list that has never been read holds up every removal, so its first reading is noticed at once.
        if known is None or known[1].read_at is None or self._monotonic() - known[0] >= max_age_s:
            asked = self._monotonic()
            state = await self._tables.get(TABLE, LIST, READ)
            people = {UserId(row["RowKey"]): _person(row) async for row in self._tables.query(TABLE, PERSON)}
            body = json.loads(joined_body(state)) if state else {}
            found = ProtectedList(people, time_of(body.get("readAt")), body.get("fault", ""))
            known = self._known = (asked, found)
        return known[1]

    async def save(self, found: ProtectedList) -> None:
        """New people first, then the state, and those who are over last: a crash in between protects more."""
        before = {row["RowKey"] async for row in self._tables.query(TABLE, PERSON)}
        await self._tables.upsert_all(TABLE, [_row(user_id, each) for user_id, each in found.people.items()])
        body = {"readAt": time_text(found.read_at), "fault": found.fault}
        row = {"PartitionKey": LIST, "RowKey": READ, **split_body(dump(body))}
        await self._tables.write(TABLE, Op("upsert", row))
        for user_id in sorted(before - found.people.keys()):
            await self._tables.delete(TABLE, PERSON, user_id)
        self._known = None


def _row(user_id: UserId, person: Protected) -> Row:
    body = {"reasons": list(person.reasons), "until": time_text(person.until)}
    return {"PartitionKey": PERSON, "RowKey": user_id, **split_body(dump(body))}


def _person(row: Row) -> Protected:
    body = json.loads(joined_body(row))
    return Protected(tuple(body["reasons"]), time_of(body["until"]))
