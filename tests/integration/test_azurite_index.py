"""The index that the local stack gives Azurite changes no answer: the same calls, with and without it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.data.tables import TableTransactionError, UpdateMode
from azure.data.tables.aio import TableClient, TableServiceClient

from tests.integration.azurite import running

CALLS = 600
PARTITIONS = ("a", "o'neil", "1e5", "100000", "ü")
KEYS = ("1", "10", "9", "1e5", "100000", "A", "a", "b", "b~", "é", "it's", "x (y) or not")
WORDS = ("red", "blue")
FILTERS = (
    "PartitionKey eq @p",
    "PartitionKey eq @p and RowKey ge @first and RowKey le @last",
    "PartitionKey eq @p and RowKey ge @first and RowKey le @last and word eq 'red'",
    "PartitionKey eq @p and ( word eq 'red' or RowKey eq @first )",
    "PartitionKey eq @p and RowKey ge @first and not (word eq 'red')",
    "PartitionKey ge @p and RowKey ge @first",
    "PartitionKey ge @p and PartitionKey le @q and RowKey ge @first and RowKey le @last",
    "PartitionKey ge @p and PartitionKey le @q and RowKey ge @first and RowKey le @last and word eq 'red'",
    "PartitionKey ge @p and PartitionKey le @q",
    "RowKey eq @first",
    "word eq 'red'",
)

Tables = tuple[TableClient, TableClient]


@pytest.fixture
async def tables(tmp_path: Path) -> AsyncIterator[Tables]:
    with ExitStack() as stack:
        services = []
        for indexed in (False, True):
            directory = tmp_path / str(indexed)
            directory.mkdir()
            connection = stack.enter_context(running(directory, indexed=indexed))
            services.append(TableServiceClient.from_connection_string(connection))
        plain, indexed_one = [await service.create_table("things") for service in services]
        yield plain, indexed_one
        for each in (plain, indexed_one, *services):
            await each.close()


async def test_random_writes_and_queries_are_answered_alike(tables: Tables) -> None:
    choose = random.Random(7)
    rejected = 0
    for number in range(CALLS):
        call = _write(choose, number)
        answers = [await _outcome(call, table) for table in tables]
        assert answers[0] == answers[1], number
        rejected += answers[0] != "done"
    assert 0 < rejected < CALLS
    for _ in range(CALLS):
        asked = choose.choice(FILTERS)
        first, last = sorted((choose.choice(KEYS), choose.choice(KEYS)))
        partitions = sorted((choose.choice(PARTITIONS), choose.choice(PARTITIONS)))
        parameters = {"p": partitions[0], "q": partitions[1], "first": first, "last": last}
        size = choose.choice((1, 3, 100))
        found = [await _found(table, asked, parameters, size) for table in tables]
        assert found[0] == found[1], (asked, parameters, size)


def _write(choose: random.Random, number: int) -> Callable[[TableClient], Awaitable[Any]]:
    """A create, replacement, merge or deletion, or a transaction of several, of which some cannot be done."""
    partition = choose.choice(PARTITIONS)
    keys = choose.sample(KEYS, choose.choice((1, 1, 1, 4)))
    rows = [{"PartitionKey": partition, "RowKey": key, "word": choose.choice(WORDS), "n": number} for key in keys]
    kinds = [choose.choice(("create", "upsert", "update", "delete")) for _ in rows]
    mode = choose.choice((UpdateMode.REPLACE, UpdateMode.MERGE))

    async def single(table: TableClient) -> None:
        row = rows[0]
        match kinds[0]:
            case "create":
                await table.create_entity(row)
            case "upsert":
                await table.upsert_entity(row, mode=mode)
            case "update":
                await table.update_entity(row, mode=mode)
            case _:
                await table.delete_entity(row)

    async def several(table: TableClient) -> None:
        await table.submit_transaction(zip(kinds, rows, strict=True))

    return single if len(rows) == 1 else several


async def _outcome(call: Callable[[TableClient], Awaitable[Any]], table: TableClient) -> str:
    try:
        await call(table)
    except TableTransactionError as fault:
        return f"transaction {fault.status_code} at {fault.index}"
    except HttpResponseError as fault:
        return f"{fault.status_code} {getattr(fault, 'error_code', None)}"
    return "done"


async def _found(table: TableClient, asked: str, parameters: dict[str, str], size: int) -> list[dict[str, Any]]:
    rows = table.query_entities(asked, parameters=parameters, results_per_page=size)
    return [dict(row) async for row in rows]
