"""Tables `sealed` and `chunks`: the work of an operation and what came of it.

`sealed`: PartitionKey `{operationId}-{sealId}`, RowKey page as 6 digits; `ids0`.. (16 bytes a user, sorted), `which`
(2 bytes a user: index of its action), `actions0`.. (zlib-compressed JSON, see `_action_json`), `firstChunk` (int).
`chunks`: PartitionKey operationId, RowKey chunk as 8 digits; `body` JSON {userId: [outcome, wrote 0/1, retry time]}.
"""

from __future__ import annotations

import asyncio
import json
import random
import zlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shared.adapters.tables.client import LAST, Tables
from shared.adapters.tables.packing import dump, licenses_json, licenses_of, pack_ids, time_of, time_text, unpack_ids
from shared.adapters.tables.rows import Op, Row, joined_body, joined_bytes, split_body, split_bytes
from shared.domain.errors import Conflict, NotFound, Unavailable
from shared.domain.model import OperationId, SkuId, UserId
from shared.domain.outcomes import ChunkOutcome, OutcomeClass, merge
from shared.domain.sealing import PlannedAction, SealedPage

SEALED = "sealed"
CHUNKS = "chunks"
MAX_TRIES = 20


class TableSealed:
    """Implements SealedStore."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def write(self, operation_id: OperationId, seal_id: str, pages: Iterable[SealedPage]) -> None:
        await self._tables.upsert_all(SEALED, [_page_row(f"{operation_id}-{seal_id}", page) for page in pages])

    async def page(self, operation_id: OperationId, seal_id: str, number: int) -> SealedPage:
        row = await self._tables.get(SEALED, f"{operation_id}-{seal_id}", f"{number:06d}")
        if row is None:
            raise NotFound(f"operation {operation_id} has no sealed page {number}")
        return _page(row)

    async def forget(self, operation_id: OperationId) -> int:
        return await self._tables.clear(SEALED, f"{operation_id}-", to_partition=f"{operation_id}-{LAST}")


def _page_row(partition: str, page: SealedPage) -> Row:
    which = array("H", page.action_of)
    actions = zlib.compress(dump([_action_json(action) for action in page.actions]).encode())
    return {
        "PartitionKey": partition,
        "RowKey": f"{page.number:06d}",
        "firstChunk": page.first_chunk,
        "which": which.tobytes(),
        **split_bytes("ids", pack_ids(page.user_ids)),
        **split_bytes("actions", actions),
    }


def _page(row: Row) -> SealedPage:
    which = array("H")
    which.frombytes(row["which"])
    actions = json.loads(zlib.decompress(joined_bytes(row, "actions")))
    return SealedPage(
        number=int(row["RowKey"]),
        user_ids=unpack_ids(joined_bytes(row, "ids")),
        actions=tuple(_action(each) for each in actions),
        action_of=tuple(which),
        first_chunk=int(row["firstChunk"]),
    )


def _action_json(action: PlannedAction) -> list[Any]:
    return [
        action.due,
        str(action.expected),
        licenses_json(action.add),
        list(action.remove),
        licenses_json(action.plans_off),
        action.usage_location,
        list(action.notes),
        list(action.errors),
    ]


def _action(value: list[Any]) -> PlannedAction:
    # Rows written before there were expected errors end with the notes.
    due, expected, add, remove, plans_off, location, notes, *errors = value
    return PlannedAction(
        due,
        OutcomeClass(expected),
        licenses_of(add),
        tuple(SkuId(sku_id) for sku_id in remove),
        licenses_of(plans_off),
        location,
        tuple(notes),
        tuple(*errors),
    )


class TableChunks:
    """Implements ChunkStore."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def report(
        self, operation_id: OperationId, chunk: int, outcomes: Sequence[ChunkOutcome]
    ) -> tuple[ChunkOutcome, ...]:
        key = f"{chunk:08d}"
        known: dict[UserId, ChunkOutcome] = {}
        etag: str | None = None
        for _ in range(MAX_TRIES):
            for outcome in outcomes:
                known[outcome.user_id] = merge(known.get(outcome.user_id), outcome)
            row = {"PartitionKey": operation_id, "RowKey": key, **split_body(_outcomes_json(known.values()))}
            try:
                await self._tables.write(CHUNKS, Op("create" if etag is None else "replace", row, etag))
                return tuple(known.values())
            except Conflict:
                if etag is not None:
                    await asyncio.sleep(random.uniform(0.01, 0.1))  # noqa: S311 - spreads racers, guards no secret
            stored = await self._tables.get(CHUNKS, operation_id, key)
            known = {outcome.user_id: outcome for outcome in _outcomes(stored)} if stored else {}
            etag = stored["etag"] if stored else None
        raise Unavailable(5.0, f"chunk {chunk} of operation {operation_id}: too many lost updates")

    async def rows(self, operation_id: OperationId, first: int, last: int) -> Mapping[int, tuple[ChunkOutcome, ...]]:
        found = self._tables.query(CHUNKS, operation_id, f"{first:08d}", f"{last:08d}")
        return {int(row["RowKey"]): _outcomes(row) async for row in found}

    async def forget(self, operation_id: OperationId) -> int:
        return await self._tables.clear(CHUNKS, operation_id)


def _outcomes_json(outcomes: Iterable[ChunkOutcome]) -> str:
    return dump({each.user_id: [str(each.outcome), int(each.wrote), time_text(each.retry_at)] for each in outcomes})


def _outcomes(row: Row) -> tuple[ChunkOutcome, ...]:
    return tuple(
        ChunkOutcome(UserId(user_id), OutcomeClass(outcome), bool(wrote), time_of(retry_at))
        for user_id, (outcome, wrote, retry_at) in json.loads(joined_body(row)).items()
    )
