"""What is deleted for its age, in Azurite: all of it, nothing beside it, and nothing that was written meanwhile."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from shared.adapters.tables.client import Tables
from shared.adapters.tables.rows import Op, Row
from shared.adapters.tables.stores import table_stores
from shared.domain.ids import OperationId, new_id
from shared.domain.ledger_row import LastResult, LedgerRow
from shared.domain.operation import OperationState, Target
from shared.domain.outcomes import ChunkOutcome, OutcomeClass
from shared.domain.permit import Claim, Permit
from shared.domain.read_models import DeadLetter
from shared.domain.snapshot_pages import PlannedAction, pages_of
from tests.support.table_rows import BY_SALES, E3, E5, NOW, SALES, an_operation, user

ONE, OTHER = OperationId("0199aaaa0001" + "0" * 20), OperationId("0199aaaa0001" + "0" * 19 + "1")
PAGES = pages_of({user(n): PlannedAction(True, OutcomeClass.APPLIED) for n in range(2500)}.items(), 20)


async def test_lists_of_one_operation_go_whole_with_every_reading_and_those_of_another_stay(tables: Tables) -> None:
    stores = table_stores(tables)
    for operation_id, snapshot in ((ONE, "a"), (ONE, "b"), (OTHER, "a")):
        await stores.snapshots.write(operation_id, snapshot, PAGES)
    for number in range(130):
        await stores.chunks.report(ONE, number, [ChunkOutcome(user(1), OutcomeClass.APPLIED)])
    await stores.chunks.report(OTHER, 1, [ChunkOutcome(user(1), OutcomeClass.APPLIED)])
    assert await stores.snapshots.forget(ONE) == 2 * len(PAGES)
    assert await stores.chunks.forget(ONE) == 130
    assert await stores.snapshots.forget(ONE) == await stores.chunks.forget(ONE) == 0
    assert await stores.snapshots.page(OTHER, "a", 1) == PAGES[1]
    assert await stores.chunks.rows(ONE, 0, 999) == {}
    assert set(await stores.chunks.rows(OTHER, 0, 999)) == {1}


async def test_operations_from_before_a_time_are_found_newest_first_and_removed_one_by_one(tables: Tables) -> None:
    store = table_stores(tables).operations
    at = NOW.replace(microsecond=0)
    ids = [OperationId(f"{int((at + timedelta(hours=n)).timestamp() * 1000):012x}" + "0" * 20) for n in range(4)]
    for each in ids:
        await store.insert(an_operation(id=each, target=Target(SALES)))
    found = [each async for each in store.from_before(at + timedelta(hours=2))]
    assert [each.id for each in found] == [ids[1], ids[0]]
    await store.save(replace(found[0], state=OperationState.COMPLETE))
    await store.remove(found[0])
    await store.remove(found[0])
    assert await store.get(ids[1]) is None
    assert {each.id for each in await store.open()} == {ids[0], ids[2], ids[3]}


CLAIMS = frozenset({Claim(BY_SALES)})


async def test_a_permit_that_is_given_anew_while_old_ones_are_deleted_stays(tables: Tables) -> None:
    store = table_stores(tables).permits
    old = [Permit(user(n), sku, BY_SALES, NOW, "Mia", CLAIMS) for n in range(60) for sku in (E3, E5)]
    later = NOW + timedelta(days=1)
    await store.put([*old, Permit(user(99), E3, BY_SALES, later, "Mia", CLAIMS)])
    renewed = Meanwhile(tables)
    assert await table_stores(renewed).permits.forget("0", later) == len(old) - 1
    left = await store.of_users([user(0), user(1), user(99)])
    assert [permit.given_by for permits in left.values() for permit in permits] == ["somebody else", "Mia"]
    assert await store.forget("0", later + timedelta(seconds=1)) == 2


async def test_a_ledger_row_that_was_deleted_is_a_lost_race_for_who_had_read_it(tables: Tables) -> None:
    store = table_stores(tables).ledger
    spent = [LedgerRow(user(n), last_result=LastResult("i", "c", NOW)) for n in (1, 2)]
    written = await store.write(spent)
    assert await store.forget("0", NOW + timedelta(days=1)) == 2
    assert await store.forget("0", NOW + timedelta(days=1)) == 0
    for stale in ([written[user(1)].row], [written[user(n)].row for n in (1, 2)]):
        again = await store.write(stale)
        assert [each.lost for each in again.values()] == [True] * len(stale)
    assert not (await store.write([LedgerRow(user(1))]))[user(1)].lost


class Meanwhile(Tables):
    """Tables in which somebody writes the first row that is about to be deleted."""

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables._config)
        self._of_others, self._written = tables, False

    async def table(self, name: str) -> object:  # type: ignore[override]
        return await self._of_others.table(name)

    async def transact(self, name: str, ops: list[Op]) -> list[str]:  # type: ignore[override]
        if not self._written:
            self._written = True
            key: Row = ops[0].row
            stored = await self._of_others.get(name, key["PartitionKey"], key["RowKey"])
            assert stored is not None
            body = str(stored["body"]).replace("Mia", "somebody else")
            await self._of_others.write(name, Op("upsert", {**key, "body": body}))
        return await super().transact(name, ops)


async def test_dead_letters_and_keys_go_by_their_age_and_their_operation(tables: Tables) -> None:
    stores = table_stores(tables)
    for number in range(120):
        at = NOW + timedelta(minutes=number)
        await stores.dead_letters.keep(DeadLetter(new_id(at, "0" * 20), "jobs", b"x" * 70_000, "why", at))
    assert await stores.dead_letters.forget(NOW + timedelta(minutes=100)) == 100
    assert len((await stores.dead_letters.page(200))[0]) == 20
    await stores.idempotency.claim("key", ONE, "f")
    await stores.idempotency.release("key", OTHER)
    assert await stores.idempotency.claim("key", OTHER, "f") == (ONE, "f")
    await stores.idempotency.release("key", ONE)
    await stores.idempotency.release("key", ONE)
    assert await stores.idempotency.claim("key", OTHER, "f") == (OTHER, "f")
