"""Table `budget`: the state of the write quota, what each caller has used of its limits, and leases of groups.

PartitionKey `budget`, RowKey `writes`; `body` as the domain writes it. PartitionKey `caller`, RowKey kind and hash of
the caller's id; `body` JSON. PartitionKey `caller`, RowKey `group-` and a group's ID: the lease of its license calls.
"""

from __future__ import annotations

from shared.adapters.tables.client import Tables
from shared.adapters.tables.rows import Op, joined_body, split_body

BUDGET = "budget"
WRITES = "writes"


def _partition(key: str) -> str:
    return "budget" if key == WRITES else "caller"


class TableBudget:
    """Implements BudgetStore."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def load(self, key: str = WRITES) -> tuple[str, str | None]:
        row = await self._tables.get(BUDGET, _partition(key), key)
        return (joined_body(row), row["etag"]) if row else ("", None)

    async def save(self, state: str, etag: str | None, key: str = WRITES) -> str:
        row = {"PartitionKey": _partition(key), "RowKey": key, **split_body(state)}
        return await self._tables.write(BUDGET, Op("create" if etag is None else "replace", row, etag, counts=True))
