"""Outcomes of chunks against Azurite: what is final stays, and the rest is replaced."""

from __future__ import annotations

from shared.domain.outcomes import ChunkOutcome, OutcomeClass
from shared.ports.world import Stores
from tests.support.table_rows import NOW, OPERATION, user


async def test_a_chunk_keeps_final_outcomes_and_takes_the_rest_of_a_retry(stores: Stores) -> None:
    late = ChunkOutcome(user(2), OutcomeClass.RETRY, retry_at=NOW)
    await stores.chunks.report(OPERATION, 7, [ChunkOutcome(user(1), OutcomeClass.APPLIED, True), late])
    await stores.chunks.report(OPERATION, 7, [ChunkOutcome(user(1), OutcomeClass.UNCHANGED)])
    merged = await stores.chunks.report(OPERATION, 7, [ChunkOutcome(user(2), OutcomeClass.WAITING)])
    assert {each.user_id: (each.outcome, each.wrote) for each in merged} == {
        user(1): (OutcomeClass.APPLIED, True),
        user(2): (OutcomeClass.WAITING, False),
    }
    assert set(await stores.chunks.rows(OPERATION, 0, 6)) == set()
    assert (await stores.chunks.rows(OPERATION, 7, 9))[7] == merged
