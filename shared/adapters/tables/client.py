"""The connection to Table Storage: tables made on first use, errors translated, every wait bounded."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from shared.adapters.tables.attempts import Attempts, etags_if_applied
from shared.adapters.tables.rows import MAX_TRANSACTION, Op, Row, is_key, must_be_keys, transactions
from shared.adapters.tables.transaction import RETRY_AFTER_S, rejected, submit
from shared.domain.concurrency import together
from shared.domain.errors import BadRequest, Conflict, LicensingError, NotFound, Unavailable

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.data.tables.aio import TableClient, TableServiceClient

T = TypeVar("T")

KEYS = ("PartitionKey", "RowKey")
LAST = "~"
"""Sorts after every character that our keys use."""

READ_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class TablesConfig:
    """Either a connection string, or an endpoint with a credential. `prefix` begins every table's name.

    `timeout_s`: seconds for connecting, and for each silence of the service while it answers; tried four times.
    """

    prefix: str
    connection_string: str | None = None
    endpoint: str | None = None
    credential: AsyncTokenCredential | None = None
    timeout_s: float = 10.0


class Tables:
    """Tables by short name; the SDK is imported, and a table created, when it is first used."""

    def __init__(self, config: TablesConfig) -> None:
        self._config = config
        self._service: TableServiceClient | None = None
        self._clients: dict[str, asyncio.Future[TableClient]] = {}

    async def table(self, name: str) -> TableClient:
        """The client of a table that exists. Raises Unavailable."""
        if name not in self._clients:
            self._clients[name] = asyncio.ensure_future(self._open(name))
        try:
            return await asyncio.shield(self._clients[name])
        except LicensingError:
            self._clients.pop(name, None)
            raise

    async def _open(self, name: str) -> TableClient:
        from azure.core.exceptions import ResourceExistsError

        client = self._connect().get_table_client(f"{self._config.prefix}{name}")
        try:
            await translated(client.create_table(), name)
        except Conflict as fault:
            if not isinstance(fault.__cause__, ResourceExistsError):
                raise
        return client

    async def drop(self, name: str) -> None:
        """Delete a table with all it holds; one that is not there is no error."""
        opened = self._clients.pop(name, None)
        if opened is not None and opened.done() and not opened.cancelled() and opened.exception() is None:
            await opened.result().close()
        await translated(self._connect().delete_table(f"{self._config.prefix}{name}"), name)

    def _connect(self) -> TableServiceClient:
        from azure.data.tables.aio import TableServiceClient

        from shared.adapters.tables.connection import TableTransport

        if self._service is None:
            options: dict[str, Any] = {
                "retry_total": 3,
                "retry_backoff_factor": 0.4,
                "retry_backoff_max": 5,
                "transport": TableTransport(self._config.timeout_s),
            }
            if self._config.connection_string:
                self._service = TableServiceClient.from_connection_string(self._config.connection_string, **options)
            else:
                self._service = TableServiceClient(
                    self._config.endpoint or "", credential=self._config.credential, **options
                )
        return self._service

    async def close(self) -> None:
        """Close the connections."""
        if self._service is not None:
            await self._service.close()
        for opened in self._clients.values():
            if opened.done() and not opened.cancelled() and opened.exception() is None:
                await opened.result().close()
        self._clients.clear()
        self._service = None

    async def get(self, name: str, partition: str, row: str) -> Row | None:
        """One row with its `etag`, or None."""
        if not is_key(partition) or not is_key(row):
            return None
        client = await self.table(name)
        try:
            return with_etag(await translated(client.get_entity(partition, row), name))
        except NotFound:
            return None

    async def query(
        self,
        name: str,
        partition: str,
        first: str = "",
        last: str = LAST,
        *,
        select: Sequence[str] | None = None,
        to_partition: str | None = None,
        spanning: Mapping[str, str] | None = None,
        equal: Mapping[str, str] | None = None,
        rows_a_page: int | None = None,
    ) -> AsyncIterator[Row]:
        """Rows of a partition, or of all up to `to_partition`, with keys from `first` to `last`, both included, ordered
        by partition and key. `spanning`: only rows whose properties `<name>0` and `<name>1` have the value between
        them. `equal`: only rows whose properties have these values. `rows_a_page`: of one answer of the service."""
        if not is_key(partition):
            return
        client = await self.table(name)
        spans = spanning or {}
        within = "".join(f" and {each}0 le @{each} and {each}1 ge @{each}" for each in spans)
        same = equal or {}
        within += "".join(f" and {each} eq @{each}" for each in same)
        last_partition = partition if to_partition is None else to_partition
        whole = (
            "PartitionKey eq @partition"
            if to_partition is None
            else "PartitionKey ge @partition and PartitionKey le @to"
        )
        pages = client.query_entities(
            f"{whole} and RowKey ge @first and RowKey le @last{within}",
            parameters={"partition": partition, "to": last_partition, "first": first, "last": last, **spans, **same},
            select=list(select) if select else None,
            results_per_page=rows_a_page,
        )
        iterator = aiter(pages)
        while True:
            try:
                row = await translated(anext(iterator), name)
            except StopAsyncIteration:
                return
            yield with_etag(row)

    async def page(
        self,
        name: str,
        partition: str,
        first: str,
        last: str,
        top: int,
        after: str | None,
        *,
        equal: Mapping[str, str] | None = None,
    ) -> tuple[list[Row], str | None]:
        """At most `top` rows from just after the key `after`, and the key to go on from, None at the end;
        `equal` as for `query`.

        Raises BadRequest for an `after` that is no key.
        """
        if after is not None and not is_key(after):
            raise BadRequest("InvalidSkipToken", "$skiptoken is not from an earlier answer.", "$skiptoken")
        rows: list[Row] = []
        start = max(first, f"{after}\x21") if after else first
        async for row in self.query(name, partition, start, last, equal=equal):
            if len(rows) == top:
                return rows, rows[-1]["RowKey"]
            rows.append(row)
        return rows, None

    async def write(self, name: str, op: Op) -> str:
        """One operation; returns the row's new ETag. Raises BadRequest, Conflict, NotFound, Unavailable."""
        if op.kind == "delete":
            # The SDK takes a row that is not there for deleted.
            return (await self.transact(name, [op]))[0]
        must_be_keys(name, [op])
        client = await self.table(name)
        attempts = Attempts()
        try:
            answer = await translated(_single(client, op, attempts), name)
        except Conflict as rejection:
            return (await self._etags_if_managed(name, [op], attempts, rejection))[0]
        return str(answer.get("etag", "")) if answer else ""

    async def transact(self, name: str, ops: Sequence[Op]) -> list[str]:
        """Operations of one partition, all or none; see `rows.transactions`. Returns the new ETags in order."""
        must_be_keys(name, ops)
        client = await self.table(name)
        attempts = Attempts()
        try:
            return await translated(submit(client, name, ops, attempts), name)
        except (Conflict, NotFound) as rejection:
            return await self._etags_if_managed(name, ops, attempts, rejection)

    async def _etags_if_managed(
        self, name: str, ops: Sequence[Op], attempts: Attempts, rejection: Conflict | NotFound
    ) -> list[str]:
        """The ETags of a write that was rejected only because an earlier attempt had been applied, of which no answer
        came. Raises the rejection otherwise."""
        if attempts.repeated:
            reads = [partial(self.get, name, op.row["PartitionKey"], op.row["RowKey"]) for op in ops]
            etags = etags_if_applied(ops, await gather_limited(reads, READ_AT_ONCE))
            if etags is not None:
                return etags
        raise rejection

    async def upsert_all(self, name: str, rows: Iterable[Row]) -> None:
        """Upsert any number of rows, in transactions by partition; of rows with one key the last counts."""
        by_partition: dict[str, list[Row]] = defaultdict(list)
        for row in {(row["PartitionKey"], row["RowKey"]): row for row in rows}.values():
            by_partition[row["PartitionKey"]].append(row)
        for partition_rows in by_partition.values():
            for ops in transactions([Op("upsert", row)] for row in partition_rows):
                await self.transact(name, ops)

    async def clear(
        self,
        name: str,
        partition: str,
        first: str = "",
        last: str = LAST,
        *,
        to_partition: str | None = None,
        where: Callable[[Row], bool] | None = None,
    ) -> int:
        """Delete the rows that `query` would give and that `where` lets pass; returns how many. A row that is changed
        or gone meanwhile is left alone."""
        select = None if where else KEYS
        found = self.query(name, partition, first, last, select=select, to_partition=to_partition)
        ops = [_deletion(row) async for row in found if where is None or where(row)]
        return await self._delete_all(name, ops)

    async def delete_rows(self, name: str, rows: Iterable[Row]) -> int:
        """Delete rows as they were read; returns how many. A row that is changed or gone meanwhile is left alone. A row
        without an `etag` is deleted in any version."""
        return await self._delete_all(name, [_deletion(row) for row in rows])

    async def _delete_all(self, name: str, ops: Iterable[Op]) -> int:
        by_partition: dict[str, list[Op]] = defaultdict(list)
        for op in ops:
            by_partition[op.row["PartitionKey"]].append(op)
        deleted = 0
        for mine in by_partition.values():
            for start in range(0, len(mine), MAX_TRANSACTION):
                deleted += await self._delete(name, mine[start : start + MAX_TRANSACTION])
        return deleted

    async def _delete(self, name: str, ops: Sequence[Op]) -> int:
        try:
            await self.transact(name, ops)
        except (Conflict, NotFound):
            return sum([await self._delete(name, [op]) for op in ops]) if len(ops) > 1 else 0
        return len(ops)

    async def delete(self, name: str, partition: str, row: str) -> None:
        """Delete a row; one that is not there is no error."""
        if not is_key(partition) or not is_key(row):
            return
        client = await self.table(name)
        await translated(client.delete_entity(partition, row), name)


