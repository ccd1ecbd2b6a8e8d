"""Table `ledger`: what the app knows of each user.

PartitionKey first hex digit of the user id, RowKey userId; `body` JSON (see `_ledger_row`).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from shared.adapters.tables.by_user import rows_of_users
from shared.adapters.tables.client import Tables
from shared.adapters.tables.packing import (
    dump,
    intent_json,
    intent_of,
    managed_json,
    managed_of,
    must_be_time,
    rejection_json,
    rejection_of,
    result_json,
    result_of,
    time_of,
    time_text,
)
from shared.adapters.tables.rows import Op, Row, joined_body, split_body, transactions
from shared.domain.errors import Conflict, NotFound
from shared.domain.ids import GroupId, SkuId, UserId
from shared.domain.ledger import is_spent
from shared.domain.ledger_row import LedgerRow, ObservedEvent
from shared.domain.snapshot_pages import partition_of
from shared.ports.stores import LedgerWrite

LEDGER = "ledger"


class TableLedger:
    """Implements LedgerStore."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def rows(self, user_ids: Sequence[UserId]) -> Mapping[UserId, LedgerRow]:
        known = {row.user_id: row for row in map(_ledger, await rows_of_users(self._tables, LEDGER, user_ids))}
        return {user_id: known.get(user_id) or LedgerRow(user_id) for user_id in user_ids}

    async def write(self, rows: Sequence[LedgerRow]) -> Mapping[UserId, LedgerWrite]:
        groups: dict[str, list[LedgerRow]] = defaultdict(list)
        for row in rows:
            groups[partition_of(row.user_id)].append(row)
        written: dict[UserId, LedgerWrite] = {}
        for partition_rows in groups.values():
            by_key = {str(row.user_id): row for row in partition_rows}
            for ops in transactions([_ledger_op(row)] for row in by_key.values()):
                written.update(await self._write([by_key[op.row["RowKey"]] for op in ops], ops))
        return written

    async def _write(self, rows: Sequence[LedgerRow], ops: Sequence[Op]) -> dict[UserId, LedgerWrite]:
        if len(ops) > 1:
            try:
                etags = await self._tables.transact(LEDGER, ops)
                pairs = zip(rows, etags, strict=True)
                return {row.user_id: LedgerWrite(replace(row, version=etag)) for row, etag in pairs}
            except (Conflict, NotFound):
                pass
        written: dict[UserId, LedgerWrite] = {}
        for row, op in zip(rows, ops, strict=True):
            try:
                written[row.user_id] = LedgerWrite(replace(row, version=await self._tables.write(LEDGER, op)))
            except (Conflict, NotFound):
                written[row.user_id] = LedgerWrite(row, lost=True)
        return written

    async def partition(self, partition: str) -> AsyncIterator[LedgerRow]:
        async for row in self._tables.query(LEDGER, partition):
            yield _ledger(row)

    async def forget(self, partition: str, before: datetime) -> int:
        return await self._tables.clear(LEDGER, partition, where=lambda row: is_spent(_ledger(row), before))


def _ledger_op(row: LedgerRow) -> Op:
    # A row without an intent may be rewritten as it is, only to have a new ETag: then equal content proves nothing.
    counts = row.intent is None
    return Op("create" if row.version is None else "replace", _ledger_row(row), row.version, counts=counts)


def _ledger_row(row: LedgerRow) -> Row:
    body: dict[str, Any] = {"owned": managed_json(row.managed)}
    if row.intent:
        body["intent"] = intent_json(row.intent)
    if row.last_result:
        body["last"] = result_json(row.last_result)
    for name, times in (
        ("seen", row.removal_seen_at),
        ("gone", row.gone_since),
        ("waiting", row.waiting_since),
        ("removed", row.removed_at),
        ("withheld", row.withheld_since),
    ):
        if times:
            body[name] = {key: time_text(at) for key, at in times.items()}
    if row.usage_location:
        body["location"] = row.usage_location
    if row.denied_since:
        body["denied"] = time_text(row.denied_since)
    if row.unseen:
        body["unseen"] = managed_json(row.unseen)
    if row.observed:
        body["told"] = {
            group_id: [observed.came, time_text(observed.at)] for group_id, observed in row.observed.items()
        }
    if row.rejections:
        body["refusals"] = {sku_id: rejection_json(record) for sku_id, record in row.rejections.items()}
    return {"PartitionKey": partition_of(row.user_id), "RowKey": row.user_id, **split_body(dump(body))}


def _ledger(row: Row) -> LedgerRow:
    body = json.loads(joined_body(row))
    return LedgerRow(
        user_id=UserId(row["RowKey"]),
        managed=managed_of(body["owned"]),
        intent=intent_of(body["intent"]) if "intent" in body else None,
        last_result=result_of(body["last"]) if "last" in body else None,
        removal_seen_at={key: must_be_time(at) for key, at in body.get("seen", {}).items()},
        gone_since={SkuId(key): must_be_time(at) for key, at in body.get("gone", {}).items()},
        rejections={SkuId(key): rejection_of(value) for key, value in body.get("refusals", {}).items()},
        waiting_since={SkuId(key): must_be_time(at) for key, at in body.get("waiting", {}).items()},
        unseen=managed_of(body.get("unseen", {})),
        usage_location=body.get("location", ""),
        removed_at={SkuId(key): must_be_time(at) for key, at in body.get("removed", {}).items()},
        withheld_since={SkuId(key): must_be_time(at) for key, at in body.get("withheld", {}).items()},
        observed={
            GroupId(key): ObservedEvent(came, must_be_time(at)) for key, (came, at) in body.get("told", {}).items()
        },
        denied_since=time_of(body.get("denied")),
        version=row["etag"],
    )
