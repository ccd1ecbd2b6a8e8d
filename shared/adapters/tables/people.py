"""Tables `ledger`, `usergrants` and `permits`: what is known of a user, in the partition of the id's first hex digit.

So a chunk of users is one range query and one transaction.

`ledger`: RowKey userId; `body` JSON (see `_ledger_row`). `usergrants`: RowKey `{userId}-{kind}-{sourceId}-{skuId}`;
`body` JSON of the grant. `permits`: RowKey `{userId}-{skuId}-{source with : as -}`; `body` JSON of the permit. State of
removal allowances: table `permits`, PartitionKey `allowance`, RowKey source; `body` as the domain writes it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from shared.adapters.tables.client import LAST, Tables, gather_limited
from shared.adapters.tables.packing import (
    dump,
    grant_json,
    grant_of,
    intent_json,
    intent_of,
    must_be_time,
    owned_json,
    owned_of,
    plans_json,
    plans_of,
    refusal_json,
    refusal_of,
    result_json,
    result_of,
    time_of,
    time_text,
)
from shared.adapters.tables.rows import Op, Row, joined_body, split_body, transactions
from shared.domain.errors import Conflict, NotFound
from shared.domain.ledger import is_spent
from shared.domain.model import Grant, GroupId, LedgerRow, Permit, SkuId, Source, Told, UserId
from shared.domain.sealing import partition_of
from shared.ports import LedgerWrite

LEDGER = "ledger"
GRANTS = "usergrants"
PERMITS = "permits"
ALLOWANCE = "allowance"
ROWS_FOR_A_GET = 25
"""Rows of a range query that cost as much client CPU as one single get (50 microseconds against 1.3 milliseconds)."""
POINT_GETS = 8
DELETES = 16
"""Side by side: an operation on named users may take tens of thousands, in minutes."""
ID_LENGTH = 36


def by_partition(user_ids: Iterable[UserId]) -> dict[str, list[UserId]]:
    """Ids by partition, sorted."""
    found: dict[str, list[UserId]] = defaultdict(list)
    for user_id in sorted(set(user_ids)):
        found[partition_of(user_id)].append(user_id)
    return found


async def rows_of_users(tables: Tables, table: str, user_ids: Sequence[UserId]) -> list[Row]:
    """All rows of some users whose keys begin with the user's id.

    One range query per partition; where others' rows between them make that the dearer way, one range per user.
    """
    found: list[Row] = []
    for partition, ids in by_partition(user_ids).items():
        wanted = frozenset(ids)
        reached, seen = "", 0
        async for row in tables.query(table, partition, ids[0], f"{ids[-1]}{LAST}"):
            reached = row["RowKey"][:ID_LENGTH]
            seen += 1
            if reached in wanted:
                found.append(row)
            elif seen > ROWS_FOR_A_GET * len(ids):
                break
        else:
            continue
        calls = [partial(_rows_of_user, tables, table, each) for each in ids if each > reached]
        found += [row for rows in await gather_limited(calls, POINT_GETS) for row in rows]
    return found


async def _rows_of_user(tables: Tables, table: str, user_id: UserId) -> list[Row]:
    return [row async for row in tables.query(table, partition_of(user_id), user_id, f"{user_id}{LAST}")]


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
    return Op("create" if row.version is None else "replace", _ledger_row(row), row.version)


def _ledger_row(row: LedgerRow) -> Row:
    body: dict[str, Any] = {"owned": owned_json(row.owned)}
    if row.intent:
        body["intent"] = intent_json(row.intent)
    if row.last_result:
        body["last"] = result_json(row.last_result)
    for name, times in (
        ("seen", row.removal_seen_at),
        ("gone", row.gone_since),
        ("waiting", row.waiting_since),
        ("removed", row.removed_at),
    ):
        if times:
            body[name] = {key: time_text(at) for key, at in times.items()}
    if row.usage_location:
        body["location"] = row.usage_location
    if row.denied_since:
        body["denied"] = time_text(row.denied_since)
    if row.unseen:
        body["unseen"] = owned_json(row.unseen)
    if row.told:
        body["told"] = {group_id: [told.came, time_text(told.at)] for group_id, told in row.told.items()}
    if row.refusals:
        body["refusals"] = {sku_id: refusal_json(record) for sku_id, record in row.refusals.items()}
    return {"PartitionKey": partition_of(row.user_id), "RowKey": row.user_id, **split_body(dump(body))}


def _ledger(row: Row) -> LedgerRow:
    body = json.loads(joined_body(row))
    return LedgerRow(
        user_id=UserId(row["RowKey"]),
        owned=owned_of(body["owned"]),
        intent=intent_of(body["intent"]) if "intent" in body else None,
        last_result=result_of(body["last"]) if "last" in body else None,
        removal_seen_at={key: must_be_time(at) for key, at in body.get("seen", {}).items()},
        gone_since={SkuId(key): must_be_time(at) for key, at in body.get("gone", {}).items()},
        refusals={SkuId(key): refusal_of(value) for key, value in body.get("refusals", {}).items()},
        waiting_since={SkuId(key): must_be_time(at) for key, at in body.get("waiting", {}).items()},
        unseen=owned_of(body.get("unseen", {})),
        usage_location=body.get("location", ""),
        removed_at={SkuId(key): must_be_time(at) for key, at in body.get("removed", {}).items()},
        told={GroupId(key): Told(came, must_be_time(at)) for key, (came, at) in body.get("told", {}).items()},
        denied_since=time_of(body.get("denied")),
        version=row["etag"],
    )


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


class TablePermits:
    """Implements PermitStore."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def of_users(self, user_ids: Sequence[UserId]) -> Mapping[UserId, tuple[Permit, ...]]:
        found: dict[UserId, tuple[Permit, ...]] = dict.fromkeys(user_ids, ())
        for row in await rows_of_users(self._tables, PERMITS, user_ids):
            permit = _permit(row)
            found[permit.user_id] = (*found[permit.user_id], permit)
        return found

    async def put(self, permits: Iterable[Permit]) -> None:
        await self._tables.upsert_all(PERMITS, [_permit_row(permit) for permit in permits])

    async def forget(self, partition: str, given_before: datetime) -> int:
        return await self._tables.clear(PERMITS, partition, where=lambda row: _permit(row).at < given_before)

    async def allowance(self, source: str) -> tuple[str, str | None]:
        row = await self._tables.get(PERMITS, ALLOWANCE, source)
        return (joined_body(row), row["etag"]) if row else ("", None)

    async def save_allowance(self, source: str, state: str, etag: str | None) -> None:
        row = {"PartitionKey": ALLOWANCE, "RowKey": source, **split_body(state)}
        await self._tables.write(PERMITS, Op("create" if etag is None else "replace", row, etag, counts=True))


def _permit_row(permit: Permit) -> Row:
    source = str(permit.source).replace(":", "-")
    body = {
        "source": str(permit.source),
        "at": time_text(permit.at),
        "by": permit.given_by,
        "plans": plans_json(permit.plans),
        "approval": permit.by_approval,
    }
    key = f"{permit.user_id}-{permit.sku_id}-{source}"
    return {"PartitionKey": partition_of(permit.user_id), "RowKey": key, **split_body(dump(body))}


def _permit(row: Row) -> Permit:
    body = json.loads(joined_body(row))
    key = row["RowKey"]
    return Permit(
        user_id=UserId(key[:ID_LENGTH]),
        sku_id=SkuId(key[ID_LENGTH + 1 : 2 * ID_LENGTH + 1]),
        source=Source.parse(body["source"]),
        at=must_be_time(body["at"]),
        given_by=body["by"],
        plans=plans_of(body["plans"]),
        by_approval=body["approval"],
    )
