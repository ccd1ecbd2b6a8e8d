"""Send users to be reconciled: the one place that cuts them into messages for something other than an operation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from shared.domain.ids import GroupId, UserId
from shared.domain.messages import MAX_USERS, SMALL, ProcessUsers
from shared.domain.snapshot_pages import pieces
from shared.handlers.reconcile.needs import Needs
from shared.ports.messaging import Outgoing

Memberships = Mapping[UserId, Mapping[GroupId, bool]]
"""By user the groups that the user joined (True) or left (False), as an event reports it."""


async def enqueue(
    world: Needs,
    users: Iterable[UserId],
    cause: str,
    *,
    expects: Memberships | None = None,
    changed_at: datetime | None = None,
    intent_versions: Mapping[GroupId, int] | None = None,
    traceparent: str = "",
) -> None:
    """Have users reconciled. Up to `SMALL` users share messages in the interactive lane. More go to the bulk lane, and
    none of their messages crosses a partition, so that its rows are written in one transaction.

    `expects`: the memberships that the directory should show, since `changed_at`. `intent_versions`: versions of
    assignments that the users must be planned with, or newer ones.
    """
    ids = sorted(set(users))
    bulk = len(ids) > SMALL
    chunks = pieces(ids, MAX_USERS) if bulk else [ids[at : at + MAX_USERS] for at in range(0, len(ids), MAX_USERS)]
    known = expects or {}
    messages = [
        ProcessUsers(
            tuple(chunk),
            cause,
            bulk=bulk,
            intent_versions=intent_versions or {},
            traceparent=traceparent,
            expects={user_id: known[user_id] for user_id in chunk if known.get(user_id)},
            changed_at=changed_at,
        )
        for chunk in chunks
    ]
    if messages:
        await world.queue.send([Outgoing(message.queue, message.encode()) for message in messages])
