"""Query parameters that a route does not declare: an error, with every other fault of the request.

A route declares its parameters; no route reads others. FastAPI ignores unknown ones, so this module compares.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from typing import Any, get_origin

from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import request_body_to_args, request_params_to_args
from fastapi.routing import APIRoute
from starlette.requests import Request

from functions.web.errors import detail_of, fault_at, invalid

Json = dict[str, Any]
MAX_SHOWN = 64
"""Characters of a wrong name or value that an answer repeats."""


DONE = "done"
"""Names the act that led to a page, which says so. Every page can have it."""

NAMES = frozenset({"search", "name"})
"""Parameters that would hold a searched name. No route has one: proxies, histories and access logs keep addresses."""

NO_NAME = "takes no name in an address, because addresses are logged. Send names in the body of a POST."


async def check_parameters(request: Request) -> None:
    """Raise HttpError with every fault of the request if a query parameter is unknown or repeated."""
    route: APIRoute = request.scope["route"]
    fields = [field for each in _flat(route.dependant) for field in each.query_params]
    lists = {field.alias for field in fields if get_origin(field.field_info.annotation) is list}
    known = [field.alias for field in fields]
    if not route.include_in_schema:
        known.append(DONE)
    found = list(_wrong_names(request, known, lists))
    if found:
        raise invalid([*found, *map(detail_of, await _other_faults(request, route))])


def _wrong_names(request: Request, known: Sequence[str], lists: Collection[str]) -> Iterator[Json]:
    for name in dict.fromkeys(request.query_params.keys()):
        if name in NAMES and name not in known:
            yield fault_at(name, NO_NAME, "NameInAddress")
        elif name not in known:
            yield fault_at(name[:MAX_SHOWN], _unknown(name[:MAX_SHOWN], known))
        elif name not in lists and len(request.query_params.getlist(name)) > 1:
            yield fault_at(name, "is given more than once")


def _unknown(name: str, known: Sequence[str]) -> str:
    if not known:
        return "is unknown: this route has no query parameters"
    close = get_close_matches(name, known, 1)
    guess = f" Did you mean {close[0]!r}?" if close else ""
    return f"is unknown.{guess} Allowed: {', '.join(sorted(known))}"


async def _other_faults(request: Request, route: APIRoute) -> list[Json]:
    """The faults that FastAPI would find in the declared parameters and in the body."""
    errors: list[Any] = []
    parts = list(_flat(route.dependant))
    for each in parts:
        for fields, received in (
            (each.path_params, request.path_params),
            (each.query_params, request.query_params),
            (each.header_params, request.headers),
        ):
            errors += request_params_to_args(fields, received)[1]
    fields = [field for each in parts for field in each.body_params]
    if fields:
        try:
            body = json.loads(await request.body() or b"null")
        except (ValueError, RecursionError):
            errors.append({"type": "json_invalid", "loc": ("body",), "msg": "The body is not JSON."})
        else:
            errors += (await request_body_to_args(fields, body, route._embed_body_fields))[1]
    return errors


def _flat(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for each in dependant.dependencies:
        yield from _flat(each)
