"""Attempts at the doors: every caller at every route, other sites, odd paths, sessions that are replayed."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from itertools import product

from functions.web.route_access import ACCESS
from local.host.auth import COOKIE
from tests.attack.arena import Arena
from tests.attack.asking import Answer, bearer, cookie
from tests.attack.callers import HOUR, OTHER_KEY, OTHER_TENANT, Caller, callers, forged_principal
from tests.attack.expected import (
    EVERYTHING,
    PASS,
    Route,
    documented_routes,
    expected,
    writes,
)

ROUTES, CSRF, PATHS, SESSIONS = "callers and routes", "requests of other sites", "odd paths", "sessions"

LOST = "f" * 32
PARAMETERS = {"sku_id": "05e9a617-0261-4cee-bb44-138d3ef5d965", "name": "site.css", "profile_name": "attack"}
"""Values of parameters that are no ids; ids are of nothing that exists."""

IDS = frozenset({"operation_id", "dead_letter_id", "entry_id", "bulk_id", "run_id", "event_key"})
NOWHERE = "0f5c1d7e-6c0a-4a52-9b0f-3a4b9c1d2e3f"
EVIL = "https://evil.example"
PAUSE = f"/api/operations/{LOST}/pause"


def address(path: str) -> str:
    """A route's path with values in it."""

    def value(match: re.Match[str]) -> str:
        return PARAMETERS.get(match[1], LOST if match[1] in IDS else NOWHERE)

    return re.sub(r"\{(\w+)\}", value, path)


def try_routes(arena: Arena) -> None:
    """Every kind of caller on every route."""
    routes = documented_routes()
    served = set(ACCESS)
    arena.results.must(ROUTES, "each route has an expectation", served == set(routes), served ^ set(routes))

    def attempt(pair: tuple[Caller, Route]) -> None:
        caller, (method, path) = pair
        body: object = None if method == "GET" else {}
        answer = arena.ask(method, address(path), caller.headers(arena.someone()), body)
        name, wanted = f"{caller.name} on {method} {path}", expected(caller.holder, (method, path), routes)
        if wanted == PASS:
            arena.results.must_pass(ROUTES, name, answer)
        else:
            arena.results.must_deny(ROUTES, name, answer, wanted)

    arena.each(arena.some(product(callers(arena.mint), routes)), attempt)
    arena.ask("POST", "/api/writing/turnOn", arena.person(), {})
    writing = arena.ask("GET", "/api/writing", arena.person()).json
    arena.results.must(ROUTES, "writing is on again", bool(writing["on"]), writing, denial=False)


Sent = dict[str, str]

UNMANAGED: tuple[Sent, ...] = (
    {},
    {"origin": EVIL},
    {"origin": "null"},
    {"referer": f"{EVIL}/page"},
    {"origin": EVIL, "referer": EVIL},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "none"},
    {"sec-fetch-site": "Same-Origin"},
    {"sec-fetch-site": "same-origin, cross-site"},
    {"sec-fetch-site": "same-origin;"},
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-user": "?1"},
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"},
    {"sec-fetch-mode": "cors", "origin": EVIL},
    {"sec-fetch-dest": "document", "origin": EVIL},
    {"content-type": "text/plain", "origin": EVIL},
    {"content-type": "application/x-www-form-urlencoded", "origin": EVIL},
    {"content-type": "multipart/form-data; boundary=x", "origin": EVIL},
    {"content-type": "text/plain", "sec-fetch-site": "cross-site"},
    {"content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-site"},
    {"x-http-method-override": "PUT", "origin": EVIL},
    {"x-forwarded-host": "evil.example", "origin": EVIL},
    {"x-forwarded-proto": "https", "sec-fetch-site": "cross-site"},
    {"x-requested": "XMLHttpRequest"},
    {"x-csrf-token": "1", "sec-fetch-site": "cross-site"},
    {"accept": "text/html", "sec-fetch-site": "cross-site"},
    {"if-match": "*", "origin": EVIL},
)
"""Headers of requests that a page of another site can make a browser send, or that look so."""

OWN: tuple[Sent, ...] = (
    {"sec-fetch-site": "same-origin"},
    {"x-requested-with": "XMLHttpRequest"},
    {"sec-fetch-site": "same-origin", "content-type": "application/x-www-form-urlencoded"},
)
"""Headers of requests of this site: another one cannot send these, since it is not allowed to ask first."""


def try_other_sites(arena: Arena) -> None:
    """Every writing route with the cookie of an administrator, from a page of another site."""
    guarded = [each for each in documented_routes() if writes(each)]
    asked = {"origin": EVIL, "access-control-request-method": "POST", "access-control-request-headers": "content-type"}

    def attempt(pair: tuple[Route, Sent]) -> None:
        (method, path), sent = pair
        signed_in = arena.mint.session(arena.someone(), EVERYTHING)
        kept = {name: value for name, value in signed_in.items() if name == "cookie"}
        answer = arena.ask(method, address(path), {**kept, **sent}, None if method == "GET" else {})
        name = f"{method} {path} with {sent}"
        if sent in OWN:
            arena.results.must_pass(CSRF, name, answer)
        else:
            arena.results.must_deny(CSRF, name, answer, 403)

    def preflight(route: Route) -> None:
        answer = arena.ask("OPTIONS", address(route[1]), asked)
        grants = [name for name in answer.headers if name.startswith("access-control-")]
        right = not grants and answer.status < 500
        arena.results.must(CSRF, f"preflight of {route}", right, f"{answer} {grants}")

    arena.each(arena.some(product(guarded, (*UNMANAGED, *OWN))), attempt)
    arena.each(arena.some(guarded), preflight)
    arena.ask("POST", "/api/writing/turnOn", arena.person(), {})


