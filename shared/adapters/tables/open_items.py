"""What needs a person now, counted by a timer, in table `groupstatus`: PartitionKey `items`, RowKey `now`."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

from shared.adapters.tables.client import Tables
from shared.adapters.tables.group_status import STATUS
from shared.adapters.tables.packing import dump, time_of, time_text
from shared.adapters.tables.rows import joined_body, split_body
from shared.domain.open_items import OpenItems

PARTITION, KEY = "items", "now"


class TableOpenItems:
    """Implements OpenItemStore."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def get(self) -> OpenItems | None:
        row = await self._tables.get(STATUS, PARTITION, KEY)
        if row is None:
            return None
        body = json.loads(joined_body(row))
        return replace(OpenItems(**body), at=time_of(body["at"]))

    async def save(self, items: OpenItems) -> None:
        body = {**asdict(items), "at": time_text(items.at)}
        await self._tables.upsert_all(STATUS, [{"PartitionKey": PARTITION, "RowKey": KEY, **split_body(dump(body))}])
