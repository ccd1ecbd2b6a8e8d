"""One product: its users with the source of each license."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.directory import DirectoryUser
from shared.domain.errors import Unavailable
from shared.domain.ids import SkuId
from shared.handlers.views.needs import Needs
from shared.handlers.views.queries import MAX_NAMED, UserLicense, licenses_of


@dataclass(frozen=True, slots=True)
class ProductUser:
    """A user of a product, with the licenses of this product: one for each source."""

    user: DirectoryUser
    licenses: tuple[UserLicense, ...]


@dataclass(frozen=True, slots=True)
class ProductUserFilter:
    """Which users to list; empty fields let every user pass. `origin`: of a license, a LicenseOrigin."""

    text: str = ""
    origin: str = ""

    @property
    def is_set(self) -> bool:
        return bool(self.text or self.origin)

    def lets_pass(self, user: ProductUser) -> bool:
        """Whether the user has the product from such a source; the name is not checked."""
        return bool(user.licenses) and (not self.origin or any(each.origin == self.origin for each in user.licenses))


EVERY_USER = ProductUserFilter()


async def product_users(
    world: Needs, sku_id: SkuId, top: int, after: str | None, wanted: ProductUserFilter = EVERY_USER
) -> tuple[tuple[ProductUser, ...] | None, str | None]:
    """A page of the users who have the product, and a token for the next page. None if Graph rejects the list. By a
    name, at most MAX_NAMED people of the tenant are compared, on one page."""
    if wanted.text:
        people = [each.id for each in await world.directory.find_users(wanted.text, MAX_NAMED)]
        reads = await world.directory.users(people, with_groups=False) if people else {}
        named = [read for read in reads.values() if isinstance(read, DirectoryUser)]
        return await _with_sources(world, sku_id, named, wanted), None
    try:
        users, token = await world.directory.holders(sku_id, top, after)
    except Unavailable as fault:
        if not fault.rejected:
            raise
        return None, None
    return await _with_sources(world, sku_id, users, wanted), token


async def _with_sources(
    world: Needs, sku_id: SkuId, users: Sequence[DirectoryUser], wanted: ProductUserFilter
) -> tuple[ProductUser, ...]:
    ids = [user.id for user in users]
    rows, grants = await asyncio.gather(world.stores.ledger.rows(ids), world.stores.grants.of_users(ids))
    found = []
    for user in users:
        licenses = licenses_of(user, rows[user.id], grants.get(user.id, ()))
        found.append(ProductUser(user, tuple(each for each in licenses if each.state.sku_id == sku_id)))
    return tuple(each for each in found if wanted.lets_pass(each))
