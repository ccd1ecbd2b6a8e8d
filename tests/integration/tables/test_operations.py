"""Operations and their idempotency keys against Azurite: whole, newest first, each found by its id only."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.domain.errors import Conflict
from shared.domain.ids import OperationId, SkuId
from shared.domain.operation import LicenseChange, OperationState, Target
from shared.ports.world import Stores
from tests.support.table_rows import OPERATION, SALES, an_operation


async def test_an_operation_on_five_thousand_users_comes_back_whole(stores: Stores) -> None:
    saved = await stores.operations.insert(an_operation())
    assert await stores.operations.get(saved.id) == saved
    assert replace(saved, version=None) == an_operation()
    with pytest.raises(Conflict):
        await stores.operations.insert(an_operation())
    newer = await stores.operations.save(replace(saved, step=5))
    with pytest.raises(Conflict):
        await stores.operations.save(replace(saved, step=6))
    assert (await stores.operations.get(saved.id)) == newer


async def test_an_operation_after_which_a_group_is_not_managed_comes_back_whole(stores: Stores) -> None:
    change = LicenseChange(remove=(SkuId("a"), SkuId("b")), keep=True)
    given = an_operation(7, target=Target(SALES), change=change)
    given = replace(given, other_changes={SALES: change}, plan=replace(given.plan, users_keeping=12))
    saved = await stores.operations.insert(given)
    assert replace(saved, version=None) == given
    assert await stores.operations.get(saved.id) == saved


async def test_operations_are_listed_newest_first_and_ended_ones_are_not_open(stores: Stores) -> None:
    small = Target(SALES)
    saved = [await stores.operations.insert(an_operation(n, target=small)) for n in (1, 2, 3)]
    await stores.operations.save(replace(saved[1], state=OperationState.COMPLETE))
    page, token = await stores.operations.newest(2)
    assert [each.id for each in page] == [saved[2].id, saved[1].id]
    rest, end = await stores.operations.newest(2, token)
    assert ([each.id for each in rest], end) == ([saved[0].id], None)
    assert {each.id for each in await stores.operations.open()} == {saved[0].id, saved[2].id}


@pytest.mark.parametrize("unmanaged", ["a/b", "x#y?z", "", "0199", "' or 1 eq 1", "../operation"])
async def test_an_id_from_outside_that_is_none_finds_nothing(stores: Stores, unmanaged: str) -> None:
    assert await stores.operations.get(OperationId(unmanaged)) is None


async def test_an_idempotency_key_belongs_to_the_first_who_claims_it(stores: Stores) -> None:
    awkward = "key with / and # and ' and \u00fc"
    assert await stores.idempotency.claim(awkward, OPERATION, "f1") == (OPERATION, "f1")
    assert await stores.idempotency.claim(awkward, OperationId("other"), "f2") == (OPERATION, "f1")
