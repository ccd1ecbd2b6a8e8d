"""Table `idempotency`: which operation a caller's key belongs to.

PartitionKey first two hex digits of the key's hash, RowKey the hash; `operation`, `fingerprint`.
"""

from __future__ import annotations

import hashlib

from shared.adapters.tables.client import Tables
from shared.adapters.tables.rows import Op
from shared.domain.errors import Conflict
from shared.domain.ids import OperationId

IDEMPOTENCY = "idempotency"


class TableIdempotency:
    """Implements IdempotencyStore."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def claim(self, key: str, operation_id: OperationId, fingerprint: str) -> tuple[OperationId, str]:
        digest = hashlib.sha256(key.encode()).hexdigest()
        row = {"PartitionKey": digest[:2], "RowKey": digest, "operation": operation_id, "fingerprint": fingerprint}
        try:
            await self._tables.write(IDEMPOTENCY, Op("create", row))
        except Conflict:
            stored = await self._tables.get(IDEMPOTENCY, digest[:2], digest)
            if stored is None:
                raise
            return OperationId(stored["operation"]), stored["fingerprint"]
        return operation_id, fingerprint

    async def release(self, key: str, operation_id: OperationId) -> None:
        digest = hashlib.sha256(key.encode()).hexdigest()
        stored = await self._tables.get(IDEMPOTENCY, digest[:2], digest)
        if stored is not None and stored["operation"] == operation_id:
            await self._tables.delete(IDEMPOTENCY, digest[:2], digest)
