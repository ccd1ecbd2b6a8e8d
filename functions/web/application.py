"""The web application: its routers, and the gate that every request passes."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from functions.web.context import requires
from functions.web.errors import SERVER_ERROR, HttpError, Rejection, answer_to, body_of
from functions.web.pages import (
    assign,
    audit,
    first_contact,
    first_day,
    health,
    license_errors,
    member_export,
    search,
    start,
    static_files,
)
from functions.web.pages import dead_letters as dead_letter_pages
from functions.web.pages import groups as group_pages
from functions.web.pages import licenses as license_pages
from functions.web.pages import moves as move_pages
from functions.web.pages import native as native_pages
from functions.web.pages import onboarding as onboarding_pages
from functions.web.pages import operations as operation_pages
from functions.web.pages import users as user_pages
from functions.web.pages.error_pages import failed_page, wants_page
from functions.web.parameters import check_parameters
from functions.web.principal import authenticate
from functions.web.rejections import RejectionLog
from functions.web.route_access import ACCESS, ACTS, HR_EVENTS, route_named
from functions.web.routes import (
    center,
    dead_letters,
    groups,
    licenses,
    moves,
    native,
    onboarding,
    operations,
    profiles,
    users,
)
from functions.web.routes import first_contact as first_contact_routes
from shared.bootstrap import App
from shared.domain import trace_context
from shared.domain.access import READS, UNCOUNTED, Access
from shared.domain.caller_limits import Kind
from shared.domain.errors import LicensingError, Unavailable
from shared.domain.initiator import API, PAGE
from shared.domain.open_items import OpenItems
from shared.domain.version import VERSION
from shared.domain.writing import Writing
from shared.handlers.reconcile.write_limiter import writing

MAX_BODY = 1024 * 1024
"""Bytes of a request body: 5,000 user ids take 200 KB."""

log = logging.getLogger(__name__)


def build(doors: Callable[[], App]) -> FastAPI:
    """The application; `doors` gives the composed app when a request needs it."""
    app = FastAPI(
        title="Seatkeeper",
        version=VERSION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        dependencies=[Depends(_permit)],
    )
    app.state.doors = doors
    app.add_middleware(Gate, doors=doors)
    app.add_exception_handler(RequestValidationError, _reject)
    app.add_exception_handler(HTTPException, _reject)
    for routes in (
        operations,
        groups,
        native,
        moves,
        users,
        profiles,  # before the routes that take any name in their place
        onboarding,
        licenses,
        center,
        dead_letters,
        first_contact_routes,
        static_files,
        first_day,
        first_contact,
        start,
        search,
        license_pages,
        license_errors,
        member_export,
        assign,
        move_pages,
        native_pages,  # before the routes that take any act in their place
        group_pages,
        operation_pages,
        user_pages,
        onboarding_pages,
        audit,
        health,
        dead_letter_pages,
    ):
        app.include_router(routes.router)

    @app.get("/api/openapi.json", include_in_schema=False)
    async def get_description() -> dict[str, Any]:
        return description(app)

    return app


def description(app: FastAPI) -> dict[str, Any]:
    """The API's description, made when it is first asked for."""
    from functions.web.contract.describing import describe

    if app.openapi_schema is None:
        app.openapi_schema = describe(app, ACCESS)
    return app.openapi_schema


async def _permit(request: Request) -> None:
    """Check the request before its route: role, limit, then parameters. A page also gets its banner and badges."""
    await _admit(request)
    await check_parameters(request)
    if wants_page(request):
        request.scope["writing"], request.scope["items"] = await asyncio.gather(_writing(request), _items(request))


async def _admit(request: Request) -> None:
    """Check the caller's role and limit for the route, once. The framework reads a body before any dependency, so the
    body asks for this check too."""
    if "permitted" in request.scope:
        return
    row, has_act = _row_of(request)
    needed = ACCESS.get(row)
    if needed is None and has_act:
        raise HttpError(404, "NotFound", "There is no such act.")
    if needed is None:
        raise HttpError(403, "Forbidden", "No caller may use this route.")
    requires(request, needed)
    await _limit(request, row, needed)
    request.scope["permitted"] = True


async def _limit(request: Request, row: tuple[str, str], needed: Access) -> None:
    """Count the request for its caller. Events of HR are counted one by one, once they are read."""
    if needed in UNCOUNTED:
        return
    limits, caller = request.app.state.doors().limits, request.scope["principal"].initiator.id
    if row == HR_EVENTS:
        await limits.admit(caller, Kind.HR_EVENTS, 0)
    else:
        await limits.admit(caller, _kind(request, needed))


