"""Who calls, and what the caller may do.

App Service authentication checks the token or the session and hands on its claims in `x-ms-client-principal`
(learn.microsoft.com/azure/app-service/configure-authentication-user-identities). The header is worth nothing where
the platform does not set it, so without platform authentication everybody is refused. Role template ids are the same
in every tenant (learn.microsoft.com/entra/identity/role-based-access-control/permissions-reference): the tenant is
checked first.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from functions.web.errors import HttpError
from shared.bootstrap import SignIn
from shared.domain.operation import Actor

HEADER = "x-ms-client-principal"
SESSION_COOKIE = "AppServiceAuthSession"
MAX_HEADER = 64 * 1024
"""Characters of the header that are read: the front end of App Service takes no more headers than that either."""

MAX_SIGN_IN_AGE = timedelta(hours=12)
"""Sessions outlive a role that was taken away; a write needs a sign-in of the same working day."""


class Access(StrEnum):
    """What a route asks of its caller."""

    READ = "Licensing.Read"
    WRITE = "Licensing.ReadWrite"
    ONBOARD = "Onboarding.Write"
    ONBOARD_READ = "Onboarding.Write or Licensing.Read"


READS = frozenset({Access.READ, Access.ONBOARD_READ})
WRITES = READS | {Access.WRITE, Access.ONBOARD}

GROUPS_ADMINISTRATOR = "fdd7a751-b60b-444a-984c-02652fe8fa1c"

DIRECTORY_ROLES: Mapping[str, frozenset[Access]] = {
    "4d6ac14f-3453-41d0-bef9-a3e0c569773a": WRITES,  # License Administrator
    "fe930be7-5e62-47db-91af-98c3a49a38b1": WRITES,  # User Administrator
    "62e90394-69f5-4237-9190-012177145e10": WRITES,  # Global Administrator
    GROUPS_ADMINISTRATOR: READS,  # writes too, but with a bearer token only
    "f2ef992c-3afb-46b9-b7cf-a126ee74c451": READS,  # Global Reader
    "4a5d8f65-41da-4de4-8968-e035b65339cf": READS,  # Reports Reader
    "88d8e3e3-8f55-4a1e-953a-9b9898b8876b": READS,  # Directory Readers
}
"""Entra role template ids, as they stand in the claim `wids`."""

APP_ROLES: Mapping[str, frozenset[Access]] = {
    "Licensing.ReadWrite": WRITES,
    "Licensing.Read": READS,
    "Onboarding.Write": frozenset({Access.ONBOARD, Access.ONBOARD_READ}),
}

CLAIM_NAMES: Mapping[str, str] = {
    "http://schemas.microsoft.com/identity/claims/tenantid": "tid",
    "http://schemas.microsoft.com/identity/claims/objectidentifier": "oid",
    "http://schemas.microsoft.com/ws/2008/06/identity/claims/role": "roles",
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name": "name",
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn": "upn",
    "azp": "appid",
}
"""Long claim types as the platform may write them, and the short ones that mean the same."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller of this tenant. `by_token`: a bearer token came with the request, so no page of another site sent it."""

    actor: Actor
    access: frozenset[Access]
    by_token: bool
    signed_in_at: datetime | None = None


def authenticate(headers: Mapping[str, str], sign_in: SignIn) -> Principal:
    """The caller of a request, by its headers (names in lower case). Raises HttpError (401) for anybody else."""
    if not sign_in.platform_authentication:
        raise _unauthorized("Sign-in is not switched on for this app, so that nobody is let in.")
    header = headers.get(HEADER, "")
    if not header:
        raise _unauthorized("Sign in first, or send a bearer token.")
    claims = _claims(header)
    tenant_id = _only(claims, "tid").lower()
    if tenant_id != sign_in.tenant_id:
        raise _unauthorized("The sign-in is of another tenant.")
    if _only(claims, "iss") not in issuers(tenant_id):
        raise _unauthorized("The token has another issuer than the tenant.")
    audiences = claims.get("aud", [])
    if sign_in.audiences and audiences and sign_in.audiences.isdisjoint(audiences):
        raise _unauthorized("The token was issued for another audience.")
    by_token = headers.get("authorization", "").lower().startswith("bearer ") and SESSION_COOKIE not in headers.get(
        "cookie", ""
    )
    return Principal(_actor(claims), _access(claims, by_token=by_token), by_token, _signed_in_at(claims))


