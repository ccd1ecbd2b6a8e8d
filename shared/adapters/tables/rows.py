"""Rows within the limits of Table Storage: keys it allows, long values in several properties, transactions cut to size.

Limits: learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model (64 KiB a property,
1 MiB a row, keys of 1 KiB) and .../performing-entity-group-transactions (100 rows and 4 MiB of one partition).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from shared.domain.errors import BadRequest

Row = dict[str, Any]

MAX_KEY = 512
MAX_TRANSACTION = 100
MAX_BYTES = 3_000_000
"""Estimated bytes of one transaction, with room below the service's 4 MiB for names and headers."""
MAX_PROPERTY = 60_000
"""Bytes of one binary property, with room below the service's 64 KiB; a text has 2 bytes a character."""
MAX_TEXT = 30_000
_FORBIDDEN = re.compile(r"[/\\#?\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Op:
    """One operation of a transaction: `upsert`, `create`, `replace` (if unchanged since `etag`) or `delete`
    (where an `etag` is given, the same). `counts`: the row adds up, so that two writers who start from the same state
    may write the same."""

    kind: str
    row: Row
    etag: str | None = None
    counts: bool = False


def is_key(text: str) -> bool:
    """Whether a row could have such a key at all."""
    return len(text) <= MAX_KEY and not _FORBIDDEN.search(text)


def must_be_keys(table: str, ops: Iterable[Op]) -> None:
    """Raises BadRequest for a row whose key the service does not allow."""
    for op in ops:
        for name in ("PartitionKey", "RowKey"):
            key = str(op.row[name])
            if not is_key(key):
                rule = rf"at most {MAX_KEY} characters, none of / \ # ? and no control character"
                raise BadRequest("InvalidKey", f"table {table}: the key {key[:80]!r} is not allowed ({rule})", name)


def transactions(groups: Iterable[Sequence[Op]], most: int = MAX_TRANSACTION) -> Iterator[list[Op]]:
    """The operations of one partition cut into transactions of at most `most`, each group whole in one of them."""
    ops: list[Op] = []
    size = 0
    for group in groups:
        more = sum(_size(op.row) for op in group)
        if ops and (len(ops) + len(group) > most or size + more > MAX_BYTES):
            yield ops
            ops, size = [], 0
        ops = [*ops, *group]
        size += more
    if ops:
        yield ops


def _size(row: Row) -> int:
    """Bytes on the wire, about: base64 of binary values, and as much again for the escapes of a text."""
    return 500 + sum(len(value) * 4 // 3 for value in row.values() if isinstance(value, str | bytes))


def split_bytes(name: str, data: bytes) -> Row:
    """A long value over several binary properties `name0`, `name1`, ..."""
    return {f"{name}{n}": data[at : at + MAX_PROPERTY] for n, at in enumerate(range(0, len(data), MAX_PROPERTY))}


def joined_bytes(row: Row, name: str) -> bytes:
    """A long value from its properties; empty where there is none."""
    parts: list[bytes] = []
    while f"{name}{len(parts)}" in row:
        value = row[f"{name}{len(parts)}"]
        parts.append(value if isinstance(value, bytes) else base64.b64decode(value))
    return b"".join(parts)


def split_body(text: str) -> Row:
    """A text in `body`, and the rest that has no room there in `body1`, `body2`, ..."""
    parts = [text[at : at + MAX_TEXT] for at in range(0, len(text), MAX_TEXT)] or [""]
    return {f"body{n or ''}": part for n, part in enumerate(parts)}


def joined_body(row: Row) -> str:
    """The text that `split_body` took apart."""
    parts = [str(row["body"])]
    while f"body{len(parts)}" in row:
        parts.append(str(row[f"body{len(parts)}"]))
    return "".join(parts)
