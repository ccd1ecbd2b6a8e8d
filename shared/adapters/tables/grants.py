"""Table `usergrants`: grants of single users.

PartitionKey first hex digit of the user id, RowKey `{userId}-{kind}-{sourceId}-{skuId}`; `body` JSON of the grant.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from functools import partial

from shared.adapters.tables.by_user import ID_LENGTH, rows_of_users
from shared.adapters.tables.client import Tables, gather_limited
from shared.adapters.tables.packing import dump, grant_json, grant_of
from shared.adapters.tables.rows import Row, joined_body, split_body
from shared.domain.grant import Grant
from shared.domain.ids import UserId
from shared.domain.snapshot_pages import partition_of

GRANTS = "usergrants"


DELETES = 16
"""Side by side: an operation on named users may take tens of thousands, in minutes."""


class TableGrants:
    """Implements GrantStore."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def of_users(self, user_ids: Sequence[UserId]) -> Mapping[UserId, tuple[Grant, ...]]:
        found: dict[UserId, tuple[Grant, ...]] = dict.fromkeys(user_ids, ())
        for row in await rows_of_users(self._tables, GRANTS, user_ids):
            user_id = UserId(row["RowKey"][:ID_LENGTH])
            found[user_id] = (*found[user_id], grant_of(json.loads(joined_body(row))))
        return found

    async def put(self, grants: Iterable[tuple[UserId, Grant]]) -> None:
        await self._tables.upsert_all(GRANTS, [_grant_row(user_id, grant) for user_id, grant in grants])

    async def remove(self, grants: Iterable[tuple[UserId, Grant]]) -> None:
        rows = [_grant_row(user_id, grant) for user_id, grant in grants]
        calls = [partial(self._tables.delete, GRANTS, row["PartitionKey"], row["RowKey"]) for row in rows]
        await gather_limited(calls, DELETES)

    async def partition(self, partition: str) -> AsyncIterator[tuple[UserId, Grant]]:
        async for row in self._tables.query(GRANTS, partition):
            yield UserId(row["RowKey"][:ID_LENGTH]), grant_of(json.loads(joined_body(row)))


def _grant_row(user_id: UserId, grant: Grant) -> Row:
    key = f"{user_id}-{grant.source.kind}-{grant.source.id}-{grant.sku_id}"
    return {"PartitionKey": partition_of(user_id), "RowKey": key, **split_body(dump(grant_json(grant)))}