ODD = (
    "//evil.example",
    "//evil.example/api/operations",
    "/\\evil.example",
    "/api//operations",
    "//api/operations",
    "/api/operations/",
    "/API/OPERATIONS",
    "/api/health/../operations",
    "/api/health/%2e%2e/operations",
    "/api/health%2f..%2foperations",
    "/api/health/operations",
    "/api/health;/operations",
    "/api/healthz",
    "/graph/notifications/../../api/operations",
    "/graph/notifications/api/operations",
    "/graph/notifications%00",
    "/static/../api/operations",
    "/static/..%2f..%2ffunction_app.py",
    "/static/%2e%2e%2fweb%2fapplication.py",
    "/.auth/../api/operations",
    "/api/operations%20",
    "/api/operations?x-ms-client-principal=x",
    "/api/operations%00.css",
    "/api/operations.json",
    "/api/./operations",
    "/./api/operations",
    "http://evil.example/api/operations",
    "/api/openapi.json/",
    "/docs",
    "/redoc",
    "/openapi.json",
    "/admin/host/status",
    "/runtime/webhooks/durabletask",
)
METHODS = ("GET", "POST", "PUT", "DELETE", "TRACE", "CONNECT", "PROPFIND", "BREW")
ENTRY = (200, 201, 202, 204, 206)
HOME = re.compile(r"/\.auth/login/aad\?post_login_redirect_uri=%2F(?!%2F|%5C)")
"""Sign-in that leads back to a path of this site."""


def try_paths(arena: Arena) -> None:
    """Paths by which the gate could be passed, without a sign-in or with a forged one."""

    def attempt(attempted: tuple[str, str, bool]) -> None:
        method, path, forged = attempted
        headers = forged_principal(arena.mint, arena.someone()) if forged else {}
        answer = arena.ask(method, path, {**headers, "accept": "text/html"}, None if method == "GET" else {})
        leads = answer.headers.get("location", "")
        home = leads == "" or HOME.match(leads) is not None
        right = answer.status not in ENTRY and home and answer.status < 500
        arena.results.must(PATHS, f"{method} {path}", right, f"{answer} {leads}")

    arena.each(arena.some(product(METHODS, ODD, (False, True))), attempt)


def try_sessions(arena: Arena) -> None:
    """Sessions and tokens that are replayed where they do not belong."""
    now = int(time.time())
    for name, headers in _replays(arena, now):
        for method, path in (("GET", "/api/operations"), ("POST", PAUSE), ("GET", "/operations")):
            answer = arena.ask(method, path, {**headers, "x-requested-with": "x"}, None if method == "GET" else {})
            arena.results.must_deny(SESSIONS, f"{name} on {method} {path}", answer, 401)
    oid = arena.someone()
    for minutes, status in ((0, 404), (59, 404), (61, 401), (8 * 60 - 1, 401)):
        at = int(time.time()) - minutes * 60
        headers = arena.mint.session(oid, EVERYTHING, iat=at, nbf=at, auth_time=at)
        written = arena.ask("POST", PAUSE, headers, {})
        read = arena.ask("GET", "/api/operations", headers)
        arena.results.must_deny(SESSIONS, f"a write {minutes} minutes after the sign-in", written, status)
        arena.results.must_pass(SESSIONS, f"a read {minutes} minutes after the sign-in", read)
    _sign_out(arena)


def _replays(arena: Arena, now: int) -> Iterator[tuple[str, Sent]]:
    mint, oid = arena.mint, arena.someone()
    session = mint.session(oid, EVERYTHING)["cookie"].removeprefix(f"{COOKIE}=")
    token = mint.token(oid, EVERYTHING)["authorization"].removeprefix("Bearer ")
    head, _, signature = session.split(".")
    claims = {"tid": mint.tenant_id, "oid": oid, "roles": [EVERYTHING], "aud": "local-session"}
    yield "a session as a token", bearer(session)
    yield "a token as a session", cookie(token)
    yield "a session that has ended", mint.session(oid, EVERYTHING, exp=now - 1)
    yield "a session that begins later", mint.session(oid, EVERYTHING, nbf=now + HOUR, iat=now + HOUR)
    yield "a session of another key", cookie(mint.signed(claims, OTHER_KEY))
    yield "a session with the algorithm none", cookie(mint.signed(claims, algorithm="none"))
    yield "a session with another's claims", cookie(f"{head}.{token.split('.')[1]}.{signature}")
    yield "a session of another tenant", mint.session(oid, EVERYTHING, tid=OTHER_TENANT)
    yield "a cookie of another name", {"cookie": f"appserviceauthsession={session}"}
    yield "a session and a token of another person", {**cookie(session), **mint.token(arena.someone(), EVERYTHING)}


def _sign_out(arena: Arena) -> None:
    """Signing out ends the cookie in the browser."""
    answer: Answer = arena.ask("GET", "/.auth/logout", arena.mint.session(arena.someone(), EVERYTHING))
    gone = answer.headers.get("set-cookie", "")
    arena.results.must(SESSIONS, "signing out takes the cookie away", "Max-Age=0" in gone, gone)