def with_etag(entity: Mapping[str, Any]) -> Row:
    """The row as a dict, its ETag under `etag`."""
    row = dict(entity)
    row["etag"] = getattr(entity, "metadata", {}).get("etag", "")
    return row


def _deletion(row: Row) -> Op:
    return Op("delete", {key: row[key] for key in KEYS}, row.get("etag"))


def _single(client: TableClient, op: Op, attempts: Attempts) -> Awaitable[Mapping[str, Any]]:
    from azure.core import MatchConditions
    from azure.data.tables import UpdateMode

    if op.kind == "create":
        return client.create_entity(op.row, trace_request_ctx=attempts)
    if op.kind == "replace":
        return client.update_entity(
            op.row,
            mode=UpdateMode.REPLACE,
            etag=op.etag,
            match_condition=MatchConditions.IfNotModified,
            trace_request_ctx=attempts,
        )
    return client.upsert_entity(op.row, mode=UpdateMode.REPLACE)


async def translated(call: Awaitable[T], what: str) -> T:
    """The result of an SDK call; its exceptions become ours, chained."""
    from azure.core.exceptions import (
        AzureError,
        ClientAuthenticationError,
        HttpResponseError,
        ResourceExistsError,
        ResourceModifiedError,
        ResourceNotFoundError,
    )

    try:
        return await call
    except (ResourceExistsError, ResourceModifiedError) as fault:
        raise Conflict(f"table {what}: the row was changed meanwhile") from fault
    except ResourceNotFoundError as fault:
        raise NotFound(f"table {what}: there is no such row") from fault
    except ClientAuthenticationError as fault:
        raise Unavailable(RETRY_AFTER_S, f"table {what}: access rejected: {_short(fault)}") from fault
    except HttpResponseError as fault:
        raise rejected(fault.status_code, getattr(fault, "error_code", None) or "", _short(fault), what) from fault
    except (AzureError, OSError, TimeoutError) as fault:
        raise Unavailable(RETRY_AFTER_S, f"table {what}: {_short(fault)}") from fault


def _short(fault: BaseException) -> str:
    return str(fault).splitlines()[0][:200] if str(fault) else type(fault).__name__


async def gather_limited(calls: Iterable[Callable[[], Awaitable[T]]], limit: int) -> list[T]:
    """The results of calls made at most `limit` at a time, in order. After a failure no further call begins."""
    waiting = iter(enumerate(calls))
    found: dict[int, T] = {}

    async def worker() -> None:
        for number, call in waiting:
            try:
                found[number] = await call()
            except BaseException:
                for _ in waiting:
                    pass
                raise

    await together(worker() for _ in range(limit))
    return [found[number] for number in sorted(found)]
