"""What routes are given beside their own parameters: the world, the caller, paging, and the headers with a meaning.

Everything here is async: the framework runs what is not in threads, and switching to one costs more than the work.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Header, Query
from starlette.requests import Request

from functions.web.errors import Rejection
from functions.web.principal import authorize
from functions.web.requests import DEFAULT_TOP, MAX_TOP, IdempotencyKey, IfMatchText, version_of
from shared.domain.access import Access
from shared.domain.initiator import Initiator
from shared.ports.world import World


async def _world(request: Request) -> World:
    world: World = request.app.state.doors().world
    return world


async def _initiator(request: Request) -> Initiator:
    initiator: Initiator = request.scope["principal"].initiator
    return initiator


async def _person(request: Request) -> Initiator:
    return person_of(request)


def person_of(request: Request) -> Initiator:
    """The caller. Raises Rejection for an application: some acts are a person's, whatever roles an application has."""
    principal = request.scope["principal"]
    if not principal.is_person:
        raise Rejection(
            403,
            "PersonRequired",
            "An application cannot do this. A person with the role that the route needs must sign in.",
            principal.initiator.id,
            "not a person",
        )
    initiator: Initiator = principal.initiator
    return initiator


def requires(request: Request, needed: Access) -> None:
    """Raise Rejection unless the caller has the access. For what a body asks beyond what its route does."""
    sign_in = request.app.state.doors().sign_in
    authorize(request.scope["principal"], needed, request.headers, datetime.now(UTC), sign_in)


@dataclass(frozen=True, slots=True)
class Paging:
    """`$top` and `$skiptoken`, as in Graph."""

    top: int
    after: str | None


async def _paging(
    top: Annotated[int, Query(alias="$top", ge=1, le=MAX_TOP)] = DEFAULT_TOP,
    after: Annotated[str | None, Query(alias="$skiptoken", min_length=1, max_length=2048)] = None,
) -> Paging:
    return Paging(top, after)


async def _if_match(if_match: Annotated[IfMatchText | None, Header(max_length=64)] = None) -> int | None:
    return version_of(if_match) if if_match is not None else None


async def _key(idempotency_key: Annotated[IdempotencyKey | None, Header()] = None) -> str:
    return idempotency_key or ""


async def _correlation(client_request_id: Annotated[str, Header(max_length=128)] = "") -> str:
    return client_request_id


TheWorld = Annotated[World, Depends(_world)]
TheInitiator = Annotated[Initiator, Depends(_initiator)]
ThePerson = Annotated[Initiator, Depends(_person)]
"""A caller that must be a person."""
ThePaging = Annotated[Paging, Depends(_paging)]
IfMatch = Annotated[int | None, Depends(_if_match)]
Key = Annotated[str, Depends(_key)]
Correlation = Annotated[str, Depends(_correlation)]
