"""How many people's removals a person has decided alone: own requests that the person approved, within 24 hours.

Without the count, a request for many people could be made and approved in parts that each need no other person.
"""

from __future__ import annotations

from typing import Protocol

from shared.domain.allowance import AllowanceState, used
from shared.domain.approval_rules import Request, needs_another
from shared.domain.grant import Source, SourceKind
from shared.handlers.operations.needs import Needs
from shared.handlers.reconcile.permits import take_up_to
from shared.ports.clock import Clock
from shared.ports.stores import PermitStore


class Stores(Protocol):
    """The table of the counts."""

    @property
    def permits(self) -> PermitStore: ...


class Reads(Protocol):
    """Less than `needs.Needs`: the pages of approvals call this module too, and they cannot write."""

    @property
    def clock(self) -> Clock: ...

    @property
    def stores(self) -> Stores: ...


def _counter(person_id: str) -> Source:
    """Named users have this kind of source; no other allowance has the ID of a person."""
    return Source(SourceKind.LIST, person_id.casefold())


async def decided_alone(world: Reads, person_id: str | None) -> int:
    """People counted for a person in the last 24 hours; none for no person."""
    if not person_id:
        return 0
    text, _ = await world.stores.permits.allowance(str(_counter(person_id)))
    return used(AllowanceState.from_json(text), world.clock.now()) if text else 0


async def count_own(world: Needs, request: Request, person_id: str) -> int:
    """Count what a person is about to approve alone. Returns the people counted before, if they make another person
    necessary; 0 if not.

    An approval that fails after it was counted stays counted: the count can only be too high.
    """
    is_own = (request.requester_id or "").casefold() == person_id.casefold()
    if not is_own or needs_another(request, world.policy.approval_rules):
        return 0
    threshold = world.policy.approval_rules.threshold
    if await take_up_to(world, _counter(person_id), request.people, threshold, whole=True):
        return 0
    return await decided_alone(world, person_id)
