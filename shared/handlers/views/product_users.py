"""One product: its users with the source of each license."""

from __future__ import annotations

from dataclasses import dataclass

from shared.domain.directory import DirectoryUser
from shared.domain.errors import Unavailable
from shared.domain.ids import SkuId
from shared.handlers.views.needs import Needs
from shared.handlers.views.queries import UserLicense, licenses_of


@dataclass(frozen=True, slots=True)
class ProductUser:
    """A user of a product, with the licenses of this product: one for each source."""

    user: DirectoryUser
    licenses: tuple[UserLicense, ...]


async def product_users(
    world: Needs, sku_id: SkuId, top: int, after: str | None
) -> tuple[tuple[ProductUser, ...] | None, str | None]:
    """A page of the users who have the product, and a token for the next page. None if Graph rejects the list."""
    try:
        users, token = await world.directory.holders(sku_id, top, after)
    except Unavailable as fault:
        if not fault.rejected:
            raise
        return None, None
    ids = [user.id for user in users]
    rows, grants = await world.stores.ledger.rows(ids), await world.stores.grants.of_users(ids)
    found = []
    for user in users:
        licenses = licenses_of(user, rows[user.id], grants.get(user.id, ()))
        found.append(ProductUser(user, tuple(each for each in licenses if each.state.sku_id == sku_id)))
    return tuple(found), token
