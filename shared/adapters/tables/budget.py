"""Table `budget`: the state of the write quota.

One row, PartitionKey `budget`, RowKey `writes`; `body` as the domain writes it.
"""

from __future__ import annotations

from shared.adapters.tables.client import Tables
from shared.adapters.tables.rows import Op, joined_body, split_body

BUDGET = "budget"


class TableBudget:
    """Implements BudgetStore."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def load(self) -> tuple[str, str | None]:
        row = await self._tables.get(BUDGET, "budget", "writes")
        return (joined_body(row), row["etag"]) if row else ("", None)

    async def save(self, state: str, etag: str | None) -> str:
        row = {"PartitionKey": "budget", "RowKey": "writes", **split_body(state)}
        return await self._tables.write(BUDGET, Op("create" if etag is None else "replace", row, etag, counts=True))
