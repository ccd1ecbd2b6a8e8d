"""Table `health`: PartitionKey `health`, RowKey `record`; `body`: a HealthRecord as JSON, times in ISO 8601, UTC."""

from __future__ import annotations

import json
from collections.abc import Callable

from shared.adapters.tables.client import Tables
from shared.adapters.tables.packing import dump, time_of, time_text
from shared.adapters.tables.rows import Op, joined_body, split_body
from shared.domain.canary import Canary
from shared.domain.concurrency import update
from shared.domain.health_record import HealthRecord

HEALTH, PARTITION, KEY = "health", "health", "record"
MAX_TRIES = 10


class TableHealth:
    """Implements HealthStore."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def load(self) -> HealthRecord:
        return (await self._read())[0]

    async def change(self, change: Callable[[HealthRecord], HealthRecord]) -> HealthRecord:
        known = HealthRecord()

        def changed(read: tuple[HealthRecord, str | None]) -> tuple[HealthRecord, str | None] | None:
            nonlocal known
            record, etag = read
            known = change(record)
            return None if known == record else (known, etag)

        await update(self._read, changed, self._save, tries=MAX_TRIES)
        return known

    async def _read(self) -> tuple[HealthRecord, str | None]:
        row = await self._tables.get(HEALTH, PARTITION, KEY)
        return (_record(joined_body(row)), row["etag"]) if row else (HealthRecord(), None)

    async def _save(self, changed: tuple[HealthRecord, str | None]) -> None:
        record, etag = changed
        row = {"PartitionKey": PARTITION, "RowKey": KEY, **split_body(_body(record))}
        await self._tables.write(HEALTH, Op("create" if etag is None else "replace", row, etag))


def _body(record: HealthRecord) -> str:
    canary = record.canary
    return dump(
        {
            "syncedAt": time_text(record.synced_at),
            "firstDayDoneAt": time_text(record.first_day_done_at),
            "canary": {
                "changedAt": time_text(canary.changed_at),
                "isMember": canary.is_member,
                "notifiedAt": time_text(canary.notified_at),
                "inDeltaAt": time_text(canary.in_delta_at),
                "fault": canary.fault,
            },
        }
    )


def _record(body: str) -> HealthRecord:
    read = json.loads(body)
    canary = read["canary"]
    return HealthRecord(
        synced_at=time_of(read["syncedAt"]),
        canary=Canary(
            changed_at=time_of(canary["changedAt"]),
            is_member=canary["isMember"],
            notified_at=time_of(canary["notifiedAt"]),
            in_delta_at=time_of(canary["inDeltaAt"]),
            fault=canary["fault"],
        ),
        first_day_done_at=time_of(read["firstDayDoneAt"]),
    )