def issuers(tenant_id: str) -> frozenset[str]:
    """Issuers of its tokens, versions 1.0 and 2.0 (learn.microsoft.com/entra/identity-platform/access-tokens)."""
    return frozenset({f"https://sts.windows.net/{tenant_id}/", f"https://login.microsoftonline.com/{tenant_id}/v2.0"})


def authorize(principal: Principal, needed: Access, headers: Mapping[str, str], now: datetime) -> None:
    """Raise HttpError unless the caller has the access, and a write is meant by the caller and not by another site."""
    if needed not in principal.access:
        raise HttpError(403, "Forbidden", f"This needs {needed}, or an Entra role that includes it.")
    if needed in (Access.READ, Access.ONBOARD_READ) or principal.by_token:
        return
    if headers.get("sec-fetch-site") != "same-origin" and "x-requested-with" not in headers:
        raise HttpError(
            403, "CrossSiteRequest", "A write in a browser session must come from this site, or say X-Requested-With."
        )
    if principal.signed_in_at is not None and now - principal.signed_in_at > MAX_SIGN_IN_AGE:
        raise HttpError(401, "SignInTooOld", f"Sign in again: the sign-in is more than {MAX_SIGN_IN_AGE} hours old.")


def _unauthorized(message: str) -> HttpError:
    return HttpError(401, "Unauthorized", message, headers={"WWW-Authenticate": "Bearer"})


def _claims(header: str) -> dict[str, list[str]]:
    """Claim type -> values. Raises HttpError for a header that is not of the platform's form."""
    try:
        if len(header) > MAX_HEADER:
            raise ValueError("too long")
        value: Any = json.loads(base64.b64decode(header, validate=True))
        if value["auth_typ"] != "aad":
            raise ValueError("not of Entra")
        found: dict[str, list[str]] = {}
        for claim in value["claims"]:
            name, text = claim["typ"], claim["val"]
            if not isinstance(name, str) or not isinstance(text, str):
                raise TypeError("a claim is no text")
            found.setdefault(CLAIM_NAMES.get(name, name), []).append(text)
    except (binascii.Error, ValueError, TypeError, KeyError, RecursionError) as fault:
        raise _unauthorized("The sign-in could not be read.") from fault
    return found


def _only(claims: Mapping[str, list[str]], name: str) -> str:
    values = set(claims.get(name, []))
    if len(values) != 1:
        raise _unauthorized(f"The sign-in has {len(values)} claims {name!r}, must have one.")
    return values.pop()


def _actor(claims: Mapping[str, list[str]]) -> Actor:
    names = [*claims.get("preferred_username", []), *claims.get("upn", []), *claims.get("name", [])]
    person_or_service = claims.get("oid", []) or claims.get("appid", [])
    if not person_or_service:
        raise _unauthorized("The sign-in names neither a person nor a service.")
    if names:
        return Actor(person_or_service[0].lower(), names[0])
    return Actor(person_or_service[0].lower(), claims.get("appid", person_or_service)[0], "service")


def _access(claims: Mapping[str, list[str]], *, by_token: bool) -> frozenset[Access]:
    access: set[Access] = set()
    for role in claims.get("wids", []):
        access |= DIRECTORY_ROLES.get(role.lower(), frozenset())
        if by_token and role.lower() == GROUPS_ADMINISTRATOR:
            access |= WRITES
    for role in claims.get("roles", []):
        access |= APP_ROLES.get(role, frozenset())
    return frozenset(access)


def _signed_in_at(claims: Mapping[str, list[str]]) -> datetime | None:
    """When the person signed in, as far as the claims say."""
    for name in ("auth_time", "iat"):
        for text in claims.get(name, []):
            if text.isdecimal() and len(text) <= 11:
                return datetime.fromtimestamp(int(text)).astimezone()
    return None
