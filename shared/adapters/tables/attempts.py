"""The result of a write that was sent more than once: a first attempt without an answer may have been applied.

Each kind of operation is safe to send again, for its own reason:

- A read changes nothing.
- `upsert` and `delete` without an ETag leave the table as they would have the first time.
- `create`, and `replace` and `delete` with an ETag, are rejected the second time if the first one was applied.
  The rows are then read: if they have the wanted content, this write succeeded. Rows of this app hold times, ids or
  versions of their writer, so two writers do not write the same. If they do, both wanted exactly the stored content.
- A `create` or `replace` that others must notice (`Op.counts`) is different. Two writers that count from the same state
  write the same row, and only one of them has been counted. A ledger row is rewritten unchanged so that stale reads
  lose their race. There a rejection stays a Conflict, and the caller reads again: at worst it counts something twice,
  or reads a user once more.
- A transaction is applied whole or not at all, so the same holds for all of its operations together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.adapters.tables.rows import Op, Row


@dataclass(slots=True)
class Attempts:
    """How many connections one call has used; each may have carried the request to the service."""

    connections: int = 0

    @property
    def repeated(self) -> bool:
        return self.connections > 1


def etags_if_applied(ops: Sequence[Op], stored: Sequence[Row | None]) -> list[str] | None:
    """The ETags of the rows, empty for a deletion, if the operations were applied; None if that is not proven."""
    if all(_is_applied(op, row) for op, row in zip(ops, stored, strict=True)):
        return [row["etag"] if row else "" for row in stored]
    return None


def _is_applied(op: Op, stored: Row | None) -> bool:
    if op.kind == "delete" or stored is None:
        return op.kind == "delete" and stored is None
    written = {name: value for name, value in op.row.items() if value is not None and name != "etag"}
    return not op.counts and written == {name: value for name, value in stored.items() if name != "etag"}
