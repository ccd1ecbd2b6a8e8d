"""The web application: routes, the table of what each one asks of its caller, and the gate every request passes."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from functions.web.errors import SERVER_ERROR, HttpError, answer_to, body_of
from functions.web.pages import audit, health, licenses, static_files
from functions.web.pages import groups as group_pages
from functions.web.pages import onboarding as onboarding_pages
from functions.web.pages import operations as operation_pages
from functions.web.pages import users as user_pages
from functions.web.pages.error_pages import failed_page, wants_page
from functions.web.principal import Access, authenticate, authorize
from functions.web.routes import center, groups, onboarding, operations, users
from shared.bootstrap import App
from shared.domain import trace_context

MAX_BODY = 1024 * 1024
"""Bytes of a request body: 5,000 user ids take 200 KB."""

READ, WRITE, ONBOARD, ONBOARD_READ = Access.READ, Access.WRITE, Access.ONBOARD, Access.ONBOARD_READ

ACCESS: Mapping[tuple[str, str], Access] = {
    ("GET", "/api/openapi.json"): READ,
    ("GET", "/api/operations"): READ,
    ("GET", "/api/operations/{operation_id}"): READ,
    ("GET", "/api/operations/{operation_id}/members"): READ,
    ("POST", "/api/operations/{operation_id}/review"): WRITE,
    ("POST", "/api/operations/{operation_id}/approve"): WRITE,
    ("POST", "/api/operations/{operation_id}/reject"): WRITE,
    ("POST", "/api/operations/{operation_id}/pause"): WRITE,
    ("POST", "/api/operations/{operation_id}/resume"): WRITE,
    ("POST", "/api/operations/{operation_id}/cancel"): WRITE,
    ("GET", "/api/approvals"): READ,
    ("POST", "/api/groups/{group_id}/assignLicense"): WRITE,
    ("POST", "/api/groups/{group_id}/reprocessLicenseAssignment"): WRITE,
    ("POST", "/api/groups/{group_id}/adoptLicenses"): WRITE,
    ("POST", "/api/groups/{group_id}/enableServicePlans"): WRITE,
    ("GET", "/api/groups/{group_id}/licenseAssignment"): READ,
    ("PATCH", "/api/groups/{group_id}/licenseAssignment"): WRITE,
    ("GET", "/api/groups/{group_id}/status"): READ,
    ("GET", "/api/groups/{group_id}/members"): READ,
    ("GET", "/api/groups/{group_id}/membersWithLicenseErrors"): READ,
    ("POST", "/api/users/assignLicense"): WRITE,
    ("POST", "/api/users/{user_id}/reprocessLicenseAssignment"): WRITE,
    ("POST", "/api/users/{user_id}/adoptLicenses"): WRITE,
    ("POST", "/api/users/{user_id}/enableServicePlans"): WRITE,
    ("POST", "/api/users/{user_id}/keepLicenses"): WRITE,
    ("POST", "/api/users/{user_id}/removeLicensesNow"): WRITE,
    ("GET", "/api/users/{user_id}/licenses"): READ,
    ("GET", "/api/subscribedSkus"): READ,
    ("GET", "/api/changeFeed"): READ,
    ("GET", "/api/licenses"): READ,
    ("GET", "/api/groups"): READ,
    ("GET", "/api/users"): READ,
    ("GET", "/api/users/{user_id}"): READ,
    ("GET", "/api/audit"): READ,
    ("GET", "/api/healthOverview"): READ,
    ("GET", "/api/deadLetters"): READ,
    ("POST", "/api/deadLetters/{letter_id}/replay"): WRITE,
    ("POST", "/api/onboarding"): ONBOARD,
    ("GET", "/api/onboarding/schema"): ONBOARD_READ,
    ("GET", "/api/onboarding/{event_key}"): ONBOARD_READ,
    ("POST", "/api/onboarding/{event_key}/cancel"): ONBOARD,
    ("POST", "/api/onboarding/{event_key}/replay"): ONBOARD,
    ("POST", "/api/onboarding/{event_key}/decide"): WRITE,
    ("GET", "/api/onboarding"): READ,
    ("POST", "/api/onboarding/dryRun"): READ,
    ("GET", "/api/onboarding/held"): READ,
    ("POST", "/api/onboarding/held/approve"): WRITE,
    ("POST", "/api/onboarding/held/reject"): WRITE,
    ("GET", "/api/onboarding/announced"): READ,
    ("POST", "/api/onboarding/announced/approve"): WRITE,
    ("GET", "/api/onboarding/profiles"): READ,
    ("GET", "/api/onboarding/profiles/{profile_name}"): READ,
    ("PUT", "/api/onboarding/profiles/{profile_name}"): WRITE,
    ("DELETE", "/api/onboarding/profiles/{profile_name}"): WRITE,
    ("GET", "/"): READ,
    ("GET", "/static/{name}"): READ,
    ("GET", "/licenses"): READ,
    ("GET", "/licenses/{sku_id}"): READ,
    ("GET", "/groups"): READ,
    ("GET", "/groups/{group_id}"): READ,
    ("GET", "/groups/{group_id}/live"): READ,
    ("GET", "/groups/{group_id}/members.csv"): READ,
    ("GET", "/groups/{group_id}/assign"): READ,
    ("POST", "/groups/{group_id}/assign"): WRITE,
    ("POST", "/groups/{group_id}/assign/check"): READ,
    ("POST", "/groups/{group_id}/reprocess"): WRITE,
    ("POST", "/groups/{group_id}/options"): WRITE,
    ("POST", "/groups/{group_id}/{foreign}"): WRITE,
    ("GET", "/operations"): READ,
    ("GET", "/operations/{operation_id}"): READ,
    ("GET", "/operations/{operation_id}/progress"): READ,
    ("POST", "/operations/{operation_id}/confirm"): WRITE,
    ("POST", "/operations/{operation_id}/{act}"): WRITE,
    ("GET", "/approvals"): READ,
    ("GET", "/users"): READ,
    ("GET", "/users/{user_id}"): READ,
    ("POST", "/users/{user_id}/reprocess"): WRITE,
    ("POST", "/users/{user_id}/keep"): WRITE,
    ("POST", "/users/{user_id}/remove"): WRITE,
    ("POST", "/users/{user_id}/{foreign}"): WRITE,
    ("GET", "/onboarding"): READ,
    ("GET", "/onboarding/{event_key}"): READ,
    ("GET", "/onboarding/announced"): READ,
    ("POST", "/onboarding/announced/approve"): WRITE,
    ("POST", "/onboarding/held/{act}"): WRITE,
    ("POST", "/onboarding/{event_key}/{act}"): WRITE,
    ("GET", "/audit"): READ,
    ("GET", "/audit.csv"): READ,
    ("GET", "/audit.jsonl"): READ,
    ("GET", "/health"): READ,
    ("GET", "/health/queues"): READ,
    ("POST", "/health/replay/{letter_id}"): WRITE,
}
"""What each route asks of its caller. A route that is not in here answers nobody."""

log = logging.getLogger(__name__)


def build(doors: Callable[[], App]) -> FastAPI:
    """The application; `doors` gives the composed app when a request needs it."""
    app = FastAPI(
        title="Group-based licensing",
        version="1.0",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        dependencies=[Depends(_permit)],
    )
    app.state.doors = doors
    app.add_middleware(Gate, doors=doors)
    app.add_exception_handler(RequestValidationError, _refuse)
    app.add_exception_handler(HTTPException, _refuse)
    for routes in (
        operations,
        groups,
        users,
        onboarding,
        center,
        static_files,
        licenses,
        group_pages,
        operation_pages,
        user_pages,
        onboarding_pages,
        audit,
        health,
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
    needed = ACCESS.get((request.method, request.scope["route"].path))
    if needed is None:
        raise HttpError(403, "Forbidden", "No caller may use this route.")
    authorize(request.scope["principal"], needed, request.headers, datetime.now(UTC))


async def _refuse(request: Request, fault: Exception) -> Response:
    return _answer(request, answer_to(fault))


def _answer(request: Request, refusal: HttpError) -> Response:
    """The error as a page for who looks at pages, as JSON for everybody else."""
    if wants_page(request):
        return failed_page(request, refusal)
    body = body_of(refusal, request.scope["request_id"])
    return Response(body, refusal.status, dict(refusal.headers), "application/json")


class Gate:
    """Lets in whom the platform has signed in, holds bodies to their limit, and answers every failure with an error."""

    def __init__(self, app: ASGIApp, doors: Callable[[], App]) -> None:
        self._app = app
        self._doors = doors

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
                scope["principal"] = authenticate(request.headers, doors.sign_in)
                body = await _body(request, receive)
                await self._app(scope, _replay(body, receive), sending)
            except Exception as fault:  # one request: its caller gets an error body, and others go on
                if sending.started:
                    raise
                refusal = answer_to(fault, conditional="if-match" in request.headers)
                if refusal is SERVER_ERROR:
                    route = getattr(scope.get("route"), "path", "without a route")
                    log.exception("request %s failed: %s %s", request_id, request.method, route)
                await _answer(request, refusal)(scope, receive, sending)
            route = scope.get("route")
            span.note(method=request.method, route=getattr(route, "path", ""), status=sending.status)


class _Sending:
    """Sends the answer, with the headers all answers carry, and knows whether it has begun."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._headers = [
            (b"request-id", request_id.encode("latin-1", "replace")),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
        ]
        self.started = False
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            self.status = int(message["status"])
            message = {**message, "headers": [*message.get("headers", []), *self._headers]}
        await self._send(message)


async def _body(request: Request, receive: Receive) -> bytes:
    """The whole body. Raises HttpError (413) for one over the limit, without reading on."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > MAX_BODY:
        raise _too_large()
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            break
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY:
            raise _too_large()
        if not message.get("more_body", False):
            break
    return b"".join(parts)


def _too_large() -> HttpError:
    return HttpError(413, "RequestTooLarge", f"The body is larger than {MAX_BODY} bytes.")


def _replay(body: bytes, receive: Receive) -> Receive:
    """A receive that gives the body once, then what the server says."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
