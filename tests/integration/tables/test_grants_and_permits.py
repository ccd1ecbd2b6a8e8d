"""Grants and permits against Azurite: one row per user, SKU and source."""

from __future__ import annotations

from dataclasses import replace

from shared.domain.grant import Grant, Source, SourceKind
from shared.domain.permit import Claim, Permit
from shared.ports.world import Stores
from tests.support.table_rows import BY_SALES, E3, E5, NOW, TEAMS, user


async def test_grants_and_permits_of_users_are_kept_by_source_and_sku(stores: Stores) -> None:
    kept = Grant(E3, frozenset({TEAMS}), Source(SourceKind.KEPT, "mia"), NOW)
    listed = Grant(E3, frozenset(), Source(SourceKind.LIST))
    await stores.grants.put([(user(1), kept), (user(1), listed), (user(2), listed)])
    await stores.grants.remove([(user(2), listed), (user(2), kept)])
    found = await stores.grants.of_users([user(1), user(2)])
    assert (set(found[user(1)]), found[user(2)]) == ({kept, listed}, ())
    assert {each async for each in stores.grants.partition("0")} == {(user(1), kept), (user(1), listed)}
    permit = Permit(
        user(1),
        E3,
        BY_SALES,
        NOW,
        "Mia",
        frozenset({Claim(BY_SALES, 3), Claim(listed.source)}),
        frozenset({TEAMS}),
        True,
    )
    await stores.permits.put([permit, replace(permit, sku_id=E5), replace(permit, given_by="Ole")])
    assert set((await stores.permits.of_users([user(1), user(2)]))[user(1)]) == {
        replace(permit, given_by="Ole"),
        replace(permit, sku_id=E5),
    }
