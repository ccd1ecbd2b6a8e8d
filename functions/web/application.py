"""The web application: routes, the table of what each one asks of its caller, and the gate every request passes."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from re import Pattern
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from functions.web.context import requires
from functions.web.errors import SERVER_ERROR, HttpError, Rejection, answer_to, body_of
from functions.web.pages import audit, first_day, health, licenses, static_files
from functions.web.pages import dead_letters as letter_pages
from functions.web.pages import groups as group_pages
from functions.web.pages import onboarding as onboarding_pages
from functions.web.pages import operations as operation_pages
from functions.web.pages import users as user_pages
from functions.web.pages.error_pages import failed_page, wants_page
from functions.web.principal import authenticate
from functions.web.rejections import RejectionLog
from functions.web.routes import center, dead_letters, groups, onboarding, operations, users
from shared.bootstrap import App
from shared.domain import trace_context
from shared.domain.access import READS, Access
from shared.domain.caller_limits import Kind
from shared.domain.errors import Unavailable
from shared.domain.initiator import API, PAGE
from shared.domain.writing import Writing
from shared.handlers.reconcile.write_limiter import writing

MAX_BODY = 1024 * 1024
"""Bytes of a request body: 5,000 user ids take 200 KB."""

ACCESS: Mapping[tuple[str, str], Access] = {
    ("GET", "/api/openapi.json"): Access.ANY,
    ("GET", "/api/operations"): Access.READ,
    ("GET", "/api/operations/{operation_id}"): Access.READ,
    ("GET", "/api/operations/{operation_id}/members"): Access.READ,
    ("POST", "/api/operations/{operation_id}/review"): Access.WRITE,
    ("POST", "/api/operations/{operation_id}/approve"): Access.APPROVE,
    ("POST", "/api/operations/{operation_id}/reject"): Access.APPROVE,
    ("POST", "/api/operations/{operation_id}/pause"): Access.WRITE,
    ("POST", "/api/operations/{operation_id}/resume"): Access.WRITE,
    ("POST", "/api/operations/{operation_id}/cancel"): Access.WRITE,
    ("GET", "/api/approvals"): Access.READ,
    ("POST", "/api/groups/{group_id}/assignLicense"): Access.WRITE_GROUPS,
    ("POST", "/api/groups/{group_id}/reprocessLicenseAssignment"): Access.WRITE_GROUPS,
    ("POST", "/api/groups/{group_id}/adoptLicenses"): Access.WRITE_GROUPS,
    ("POST", "/api/groups/{group_id}/enableServicePlans"): Access.WRITE_GROUPS,
    ("GET", "/api/groups/{group_id}/licenseAssignment"): Access.READ,
    ("PATCH", "/api/groups/{group_id}/licenseAssignment"): Access.CONFIGURE,
    ("GET", "/api/groups/{group_id}/status"): Access.READ,
    ("GET", "/api/groups/{group_id}/members"): Access.READ,
    ("GET", "/api/groups/{group_id}/membersWithLicenseErrors"): Access.READ,
    ("POST", "/api/users/assignLicense"): Access.WRITE,
    ("POST", "/api/users/{user_id}/reprocessLicenseAssignment"): Access.WRITE,
    ("POST", "/api/users/{user_id}/adoptLicenses"): Access.WRITE,
    ("POST", "/api/users/{user_id}/enableServicePlans"): Access.WRITE,
    ("POST", "/api/users/{user_id}/keepLicenses"): Access.WRITE,
    ("POST", "/api/users/{user_id}/removeLicensesNow"): Access.APPROVE,
    ("GET", "/api/users/{user_id}/licenses"): Access.READ_USERS,
    ("GET", "/api/users/{user_id}/export"): Access.CONFIGURE,
    ("POST", "/api/users/{user_id}/erase"): Access.CONFIGURE,
    ("GET", "/api/subscribedSkus"): Access.READ,
    ("GET", "/api/changeFeed"): Access.READ,
    ("GET", "/api/licenses"): Access.READ,
    ("GET", "/api/groups"): Access.READ,
    ("POST", "/api/users/search"): Access.READ_USERS,
    ("GET", "/api/users/{user_id}"): Access.READ_USERS,
    ("GET", "/api/audit"): Access.READ,
    ("GET", "/api/audit/verify"): Access.READ,
    ("GET", "/api/audit/{entry_id}/message"): Access.WRITE,
    ("GET", "/api/overview"): Access.READ,
    ("GET", "/api/writing"): Access.READ,
    ("POST", "/api/writing/turnOn"): Access.CONFIGURE,
    ("POST", "/api/writing/turnOff"): Access.CONFIGURE,
    ("GET", "/api/deadLetters"): Access.READ_LETTERS,
    ("POST", "/api/deadLetters/search"): Access.READ_LETTERS,
    ("GET", "/api/deadLetters/bulk"): Access.READ_LETTERS,
    ("POST", "/api/deadLetters/bulk"): Access.WRITE,
    ("GET", "/api/deadLetters/bulk/{bulk_id}"): Access.READ_LETTERS,
    ("DELETE", "/api/deadLetters/{letter_id}"): Access.WRITE,
    ("POST", "/api/deadLetters/{letter_id}/replay"): Access.WRITE,
    ("POST", "/api/onboarding"): Access.WRITE_HR,
    ("GET", "/api/onboarding/schema"): Access.ANY,
    ("GET", "/api/onboarding/{event_key}"): Access.READ_HR_EVENT,
    ("POST", "/api/onboarding/{event_key}/cancel"): Access.END_HR_EVENT,
    ("POST", "/api/onboarding/{event_key}/replay"): Access.END_HR_EVENT,
    ("POST", "/api/onboarding/{event_key}/decide"): Access.APPROVE,
    ("GET", "/api/onboarding"): Access.READ_HR,
    ("POST", "/api/onboarding/dryRun"): Access.READ_HR,
    ("GET", "/api/onboarding/held"): Access.READ_HR,
    ("POST", "/api/onboarding/held/approve"): Access.APPROVE,
    ("POST", "/api/onboarding/held/reject"): Access.APPROVE,
    ("GET", "/api/onboarding/announced"): Access.READ_HR,
    ("POST", "/api/onboarding/announced/approve"): Access.APPROVE,
    ("GET", "/api/onboarding/profiles"): Access.READ,
    ("GET", "/api/onboarding/profiles/{profile_name}"): Access.READ,
    ("PUT", "/api/onboarding/profiles/{profile_name}"): Access.CONFIGURE,
    ("DELETE", "/api/onboarding/profiles/{profile_name}"): Access.CONFIGURE,
    ("GET", "/api/onboarding/proposals"): Access.READ,
    ("POST", "/api/onboarding/proposals/{profile_name}/approve"): Access.APPROVE,
    ("POST", "/api/onboarding/proposals/{profile_name}/reject"): Access.APPROVE,
    ("GET", "/"): Access.ANY,
    ("GET", "/static/{name}"): Access.ANY,
    ("GET", "/firstDay"): Access.READ,
    ("POST", "/firstDay/turnOn"): Access.CONFIGURE,
    ("POST", "/firstDay/turnOff"): Access.CONFIGURE,
    ("GET", "/licenses"): Access.READ,
    ("GET", "/licenses/{sku_id}"): Access.READ,
    ("GET", "/groups"): Access.READ,
    ("GET", "/groups/{group_id}"): Access.READ,
    ("GET", "/groups/{group_id}/live"): Access.READ,
    ("GET", "/groups/{group_id}/members.csv"): Access.READ,
    ("GET", "/groups/{group_id}/assign"): Access.READ,
    ("POST", "/groups/{group_id}/assign"): Access.WRITE_GROUPS,
    ("POST", "/groups/{group_id}/assign/check"): Access.READ,
    ("POST", "/groups/{group_id}/reprocess"): Access.WRITE_GROUPS,
    ("POST", "/groups/{group_id}/options"): Access.CONFIGURE,
    ("POST", "/groups/{group_id}/adopt"): Access.WRITE_GROUPS,
    ("POST", "/groups/{group_id}/enable"): Access.WRITE_GROUPS,
    ("GET", "/operations"): Access.READ,
    ("GET", "/operations/{operation_id}"): Access.READ,
    ("GET", "/operations/{operation_id}/progress"): Access.READ,
    ("POST", "/operations/{operation_id}/confirm"): Access.WRITE_GROUPS,
    ("POST", "/operations/{operation_id}/review"): Access.WRITE,
    ("POST", "/operations/{operation_id}/approve"): Access.APPROVE,
    ("POST", "/operations/{operation_id}/reject"): Access.APPROVE,
    ("POST", "/operations/{operation_id}/pause"): Access.WRITE,
    ("POST", "/operations/{operation_id}/resume"): Access.WRITE,
    ("POST", "/operations/{operation_id}/cancel"): Access.WRITE,
    ("GET", "/approvals"): Access.READ,
    ("GET", "/users"): Access.READ_USERS,
    ("POST", "/users"): Access.READ_USERS,
    ("GET", "/users/{user_id}"): Access.READ_USERS,
    ("POST", "/users/{user_id}/reprocess"): Access.WRITE,
    ("POST", "/users/{user_id}/keep"): Access.WRITE,
    ("POST", "/users/{user_id}/remove"): Access.APPROVE,
    ("POST", "/users/{user_id}/adopt"): Access.WRITE,
    ("POST", "/users/{user_id}/enable"): Access.WRITE,
    ("GET", "/onboarding"): Access.READ_HR,
    ("GET", "/onboarding/announced"): Access.READ_HR,
    ("POST", "/onboarding/announced/approve"): Access.APPROVE,
    ("GET", "/onboarding/profiles"): Access.READ,
    ("POST", "/onboarding/profiles/{profile_name}/approve"): Access.APPROVE,
    ("POST", "/onboarding/profiles/{profile_name}/reject"): Access.APPROVE,
    ("GET", "/onboarding/{event_key}"): Access.READ_HR,
    ("POST", "/onboarding/held/approve"): Access.APPROVE,
    ("POST", "/onboarding/held/reject"): Access.APPROVE,
    ("POST", "/onboarding/{event_key}/cancel"): Access.END_HR_EVENT,
    ("POST", "/onboarding/{event_key}/replay"): Access.END_HR_EVENT,
    ("POST", "/onboarding/{event_key}/carryOut"): Access.APPROVE,
    ("POST", "/onboarding/{event_key}/dismiss"): Access.APPROVE,
    ("GET", "/audit"): Access.READ,
    ("GET", "/audit.csv"): Access.READ,
    ("GET", "/audit.jsonl"): Access.READ,
    ("GET", "/health"): Access.READ,
    ("GET", "/health/queues"): Access.READ,
    ("GET", "/deadLetters"): Access.READ_LETTERS,
    ("POST", "/deadLetters"): Access.READ_LETTERS,
    ("POST", "/deadLetters/bulk"): Access.WRITE,
    ("POST", "/deadLetters/{letter_id}/replay"): Access.WRITE,
    ("POST", "/deadLetters/{letter_id}/delete"): Access.WRITE,
}
"""What each route asks of its caller; a last part that names an act is written out. A route that is not in here answers
nobody. docs/roles.md shows which roles suffice."""

HR_EVENTS = ("POST", "/api/onboarding")

ACTS = ("act", "foreign")
"""Parameters of paths that name an act: acts of one route can ask for different accesses."""

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
        dead_letters,
        static_files,
        first_day,
        licenses,
        group_pages,
        operation_pages,
        user_pages,
        onboarding_pages,
        audit,
        health,
        letter_pages,
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
    row, has_act = _row_of(request)
    needed = ACCESS.get(row)
    if needed is None and has_act:
        raise HttpError(404, "NotFound", "There is no such act.")
    if needed is None:
        raise HttpError(403, "Forbidden", "No caller may use this route.")
    requires(request, needed)
    await _limit(request, row, needed)
    if wants_page(request):
        request.scope["writing"] = await _writing(request)


async def _limit(request: Request, row: tuple[str, str], needed: Access) -> None:
    """Count the request for its caller. Events of HR are counted one by one, where they are read."""
    if needed is not Access.ANY and row != HR_EVENTS:
        kind = Kind.READS if needed in READS else Kind.CHANGES
        await request.app.state.doors().limits.admit(request.scope["principal"].initiator.id, kind)


async def _writing(request: Request) -> Writing | None:
    """For the banner of a page; None if the table is away, of which the page itself tells."""
    try:
        return await writing(request.app.state.doors().world)
    except Unavailable:
        return None


def _row_of(request: Request) -> tuple[tuple[str, str], bool]:
    """The row of ACCESS for a request that has found its route, and whether the path names an act."""
    path: str = request.scope["route"].path
    acts = [name for name in ACTS if name in request.path_params]
    for name in acts:
        path = path.replace(f"{{{name}}}", str(request.path_params[name]))
    return (request.method, path), bool(acts)


@cache
def _patterns() -> tuple[tuple[str, str, Pattern[str]], ...]:
    rows = sorted(ACCESS, key=lambda row: row[1].count("{"))  # a literal path comes before one with a parameter
    return tuple((method, path, compile_path(path)[0]) for method, path in rows)


def route_named(method: str, path: str) -> str:
    """The row of ACCESS that a request would find, for the log: what else a path says is not logged."""
    for verb, template, pattern in _patterns():
        if verb == method and pattern.match(path):
            return f"{verb} {template}"
    return "no route"


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
                body = await _body(request, receive)
                await self._app(scope, _replay(body, receive), sending)
            except Exception as fault:  # one request: its caller gets an error body, and others go on
                if sending.started:
                    raise
                refusal = answer_to(fault, conditional="if-match" in request.headers)
                if isinstance(refusal, Rejection):
                    self._rejections.note(refusal.caller, route_named(request.method, request.url.path), refusal.reason)
                if refusal is SERVER_ERROR:
                    route = getattr(scope.get("route"), "path", "without a route")
                    log.exception("request %s failed: %s %s", request_id, request.method, route)
                await _answer(request, refusal)(scope, receive, sending)
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
