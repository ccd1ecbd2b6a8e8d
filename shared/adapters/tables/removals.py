"""Table `removals`: removals that wait or were let go by an allowance, and the decision about their scope.

PartitionKey the scope: a source such as `group:{groupId}`, or `tenant`. RowKey `{userId}-{skuId}-{ms first seen}`:
`body` JSON of the removal, `since` (text, for deletion). RowKey `state`: `body` JSON of the state, `missing0`.. (16
bytes a user). State and decided rows of a scope are written in one transaction.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import partial

from shared.adapters.tables.by_user import ID_LENGTH
from shared.adapters.tables.client import LAST, Tables, gather_limited
from shared.adapters.tables.packing import (
    dump,
    must_be_time,
    pack_ids,
    plans_json,
    plans_of,
    time_of,
    time_text,
    unpack_ids,
)
from shared.adapters.tables.rows import MAX_TRANSACTION, Op, Row, joined_body, joined_bytes, split_body, split_bytes
from shared.domain.errors import Conflict
from shared.domain.grant import Source
from shared.domain.ids import OperationId, SkuId, UserId, What
from shared.domain.pending_removal import HELD, Hold, HoldKind, PendingRemoval, ScopeState
from shared.domain.permit import Claim
from shared.ports.stores import StoredRemovals

REMOVALS = "removals"
STATE = "state"
LAST_USER = "g"
"""Behind every row of a user, whose id begins with a hex digit, and before the state."""

AT_ONCE = 8

FEW = 20
"""Users, those of a chunk, up to which single reads are cheaper than reading a scope, which can hold everybody."""


class TableRemovals:
    """Implements RemovalStore."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def state(self, scope: str) -> StoredRemovals:
        row = await self._tables.get(REMOVALS, scope, STATE)
        return StoredRemovals(_state(row), row["etag"]) if row else StoredRemovals(ScopeState(), None)

    async def load(self, scope: str, most: int | None = None) -> StoredRemovals:
        # The state first: a decision saved after it was read changes its ETag, so that no row is judged by it.
        stored = await self.state(scope)
        rows: list[PendingRemoval] = []
        async for row in self._tables.query(REMOVALS, scope, "", LAST_USER):
            if len(rows) == most:
                break
            rows.append(_removal(row))
        return StoredRemovals(stored.state, stored.etag, tuple(rows))

    async def note(self, scope: str, rows: Iterable[PendingRemoval]) -> None:
        by_key = {row["RowKey"]: row for row in (_row(scope, each) for each in rows)}
        ops = [Op("create", row) for row in by_key.values()]
        for start in range(0, len(ops), MAX_TRANSACTION):
            await self._create(ops[start : start + MAX_TRANSACTION])

    async def _create(self, ops: Sequence[Op]) -> None:
        try:
            await self._tables.transact(REMOVALS, ops)
        except Conflict:
            if len(ops) > 1:
                await gather_limited([partial(self._create, [op]) for op in ops], AT_ONCE)

    async def save(
        self, scope: str, state: ScopeState, etag: str | None, decided: Iterable[PendingRemoval] = ()
    ) -> None:
        first = Op("create" if etag is None else "replace", _state_row(scope, state), etag, counts=True)
        rest = [
            Op("upsert", row) for row in {each["RowKey"]: each for each in (_row(scope, d) for d in decided)}.values()
        ]
        await self._tables.transact(REMOVALS, [first, *rest[: MAX_TRANSACTION - 1]])
        await self._tables.upsert_all(REMOVALS, [op.row for op in rest[MAX_TRANSACTION - 1 :]])

    async def drop(self, scope: str, removals: Iterable[What]) -> None:
        over = set(removals)
        users = {user_id for user_id, _ in over}

        def is_over(row: Row) -> bool:
            return _what(row) in over and not _removal(row).allowed_at

        if len(users) > FEW:
            await self._tables.clear(REMOVALS, scope, "", LAST_USER, where=is_over)
            return
        found = await gather_limited([partial(self._of_user, scope, user_id) for user_id in sorted(users)], AT_ONCE)
        await self._tables.delete_rows(REMOVALS, [row for rows in found for row in rows if is_over(row)])

    async def _of_user(self, scope: str, user_id: UserId) -> list[Row]:
        return [row async for row in self._tables.query(REMOVALS, scope, f"{user_id}-", f"{user_id}-{LAST}")]

    async def forget(self, seen_before: datetime) -> int:
        def is_old(row: Row) -> bool:
            return not row["PartitionKey"].endswith(HELD) and must_be_time(row["since"]) < seen_before

        return await self._tables.clear(REMOVALS, "", "", LAST_USER, to_partition=LAST, where=is_old)


def _key(removal: PendingRemoval) -> str:
    return f"{removal.user_id}-{removal.sku_id}-{int(removal.since.timestamp() * 1000):013d}"


def _row(scope: str, removal: PendingRemoval) -> Row:
    body = {
        "source": str(removal.claim.source),
        "version": removal.claim.version,
        "since": time_text(removal.since),
        "plans": plans_json(removal.plans),
        "allowed": time_text(removal.allowed_at),
    }
    since = removal.since.astimezone(UTC).isoformat()
    return {"PartitionKey": scope, "RowKey": _key(removal), **split_body(dump(body)), "since": since}


def _what(row: Row) -> What:
    key = row["RowKey"]
    return UserId(key[:ID_LENGTH]), SkuId(key[ID_LENGTH + 1 : 2 * ID_LENGTH + 1])


def _removal(row: Row) -> PendingRemoval:
    body, (user_id, sku_id) = json.loads(joined_body(row)), _what(row)
    return PendingRemoval(
        claim=Claim(Source.parse(body["source"]), body["version"]),
        user_id=user_id,
        sku_id=sku_id,
        since=must_be_time(body["since"]),
        plans=plans_of(body["plans"]),
        allowed_at=time_of(body["allowed"]),
    )


def _state_row(scope: str, state: ScopeState) -> Row:
    hold = state.hold
    body = {
        "hold": [time_text(hold.at), hold.reason, hold.kind] if hold else None,
        "counted": time_text(state.counted_at),
        "approvals": sorted(state.approvals),
    }
    return {
        "PartitionKey": scope,
        "RowKey": STATE,
        **split_body(dump(body)),
        **split_bytes("missing", pack_ids(sorted(state.missing))),
    }


def _state(row: Row) -> ScopeState:
    body = json.loads(joined_body(row))
    hold = body["hold"]
    return ScopeState(
        hold=Hold(must_be_time(hold[0]), hold[1], *map(HoldKind, hold[2:])) if hold else None,
        counted_at=time_of(body["counted"]),
        missing=frozenset(unpack_ids(joined_bytes(row, "missing"))),
        approvals=frozenset(OperationId(each) for each in body["approvals"]),
    )
