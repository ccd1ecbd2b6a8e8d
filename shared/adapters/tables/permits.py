"""Table `permits`: removal permits, and the state of removal allowances.

PartitionKey first hex digit of the user id, RowKey `{userId}-{skuId}-{source with : as -}`; `body` JSON of the permit.
Allowances: PartitionKey `allowance`, RowKey source; `body` as the domain writes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from shared.adapters.tables.by_user import ID_LENGTH, rows_of_users
from shared.adapters.tables.client import Tables
from shared.adapters.tables.packing import claims_json, claims_of, dump, must_be_time, plans_json, plans_of, time_text
from shared.adapters.tables.rows import Op, Row, joined_body, split_body
from shared.domain.grant import Source
from shared.domain.ids import SkuId, UserId
from shared.domain.permit import Permit
from shared.domain.snapshot_pages import partition_of

PERMITS = "permits"


ALLOWANCE = "allowance"


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
        "protected": permit.for_protected,
        "claims": claims_json(permit.claims),
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
        for_protected=body.get("protected", False),
        # A permit of a former version names no claim, so it permits nothing: the removal is decided again.
        claims=claims_of(body.get("claims", ())),
    )
