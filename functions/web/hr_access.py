"""Whose HR events a caller may read and end."""

from __future__ import annotations

from starlette.requests import Request

from shared.domain.access import Access
from shared.domain.errors import NotFound
from shared.handlers.onboarding import administration
from shared.handlers.onboarding.hr_scope import senders
from shared.ports.world import World


async def must_be_own(request: Request, world: World, event_key: str, everyones: Access) -> None:
    """A sender reaches only events of the sources that are bound to it; a caller with the access `everyones`, those of
    all. Raises NotFound for others, as for an event that does not exist: a sender need not learn what others send."""
    principal = request.scope["principal"]
    if everyones in principal.access:
        return
    record = await administration.record_of(world, event_key)
    if not (await senders(world)).may_send(record.event.source, principal.initiator):
        raise NotFound(f"There is no onboarding event {event_key}.")
