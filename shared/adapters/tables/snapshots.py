"""Table `snapshot`: the users of an operation, one row per page.

PartitionKey `{operationId}-{sealId}`, RowKey page as 6 digits; `ids0`.. (16 bytes a user, sorted), `which` (2 bytes a
user: index of its action), `actions0`.. (zlib-compressed JSON, see `_action_json`), `firstChunk` (int). Of a preview
also `{operationId}-{sealId}-errors`, with the users who have predicted errors alone.
"""

from __future__ import annotations

import json
import zlib
from array import array
from collections.abc import Iterable
from typing import Any

from shared.adapters.tables.client import LAST, Tables
from shared.adapters.tables.packing import (
    claims_json,
    claims_of,
    dump,
    licenses_json,
    licenses_of,
    pack_ids,
    unpack_ids,
)
from shared.adapters.tables.rows import Row, joined_bytes, split_bytes
from shared.domain.directory import LicenseError
from shared.domain.errors import NotFound
from shared.domain.graph_errors import remedy_for
from shared.domain.ids import OperationId, SkuId
from shared.domain.outcomes import OutcomeClass, Problem
from shared.domain.predicted_errors import Certainty, PredictedError
from shared.domain.snapshot_pages import PlannedAction, SnapshotPage

SNAPSHOTS = "sealed"


class TableSnapshots:
    """Implements SealedStore."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def write(self, operation_id: OperationId, snapshot_id: str, pages: Iterable[SnapshotPage]) -> None:
        await self._tables.upsert_all(SNAPSHOTS, [_page_row(f"{operation_id}-{snapshot_id}", page) for page in pages])

    async def page(self, operation_id: OperationId, snapshot_id: str, number: int) -> SnapshotPage:
        row = await self._tables.get(SNAPSHOTS, f"{operation_id}-{snapshot_id}", f"{number:06d}")
        if row is None:
            raise NotFound(f"operation {operation_id} has no snapshot page {number}")
        return _page(row)

    async def forget(self, operation_id: OperationId) -> int:
        return await self._tables.clear(SNAPSHOTS, f"{operation_id}-", to_partition=f"{operation_id}-{LAST}")


def _page_row(partition: str, page: SnapshotPage) -> Row:
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


def _page(row: Row) -> SnapshotPage:
    which = array("H")
    which.frombytes(row["which"])
    actions = json.loads(zlib.decompress(joined_bytes(row, "actions")))
    return SnapshotPage(
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
        [_error_json(each) for each in action.errors],
        [[sku_id, claims_json(claims)] for sku_id, claims in action.claims],
    ]


def _action(value: list[Any]) -> PlannedAction:
    # Rows of former versions have no claims, so an approval of them permits nothing, and older ones no expected errors.
    due, expected, add, remove, plans_off, location, notes, errors, claims = (*value, [], [])[:9]
    return PlannedAction(
        due,
        OutcomeClass(expected),
        licenses_of(add),
        tuple(SkuId(sku_id) for sku_id in remove),
        licenses_of(plans_off),
        location,
        tuple(notes),
        tuple(_error(each) for each in errors),
        tuple((SkuId(sku_id), tuple(sorted(claims_of(each)))) for sku_id, each in claims),
    )


def _error_json(error: PredictedError) -> list[Any]:
    problem = error.problem
    return [
        str(problem.error),
        problem.sku_id,
        problem.text,
        problem.remedy,
        list(error.because),
        str(error.certainty),
    ]


def _error(value: list[Any] | str) -> PredictedError:
    if isinstance(value, str):  # rows of former versions have the error, and after a blank the SKU
        name, _, sku = value.partition(" ")
        return PredictedError(Problem(LicenseError(name), "", remedy_for(LicenseError(name)), SkuId(sku) or None))
    name, sku_id, text, remedy, because, certainty = value
    problem = Problem(LicenseError(name), text, remedy, SkuId(sku_id) if sku_id else None)
    return PredictedError(problem, tuple(map(SkuId, because)), Certainty(certainty))