def _kind(request: Request, needed: Access) -> Kind:
    if needed in READS:
        return Kind.READS
    # A plan of many groups needs a preview of each. They write no license, and the number of open ones is limited.
    return Kind.PREVIEWS if request.query_params.get("preview") == "true" else Kind.CHANGES


async def _writing(request: Request) -> Writing | None:
    """For the banner of a page; None if the table is away, which the page itself reports."""
    try:
        return await writing(request.app.state.doors().world)
    except Unavailable:
        return None


async def _items(request: Request) -> OpenItems | None:
    """For the badges of a page; None if the table is away, or nothing was counted yet."""
    try:
        found: OpenItems | None = await request.app.state.doors().world.stores.open_items.get()
    except Unavailable:
        return None
    return found


def _row_of(request: Request) -> tuple[tuple[str, str], bool]:
    """The row of ACCESS for a request that has found its route, and whether the path names an act."""
    path: str = request.scope["route"].path
    acts = [name for name in ACTS if name in request.path_params]
    for name in acts:
        path = path.replace(f"{{{name}}}", str(request.path_params[name]))
    return (request.method, path), bool(acts)


async def _reject(request: Request, fault: Exception) -> Response:
    cause = fault.__cause__
    if isinstance(cause, HttpError | LicensingError):
        # The framework calls every fault of a body an error in it.
        raise cause
    if isinstance(fault, RequestValidationError) and wants_page(request) and _is_in_path(fault):
        return _answer(request, HttpError(404, "NotFound", f"There is no page {request.url.path}."))
    return _answer(request, answer_to(fault))


def _is_in_path(fault: RequestValidationError) -> bool:
    """Whether the address itself names nothing that exists."""
    return any(each["loc"][0] == "path" for each in fault.errors())


def _answer(request: Request, rejection: HttpError) -> Response:
    """The error as a page for people in a browser, and as JSON for other callers."""
    if wants_page(request):
        return failed_page(request, rejection)
    body = body_of(rejection, request.scope["request_id"])
    return Response(body, rejection.status, dict(rejection.headers), "application/json")


class Gate:
    """Lets in whom the platform has signed in, holds bodies to their limit, and answers every failure with an error."""

    def __init__(self, app: ASGIApp, doors: Callable[[], App]) -> None:
        self._app = app
        self._doors = doors
        self._rejections = RejectionLog()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        request_id = scope.get("azure_functions.invocation_id") or str(uuid.uuid4())
        scope["request_id"] = request_id
        sending = _Sending(send, request_id)
        doors = self._doors()
        trace = trace_context.within(scope.get("azure_functions.trace_context"), request.headers.get("traceparent", ""))
        with doors.world.telemetry.work("HTTP request", trace) as span:
            try:
                self._rejections.write_due()
                channel = _channel(request.url.path)
                scope["principal"] = authenticate(request.headers, doors.sign_in, datetime.now(UTC), channel)
                await self._app(scope, _Body(scope, receive), sending)
            except Exception as fault:  # one request: its caller gets an error body, and others go on
                if sending.started:
                    raise
                rejection = answer_to(fault, conditional="if-match" in request.headers)
                if isinstance(rejection, Rejection):
                    self._rejections.note(
                        rejection.caller, route_named(request.method, request.url.path), rejection.reason
                    )
                if rejection is SERVER_ERROR:
                    route = getattr(scope.get("route"), "path", "without a route")
                    log.exception("request %s failed: %s %s", request_id, request.method, route)
                await _answer(request, rejection)(scope, receive, sending)
            route = scope.get("route")
            span.note(method=request.method, route=getattr(route, "path", ""), status=sending.status)


def _channel(path: str) -> str:
    """The channel that the audit log names for a request."""
    return API if path.startswith("/api/") else PAGE


class _Sending:
    """Sends the answer, with the headers all answers carry, and knows whether it has begun."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._headers = [
            (b"request-id", request_id.encode("latin-1", "replace")),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
            (b"strict-transport-security", b"max-age=31536000"),
        ]
        self.started = False
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            self.status = int(message["status"])
            message = {**message, "headers": [*message.get("headers", []), *self._headers]}
        await self._send(message)


class _Body:
    """Receives the body of a request that its route lets in, up to the limit."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._scope = scope
        self._receive = receive
        self._size = 0

    async def __call__(self) -> Message:
        """Raises HttpError (413) for a body over the limit, without reading on, and what the check of the route
        raises."""
        request = Request(self._scope)
        await _admit(request)
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length) > MAX_BODY:
            raise _too_large()
        message = await self._receive()
        self._size += len(message.get("body", b""))
        if self._size > MAX_BODY:
            raise _too_large()
        return message


def _too_large() -> HttpError:
    return HttpError(413, "RequestTooLarge", f"The body is larger than {MAX_BODY} bytes.")
