"""Connections to Table Storage that are reset: each call succeeds, and nothing is done twice with visible effect.

The proxy stands between the adapter and Azurite. What counts is what the service holds afterwards, read past the proxy.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from secrets import token_hex

import pytest

from shared.adapters.tables.budget import TableBudget
from shared.adapters.tables.client import Tables, TablesConfig
from shared.adapters.tables.rows import Op, Row
from shared.domain.errors import Conflict, NotFound
from tests.integration.azurite import connection_string
from tests.support.resetting import EVERY, ResettingProxy, resetting

NAME = "rows"
OPEN_AT_ONCE = 6


@dataclass
class Stage:
    """`lost`: what the proxy loses next: `idle` the request, `answers` the answer."""

    tables: Tables
    direct: Tables
    proxy: ResettingProxy
    lost: str = "idle"

    async def arm(self, times: int = 1, connections: int = 1) -> None:
        """Leave kept connections behind, count from here, and reset them with their next request or its answer."""
        await asyncio.gather(*(self.tables.get(NAME, "p", "none") for _ in range(connections)))
        assert self.proxy.open >= connections
        self.proxy.forget()
        setattr(self.proxy, self.lost, times)

    async def stored(self, row: str = "a") -> Row | None:
        return await self.direct.get(NAME, "p", row)

    async def value(self, row: str = "a") -> str | None:
        stored = await self.stored(row)
        return stored["value"] if stored else None


@pytest.fixture
async def stage(azurite: str) -> AsyncIterator[Stage]:
    port = int(azurite.partition("127.0.0.1:")[2].partition("/")[0])
    prefix = f"t{token_hex(4)}"
    async with resetting(port) as proxy:
        tables = Tables(TablesConfig(prefix, connection_string(proxy.port)))
        direct = Tables(TablesConfig(prefix, azurite))
        await direct.table(NAME)
        await tables.table(NAME)
        yield Stage(tables, direct, proxy)
        await tables.close()
        await direct.close()


@pytest.fixture(params=["idle", "answers"])
def broken(request: pytest.FixtureRequest, stage: Stage) -> Stage:
    stage.lost = request.param
    return stage


def a_row(value: str = "1", row: str = "a") -> Row:
    return {
        "PartitionKey": "p",
        "RowKey": row,
        "value": value,
        "data": b"\x00\xff",
        "count": 3,
        "flag": True,
        "no": None,
    }


async def test_a_row_is_read_past_a_reset(broken: Stage) -> None:
    await broken.direct.write(NAME, Op("create", a_row()))
    await broken.arm()
    found = await broken.tables.get(NAME, "p", "a")
    assert found is not None
    assert (found["value"], broken.proxy.resets, broken.proxy.requests) == ("1", 1, 2)


async def test_rows_are_queried_past_a_reset(broken: Stage) -> None:
    await broken.direct.upsert_all(NAME, [a_row(row=f"r{n}") for n in range(3)])
    await broken.arm()
    assert [row["RowKey"] async for row in broken.tables.query(NAME, "p")] == ["r0", "r1", "r2"]
    assert (broken.proxy.resets, broken.proxy.requests) == (1, 2)


async def test_a_row_is_created_once_and_the_etag_is_the_stored_one(broken: Stage) -> None:
    await broken.arm()
    etag = await broken.tables.write(NAME, Op("create", a_row()))
    stored = await broken.stored()
    assert stored is not None
    assert (stored["etag"], stored["value"], broken.proxy.resets) == (etag, "1", 1)
    await broken.tables.write(NAME, Op("replace", a_row("2"), etag))
    assert await broken.value() == "2"


async def test_a_row_of_another_is_a_conflict_after_a_reset(broken: Stage) -> None:
    await broken.direct.write(NAME, Op("create", a_row("other")))
    await broken.arm()
    with pytest.raises(Conflict):
        await broken.tables.write(NAME, Op("create", a_row("ours")))
    assert (await broken.value(), broken.proxy.resets) == ("other", 1)


async def test_a_row_is_replaced_once(broken: Stage) -> None:
    etag = await broken.direct.write(NAME, Op("create", a_row()))
    await broken.arm()
    replaced = await broken.tables.write(NAME, Op("replace", a_row("2"), etag))
    stored = await broken.stored()
    assert stored is not None
    assert (stored["etag"], stored["value"], broken.proxy.resets) == (replaced, "2", 1)


async def test_a_row_that_another_replaced_is_a_conflict_after_a_reset(broken: Stage) -> None:
    etag = await broken.direct.write(NAME, Op("create", a_row()))
    await broken.direct.write(NAME, Op("replace", a_row("other"), etag))
    await broken.arm()
    with pytest.raises(Conflict):
        await broken.tables.write(NAME, Op("replace", a_row("ours"), etag))
    assert await broken.value() == "other"


async def test_a_row_that_is_gone_is_not_found_after_a_reset(broken: Stage) -> None:
    etag = await broken.direct.write(NAME, Op("create", a_row()))
    await broken.direct.delete(NAME, "p", "a")
    await broken.arm()
    with pytest.raises(NotFound):
        await broken.tables.write(NAME, Op("replace", a_row("ours"), etag))
    assert await broken.stored() is None


async def test_rows_are_upserted_and_deleted_past_a_reset(broken: Stage) -> None:
    await broken.arm()
    await broken.tables.write(NAME, Op("upsert", a_row()))
    assert await broken.value() == "1"
    await broken.arm()
    await broken.tables.delete(NAME, "p", "a")
    assert await broken.stored() is None
    assert broken.proxy.resets == 1


async def test_a_transaction_is_done_once_and_its_etags_are_the_stored_ones(broken: Stage) -> None:
    old = await broken.direct.write(NAME, Op("create", a_row(row="b")))
    await broken.direct.write(NAME, Op("create", a_row(row="c")))
    await broken.arm()
    etags = await broken.tables.transact(
        NAME,
        [
            Op("create", a_row()),
            Op("replace", a_row("2", "b"), old),
            Op("delete", {"PartitionKey": "p", "RowKey": "c"}),
            Op("upsert", a_row("4", "d")),
        ],
    )
    stored = [await broken.stored(row) for row in ("a", "b", "c", "d")]
    assert [row and row["value"] for row in stored] == ["1", "2", None, "4"]
    assert etags == [row["etag"] if row else "" for row in stored]
    assert broken.proxy.resets == 1


async def test_a_transaction_that_lost_its_race_stays_a_conflict_after_a_reset(broken: Stage) -> None:
    old = await broken.direct.write(NAME, Op("create", a_row(row="b")))
    await broken.direct.write(NAME, Op("replace", a_row("other", "b"), old))
    await broken.arm()
    with pytest.raises(Conflict):
        await broken.tables.transact(NAME, [Op("create", a_row()), Op("replace", a_row("2", "b"), old)])
    assert await broken.stored() is None
    assert await broken.value("b") == "other"


async def test_many_rows_are_cleared_past_a_reset(broken: Stage) -> None:
    await broken.direct.upsert_all(NAME, [a_row(row=f"r{n}") for n in range(5)])
    await broken.arm(times=0)

    def then_reset(_: Row) -> bool:
        setattr(broken.proxy, broken.lost, 1)
        return True

    assert await broken.tables.clear(NAME, "p", where=then_reset) == 5
    assert [row async for row in broken.direct.query(NAME, "p")] == []
    assert broken.proxy.resets == 1


async def test_a_table_is_made_past_a_reset(broken: Stage) -> None:
    await broken.arm()
    await broken.tables.table("another")
    await broken.tables.write("another", Op("create", a_row()))
    assert await broken.direct.get("another", "p", "a") is not None
    assert broken.proxy.resets == 1


@pytest.mark.parametrize("kind", ("create", "upsert"))
async def test_a_second_attempt_never_uses_a_kept_connection(stage: Stage, kind: str) -> None:
    await stage.arm(EVERY, OPEN_AT_ONCE)
    await stage.tables.write(NAME, Op(kind, a_row()))
    assert await stage.value() == "1"
    assert stage.proxy.connections == 1
    assert await stage.tables.get(NAME, "p", "a") is not None
    assert await stage.tables.transact(NAME, [Op("upsert", a_row("2"))])
    assert await stage.value() == "2"


async def test_two_that_count_from_the_same_state_are_never_both_told_they_were_first(stage: Stage) -> None:
    """The state that another stored equals ours: only a row that adds nothing up proves by its content whose it is."""
    budget, others = TableBudget(stage.tables), TableBudget(stage.direct)
    etag = await others.save("0 writes", None)
    await stage.tables.table("budget")
    await stage.arm()
    await others.save("1 write", etag)
    with pytest.raises(Conflict):
        await budget.save("1 write", etag)
    assert stage.proxy.resets == 1


async def test_a_count_whose_answer_was_lost_is_counted_again_by_its_caller(stage: Stage) -> None:
    budget = TableBudget(stage.tables)
    etag = await budget.save("0 writes", None)
    stage.lost = "answers"
    await stage.arm()
    with pytest.raises(Conflict):
        await budget.save("1 write", etag)
    assert await budget.load() != ("0 writes", etag)
