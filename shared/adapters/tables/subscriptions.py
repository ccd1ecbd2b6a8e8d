"""Table `graphsubscriptions`: the app's subscriptions in Graph, and a count of rejected notifications.

PartitionKey `subscription`, RowKey our key; `body` JSON. Rejected notifications: PartitionKey `rejected`, RowKey day;
`count`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from shared.adapters.shared_read import SharedRead
from shared.adapters.tables.client import Tables
from shared.adapters.tables.packing import dump, must_be_time, time_of, time_text
from shared.adapters.tables.rows import Op, Row, joined_body, split_body
from shared.domain.concurrency import update
from shared.domain.errors import Conflict, Unavailable
from shared.ports.membership_stores import StoredSubscription

SUBSCRIPTIONS = "graphsubscriptions"
REJECTED = "refused"
MAX_TRIES = 5

COUNT_EVERY_S = 10.0
"""A process writes the number of rejected notifications this often at most, so that forged ones cost nearly nothing."""

log = logging.getLogger(__name__)


class TableSubscriptions:
    """Implements SubscriptionStore."""

    def __init__(self, tables: Tables, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._tables = tables
        self._monotonic = monotonic
        self._subscriptions = SharedRead(self._read, monotonic)
        self._uncounted: Counter[str] = Counter()
        """Rejected notifications by day that are not in the table yet."""
        self._counted_at = -COUNT_EVERY_S
        self._later: asyncio.Task[None] | None = None

    async def all(self, max_age_s: float = 0.0) -> tuple[StoredSubscription, ...]:
        return await self._subscriptions.get(max_age_s)

    async def _read(self) -> tuple[StoredSubscription, ...]:
        return tuple([_subscription(row) async for row in self._tables.query(SUBSCRIPTIONS, "subscription")])

    async def save(self, subscription: StoredSubscription) -> StoredSubscription:
        kind = "replace" if subscription.etag else "create"
        op = Op(kind, _subscription_row(subscription), subscription.etag or None)
        saved = replace(subscription, etag=await self._tables.write(SUBSCRIPTIONS, op))
        self._subscriptions.forget()
        return saved

    async def remove(self, key: str) -> None:
        await self._tables.delete(SUBSCRIPTIONS, "subscription", key)
        self._subscriptions.forget()

    async def count_rejected(self, day: str, rejected: int) -> None:
        self._uncounted[day] += rejected
        if self._monotonic() - self._counted_at >= COUNT_EVERY_S:
            await self._count()
        if self._uncounted and (self._later is None or self._later.done()):
            self._later = asyncio.create_task(self._count_later())

    async def _count_later(self) -> None:
        """The last of a flood are written although no further one comes."""
        await asyncio.sleep(COUNT_EVERY_S)
        try:
            await self._count()
        except Unavailable as fault:
            log.warning("rejected notifications not counted yet: %s", fault)

    async def _count(self) -> None:
        """Add what is not in the table yet. What cannot be written now is kept for the next time."""
        self._counted_at = self._monotonic()
        uncounted, self._uncounted = self._uncounted, Counter()
        for day in sorted(uncounted):
            written = False
            try:
                await self._add(day, uncounted[day])
                written = True
            except Conflict:
                # Other processes count too. The number is not lost: it is added the next time.
                continue
            finally:
                if not written:
                    self._uncounted[day] += uncounted[day]

    async def _add(self, day: str, rejected: int) -> None:
        def added(row: Row | None) -> Op:
            count = rejected + (row["count"] if row else 0)
            changed = {"PartitionKey": REJECTED, "RowKey": day, "count": count}
            return Op("replace" if row else "create", changed, row["etag"] if row else None, counts=True)

        read = partial(self._tables.get, SUBSCRIPTIONS, REJECTED, day)
        await update(read, added, partial(self._tables.write, SUBSCRIPTIONS), tries=MAX_TRIES)

    async def rejected(self, day: str) -> int:
        row = await self._tables.get(SUBSCRIPTIONS, REJECTED, day)
        return int(row["count"]) if row else 0


def _subscription_row(subscription: StoredSubscription) -> Row:
    body = {
        "clientState": subscription.client_state,
        "createdAt": time_text(subscription.created_at),
        "expiresAt": time_text(subscription.expires_at),
        "id": subscription.id,
        "url": subscription.notification_url,
        "lastAt": time_text(subscription.last_notification_at),
    }
    return {"PartitionKey": "subscription", "RowKey": subscription.key, **split_body(dump(body))}


def _subscription(row: Row) -> StoredSubscription:
    body = json.loads(joined_body(row))
    return StoredSubscription(
        key=row["RowKey"],
        client_state=body["clientState"],
        created_at=must_be_time(body["createdAt"]),
        expires_at=must_be_time(body["expiresAt"]),
        id=body["id"],
        notification_url=body["url"],
        last_notification_at=time_of(body["lastAt"]),
        etag=row["etag"],
    )
