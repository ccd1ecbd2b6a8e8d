"""Table `chunks`: the outcome of each user of an operation, one row per chunk.

PartitionKey operationId, RowKey chunk as 8 digits; `body` JSON {userId: [outcome, wrote 0/1, retry time]}.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterable, Mapping, Sequence

from shared.adapters.tables.client import Tables
from shared.adapters.tables.packing import dump, time_of, time_text
from shared.adapters.tables.rows import Op, Row, joined_body, split_body
from shared.domain.errors import Conflict, Unavailable
from shared.domain.ids import OperationId, UserId
from shared.domain.outcomes import ChunkOutcome, OutcomeClass, merge

CHUNKS = "chunks"


MAX_TRIES = 20


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
