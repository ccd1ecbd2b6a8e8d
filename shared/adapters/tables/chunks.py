"""Table `chunks`: the outcome of each user of an operation, one row per chunk.

PartitionKey operationId, RowKey chunk as 8 digits; `body` JSON {userId: [outcome, wrote 0/1, retry time]}.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial

from shared.adapters.tables.client import Tables
from shared.adapters.tables.packing import dump, time_of, time_text
from shared.adapters.tables.rows import Op, Row, joined_body, split_body
from shared.domain.concurrency import update
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

        def merged(stored: Row | None) -> tuple[Op, tuple[ChunkOutcome, ...]]:
            known = {outcome.user_id: outcome for outcome in _outcomes(stored)} if stored else {}
            for outcome in outcomes:
                known[outcome.user_id] = merge(known.get(outcome.user_id), outcome)
            row = {"PartitionKey": operation_id, "RowKey": key, **split_body(_outcomes_json(known.values()))}
            return Op("replace" if stored else "create", row, stored["etag"] if stored else None), tuple(known.values())

        async def save(changed: tuple[Op, tuple[ChunkOutcome, ...]]) -> tuple[ChunkOutcome, ...]:
            op, known = changed
            try:
                await self._tables.write(CHUNKS, op)
            except Conflict:
                if op.etag is not None:
                    await asyncio.sleep(random.uniform(0.01, 0.1))  # noqa: S311 - spreads racers, guards no secret
                raise
            return known

        # Most chunks report once, so the first write reads nothing.
        with suppress(Conflict):
            return await save(merged(None))
        read = partial(self._tables.get, CHUNKS, operation_id, key)
        lost = Unavailable(5.0, f"chunk {chunk} of operation {operation_id}: too many lost updates")
        return await update(read, merged, save, tries=MAX_TRIES - 1, lost=lost)

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
