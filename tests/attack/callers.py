"""Every kind of caller that there is, each with what it must be answered."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from local.host.auth import AUDIENCE, PRINCIPAL, ROLES, SESSION_AUDIENCE
from tests.attack.asking import CLIENTS, Mint, bearer, cookie
from tests.attack.expected import EVERYTHING, Holder, documented_directory_roles

APP_ROLES = (
    "Licensing.Read",
    "Licensing.Write",
    "Licensing.Approve",
    "Licensing.Configure",
    "Onboarding.Read",
    "Onboarding.Write",
    EVERYTHING,
)
OTHER_KEY = "k" * 64
OTHER_TENANT = "9a0c0305-4f89-41d3-9a0c-0305e82c3302"
STRANGER = "dddddddd-0000-4000-8000-000000000004"
GUEST_IDP = f"https://sts.windows.net/{OTHER_TENANT}/"
HOUR = 3600

Make = Callable[[str], dict[str, str]]
"""Headers for an object id."""


@dataclass(frozen=True)
class Caller:
    """`headers`: of a person or an application with an object id of its own, since limits count callers."""

    name: str
    headers: Make
    holder: Holder


def callers(mint: Mint) -> list[Caller]:
    return [*_strangers(mint), *_wrong_tokens(mint), *_guests(mint), *_with_roles(mint), *_with_old_sign_ins(mint)]


def _rejected(name: str, status: int, headers: Make) -> Caller:
    return Caller(name, headers, Holder(rejected=status))


def forged_principal(mint: Mint, oid: str) -> dict[str, str]:
    """The header that only the platform may set, with everything in it."""
    claims = {"tid": mint.tenant_id, "oid": oid, "roles": EVERYTHING, "iat": str(int(time.time()))}
    issuer = {"iss": f"https://sts.windows.net/{mint.tenant_id}/", "auth_time": str(int(time.time()))}
    listed = [{"typ": name, "val": value} for name, value in {**claims, **issuer}.items()]
    text = base64.b64encode(json.dumps({"auth_typ": "aad", "claims": listed}).encode()).decode()
    return {PRINCIPAL: text, f"{PRINCIPAL}-id": oid, f"{PRINCIPAL}-name": "Administrator", f"{PRINCIPAL}-idp": "aad"}


def _strangers(mint: Mint) -> Iterator[Caller]:
    def whole(oid: str, /, **claims: object) -> dict[str, str]:
        return mint.token(oid, EVERYTHING, **claims)

    def token_of(headers: dict[str, str]) -> str:
        return headers["authorization"].removeprefix("Bearer ")

    def unsigned(oid: str) -> dict[str, str]:
        head, body, _ = token_of(whole(oid)).split(".")
        return bearer(f"{head}.{body}.")

    def no_algorithm(oid: str) -> dict[str, str]:
        claims = {"tid": mint.tenant_id, "aud": AUDIENCE, "oid": oid, "roles": [EVERYTHING]}
        return bearer(mint.signed(claims, algorithm="none"))

    def other_key(oid: str) -> dict[str, str]:
        claims = {"tid": mint.tenant_id, "aud": AUDIENCE, "oid": oid, "roles": [EVERYTHING]}
        return bearer(mint.signed(claims, OTHER_KEY))

    yield _rejected("nobody", 401, lambda _: {})
    yield _rejected("forged principal", 401, lambda oid: forged_principal(mint, oid))
    yield _rejected("forged principal with a cookie", 401, lambda oid: {**forged_principal(mint, oid), **cookie("x")})
    yield _rejected("garbage as token", 401, lambda _: bearer("x.y.z"))
    yield _rejected("token without a signature", 401, unsigned)
    yield _rejected("token with the algorithm none", 401, no_algorithm)
    yield _rejected("token of another key", 401, other_key)
    yield _rejected("expired token", 401, lambda oid: whole(oid, exp=int(time.time()) - HOUR))
    yield _rejected("token of another tenant", 401, lambda oid: whole(oid, tid=OTHER_TENANT))
    yield _rejected("token of another issuer", 401, lambda oid: whole(oid, iss=GUEST_IDP))
    yield _rejected("token for another audience", 401, lambda oid: whole(oid, aud="https://graph.microsoft.com"))
    yield _rejected("basic authentication", 401, lambda _: {"authorization": "Basic YWRtaW46YWRtaW4="})


def _wrong_tokens(mint: Mint) -> Iterator[Caller]:
    def id_token(oid: str, audience: str) -> dict[str, str]:
        return mint.token(oid, EVERYTHING, aud=audience, azp=None, scp=None)

    def person(oid: str, /, **claims: object) -> dict[str, str]:
        return mint.token(oid, EVERYTHING, **claims)

    def app(oid: str, /, **claims: object) -> dict[str, str]:
        return mint.app(oid, EVERYTHING, **claims)

    yield _rejected("id token", 401, lambda oid: id_token(oid, AUDIENCE))
    yield _rejected("id token of the page's audience", 401, lambda oid: id_token(oid, SESSION_AUDIENCE))
    yield _rejected("token of another client", 403, lambda oid: person(oid, azp=STRANGER))
    yield _rejected("token whose client is no GUID", 401, lambda oid: person(oid, azp="*"))
    yield _rejected("token of two clients", 401, lambda oid: person(oid, azp=[CLIENTS["outside"], STRANGER]))
    yield _rejected("token with another scope", 403, lambda oid: person(oid, scp="User.Read"))
    yield _rejected("token without a scope", 403, lambda oid: person(oid, scp=None))
    yield _rejected("person's token that says app", 403, lambda oid: person(oid, idtyp="app"))
    yield _rejected("person without an object id", 401, lambda oid: person(oid, oid=None))
    yield _rejected("application of another client", 403, lambda oid: app(oid, azp=STRANGER))
    yield _rejected("application without a role", 403, lambda oid: app(oid, roles=None))
    yield _rejected("application with a directory role", 403, lambda oid: mint.app(oid, "Global Administrator"))
    yield _rejected("session of an application", 401, lambda oid: mint.session(oid, EVERYTHING, idtyp="app"))
    yield _rejected("cookie and token", 401, lambda oid: {**mint.session(oid, EVERYTHING), **person(oid)})
    yield _rejected(
        "cookie that names the session's", 401, lambda oid: {**person(oid), "cookie": "AppServiceAuthSession"}
    )
    yield _rejected("exchanged session", 401, lambda oid: {**person(oid), "x-zumo-auth": "x"})


def _guests(mint: Mint) -> Iterator[Caller]:
    ways: tuple[tuple[str, dict[str, object]], ...] = (
        ("by acct", {"acct": 1}),
        ("by two values of acct", {"acct": [0, 1]}),
        ("by an unknown acct", {"acct": "guest"}),
        ("by idp", {"acct": None, "idp": GUEST_IDP}),
        ("by idp of a consumer account", {"acct": None, "idp": "live.com"}),
    )
    for (how, claims), make in product(ways, (mint.token, mint.session)):
        headers = _bound(make, (EVERYTHING, "Global Administrator"), claims)
        yield _rejected(f"guest {how}, {make.__name__}", 403, headers)


def _bound(make: Callable[..., dict[str, str]], roles: tuple[str, ...], claims: Mapping[str, object]) -> Make:
    return lambda oid: make(oid, *roles, **claims)


def _with_roles(mint: Mint) -> Iterator[Caller]:
    for role in APP_ROLES:
        held = frozenset({role})
        for make in (mint.token, mint.session):
            yield Caller(f"{role}, {make.__name__}", _bound(make, (role,), {}), Holder(held))
        yield Caller(f"{role}, application", _bound(mint.app, (role,), {}), Holder(held, person=False, approves=False))
    stand_for = documented_directory_roles()
    for name, make in product(ROLES, (mint.token, mint.session)):
        held = stand_for.get(name, frozenset())
        yield Caller(f"{name}, {make.__name__}", _bound(make, (name,), {}), Holder(held))
    unknown: tuple[str, ...] = ("Users.Read", "Groups.Write", "licensing.readwrite", "Licensing.*", "any role", "")
    for name in unknown:
        yield Caller(f"unknown role {name!r}", _bound(mint.token, (name,), {}), Holder())
    yield Caller("no role", _bound(mint.token, (), {}), Holder())
    yield Caller("unknown directory role", _bound(mint.token, (), {"wids": [OTHER_TENANT]}), Holder())


def _with_old_sign_ins(mint: Mint) -> Iterator[Caller]:
    """All roles, but a sign-in whose time is old, missing, or cannot be believed."""
    now, held = int(time.time()), frozenset({EVERYTHING})
    old, ahead = now - 2 * HOUR, now + 2 * HOUR
    unbelievable: tuple[tuple[str, object], ...] = (
        ("missing", None),
        ("old", old),
        ("in the future", ahead),
        ("textual", "yesterday"),
        ("a date", "2026-11-30T10:00:00Z"),
        ("negative", -1),
        ("a fraction", f"{now}.5"),
        ("in other digits", str(now).translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩"))),
        ("given twice", [now, now - 1]),
        ("of thirteen digits", now * 1000),
    )
    for how, value in unbelievable:
        only = {"auth_time": value}
        name = f"sign-in time {how}"
        can_write = Holder(held, approves=False)
        yield Caller(f"{name}, token", _bound(mint.token, (EVERYTHING,), only), can_write)
        yield Caller(f"{name}, session", _bound(mint.session, (EVERYTHING,), only), can_write)
        alone = {**only, "iat": None, "nbf": None}
        cannot = Holder(held, writes=False, approves=False)
        yield Caller(f"{name} and no other, session", _bound(mint.session, (EVERYTHING,), alone), cannot)
    stale = {"iat": old, "nbf": old, "auth_time": old}
    cannot = Holder(held, writes=False, approves=False)
    yield Caller("stale session", _bound(mint.session, (EVERYTHING,), stale), cannot)
    for name in ("Global Administrator", "License Administrator"):
        held_by = documented_directory_roles()[name]
        stale_one = Holder(held_by, writes=False, approves=False)
        yield Caller(f"stale session, {name}", _bound(mint.session, (name,), stale), stale_one)
