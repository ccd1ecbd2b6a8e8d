"""Read: a chunk of users from the directory and the tables, the ledger judged against what the directory shows."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

from shared.domain import ledger
from shared.domain.catalog import Catalog
from shared.domain.directory import DirectoryUser, UserRead
from shared.domain.grant import Grant
from shared.domain.ids import UserId
from shared.domain.ledger import giving_groups
from shared.domain.ledger_row import LedgerRow
from shared.domain.reconciliation import Read, Work
from shared.domain.retired_plans import as_stored
from shared.domain.verdict import EVENTS_SETTLE_WITHIN
from shared.handlers.reconcile.needs import Needs

FACTS_MAX_AGE_S = 5.0
"""How old observations may be: a rejection reaches all workers before most of an operation is planned."""

PRODUCTS_MAX_AGE_S = 30.0
"""How old the products may be where seats do not matter: plans and subscriptions change a few times a year."""


async def read_catalog(world: Needs, max_age_s: float = PRODUCTS_MAX_AGE_S) -> Catalog:
    """The tenant's products, read within the last seconds, with the observed facts about them."""
    skus, observed = await asyncio.gather(
        world.directory.subscribed_skus(max_age_s),
        world.stores.product_facts.all(world.clock.now(), FACTS_MAX_AGE_S),
    )
    return Catalog({sku.sku_id: sku for sku in skus}, facts=observed)


async def read(world: Needs, work: Work, user_ids: Sequence[UserId]) -> list[Read]:
    """One value per user, in order. Raises Unavailable."""
    answers = await world.directory.users(user_ids)
    # The ledger after the directory: a license that the directory shows is then never one whose intent was not seen.
    rows, grants = await asyncio.gather(world.stores.ledger.rows(user_ids), world.stores.grants.of_users(user_ids))
    now = world.clock.now()
    catalog = await read_catalog(world)
    return [_read(work, answers[user_id], rows[user_id], grants.get(user_id, ()), catalog, now) for user_id in user_ids]


def _read(
    work: Work,
    answer: UserRead,
    stored: LedgerRow,
    grants: tuple[Grant, ...],
    catalog: Catalog,
    now: datetime,
) -> Read:
    if not isinstance(answer, DirectoryUser):
        return Read(stored.user_id, answer, stored, _with_event(work, stored, now), grants)
    answer = as_stored(answer, stored, catalog)
    resolution = ledger.resolve(stored, answer, work.cause, now)
    if resolution.wait_until is not None:
        row = _with_event(work, stored, now)
        return Read(stored.user_id, answer, stored, row, grants, locked_until=resolution.wait_until)
    row = ledger.refresh(resolution.row, answer, now)
    return Read(
        stored.user_id,
        answer,
        stored,
        _with_event(work, row, now),
        grants,
        resolved=resolution.applied,
        wrote=row.last_result is not None and row.last_result.cause == work.cause,
        came_from=giving_groups(stored) | giving_groups(row),
    )


def _with_event(work: Work, row: LedgerRow, now: datetime) -> LedgerRow:
    """With what the event said, so that an older event, delivered or repeated later, is not waited for."""
    if work.observed_at is None:
        return row
    return ledger.last_event(row, work.observed.get(row.user_id, {}), work.observed_at, now - EVENTS_SETTLE_WITHIN)
