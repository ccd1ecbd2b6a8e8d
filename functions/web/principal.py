"""Who calls, and what the caller may do.

App Service authentication checks the token or the session and hands on its claims (functions/web/claims.py). The
header is worth nothing where the platform does not set it, so without platform authentication everybody is rejected.
Roles of another tenant have the same ids: the tenant is checked first. The further checks follow "Secure applications
and APIs by validating claims" (learn.microsoft.com/entra/identity-platform/claims-validation): audience, tenant,
subject, and the client application that acts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from functions.web.claims import HEADER, Claims
from functions.web.errors import Rejection
from shared.bootstrap import SignIn
from shared.domain.access import READS, Access, access_of, who_allows
from shared.domain.initiator import API, Initiator, InitiatorKind

SESSION_COOKIE = "AppServiceAuthSession"
EXCHANGED = "x-zumo-auth"
"""Header of a session that a program got for a token ("Customize sign-in and sign-out in Azure App Service
authentication", client-directed sign-in). The claims of such a session do not say which client got it."""

SCOPE = "user_impersonation"
"""The scope of the registration; only an administrator can consent to it (infra/scripts/register-app.sh)."""

RECENT = timedelta(hours=1)
"""An approval needs a sign-in this recent, and a write in a browser session needs roles stated this recently. The
cookie lives for eight hours, and a role that was activated for one hour stays in its claims for all eight."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller of this tenant.

    `by_token`: a bearer token came with the request, so no page of another site sent it. `is_person`: a person signed
    in; else an application calls as itself. `issued_at`: when Entra last stated the roles. `signed_in_at`: when the
    person last proved who they are; None if the claims do not say it in a form that can be read.
    """

    initiator: Initiator
    access: frozenset[Access]
    by_token: bool
    is_person: bool
    issued_at: datetime | None = None
    signed_in_at: datetime | None = None


def authenticate(headers: Mapping[str, str], sign_in: SignIn, now: datetime, channel: str = API) -> Principal:
    """The caller of a request on the page or the API, by its headers (names in lower case). Raises Rejection (401 or
    403) for anybody else."""
    if not sign_in.platform_authentication:
        raise _unknown("authentication off", "Sign-in is not turned on for this app, so it rejects every caller.")
    header = headers.get(HEADER, "")
    if not header:
        raise _unknown("not signed in", "Sign in first, or send a bearer token.")
    try:
        claims = Claims.of(header)
    except ValueError as fault:
        raise _unknown("unreadable sign-in", "The sign-in could not be read.") from fault
    by_token = _by_token(headers, claims)
    _check_tenant(claims, sign_in)
    is_person = _is_person(claims, sign_in) if by_token else _is_session(claims)
    if is_person and _is_guest(claims) and not sign_in.allow_guests:
        raise _rejected(
            claims,
            403,
            "guest",
            "Guests are not let in. An administrator of this app can set ALLOW_GUESTS to true.",
        )
    # Directory roles of an application do not count: an app role is what an administrator grants it on purpose.
    directory = sign_in.directory_roles if is_person else {}
    issued = [at for name in ("iat", "nbf", "auth_time") if (at := claims.time(name, now)) is not None]
    return Principal(
        _initiator(claims, channel, is_person=is_person),
        access_of(claims.all("roles"), claims.all("wids"), directory),
        by_token,
        is_person,
        max(issued, default=None),
        claims.time("auth_time", now),
    )


def issuers(tenant_id: str) -> frozenset[str]:
    """Issuers of its tokens, versions 1.0 and 2.0 (learn.microsoft.com/entra/identity-platform/access-tokens)."""
    return frozenset({f"https://sts.windows.net/{tenant_id}/", f"https://login.microsoftonline.com/{tenant_id}/v2.0"})


def authorize(principal: Principal, needed: Access, headers: Mapping[str, str], now: datetime, sign_in: SignIn) -> None:
    """Raise Rejection unless the caller has the access, and a write is meant by the caller and not by another site."""
    caller = principal.initiator.id
    if needed is not Access.SIGNED_IN and needed not in principal.access:
        raise Rejection(403, "Forbidden", _missing(needed, sign_in), caller, "role missing")
    if needed in READS:
        return
    if needed is Access.APPROVE:
        _check_approver(principal, now)
    if principal.by_token:
        return
    if headers.get("sec-fetch-site") != "same-origin" and "x-requested-with" not in headers:
        raise Rejection(
            403,
            "CrossSiteRequest",
            "A write in a browser session must come from this site, or say X-Requested-With.",
            caller,
            "cross-site",
        )
    if principal.issued_at is None or now - principal.issued_at > RECENT:
        raise Rejection(
            401,
            "SignInTooOld",
            f"A write needs a sign-in of the last {_minutes(RECENT)} minutes, because roles can end. "
            f"{_age('The sign-in', principal.issued_at)} Sign in again, then repeat the change.",
            caller,
            "session too old",
        )


def _check_approver(principal: Principal, now: datetime) -> None:
    """Raise Rejection unless a person approves who signed in within the last hour."""
    caller = principal.initiator.id
    if not principal.is_person:
        raise Rejection(
            403,
            "PersonRequired",
            "An application cannot approve. A person with the role Licensing.Approve must sign in and approve, "
            "on the page Approvals or with a token of their own.",
            caller,
            "not a person",
        )
    at = principal.signed_in_at
    if at is not None and now - at <= RECENT:
        return
    remedy = "Sign out, sign in again, and then approve."
    if at is None:
        remedy += (
            " Access tokens can lack the time: approve on the page instead."
            if principal.by_token
            else " If that does not help, an Application Administrator must run infra/scripts/register-app.sh, "
            "which requests the claim auth_time."
        )
    raise Rejection(
        401,
        "SignInTooOld",
        f"Approving needs a sign-in of the last {_minutes(RECENT)} minutes. {_age('The sign-in', at)} {remedy}",
        caller,
        "sign-in not recent",
    )


def _age(what: str, at: datetime | None) -> str:
    return f"{what} has no time that can be read." if at is None else f"{what} is of {at:%Y-%m-%d %H:%M} UTC."


def _minutes(span: timedelta) -> int:
    return int(span.total_seconds() // 60)


def _missing(needed: Access, sign_in: SignIn) -> str:
    """Which role is missing, which others include it, and who can assign them
    (learn.microsoft.com/entra/identity/enterprise-apps/assign-user-or-group-access-portal)."""
    app_roles, directory = who_allows(needed, sign_in.directory_roles)
    also = f" The directory roles {', '.join(directory)} include it." if directory else ""
    return (
        f"This needs {needed}. App roles that include it: {', '.join(app_roles)}.{also} An Application Administrator "
        "or Cloud Application Administrator assigns app roles in Entra, under Enterprise applications, "
        "Users and groups."
    )


def _unknown(reason: str, message: str, caller: str = "") -> Rejection:
    return Rejection(401, "Unauthorized", message, caller, reason, headers={"WWW-Authenticate": "Bearer"})


def _rejected(claims: Claims, status: int, reason: str, message: str) -> Rejection:
    """A rejection of a caller whose token is genuine."""
    caller = claims.guid("oid") or claims.guid("appid")
    return (
        _unknown(reason, message, caller) if status == 401 else Rejection(status, "Forbidden", message, caller, reason)
    )


def _by_token(headers: Mapping[str, str], claims: Claims) -> bool:
    """Whether the claims are those of a bearer token. Raises Rejection if that is unclear. The client of a session is
    not checked, so a token must not count as a session. A request without the session's cookie, or with any
    Authorization header, therefore counts as a token."""
    if EXCHANGED in headers:
        raise _rejected(claims, 401, "exchanged session", "Send the access token itself, not X-ZUMO-AUTH.")
    is_session = SESSION_COOKIE in headers.get("cookie", "")
    if is_session and headers.get("authorization", "").strip():
        raise _rejected(claims, 401, "two sign-ins", "Send a bearer token or the session's cookie, not both.")
    return not is_session


def _check_tenant(claims: Claims, sign_in: SignIn) -> None:
    tenant_id = claims.only("tid").lower()
    if not tenant_id or tenant_id != sign_in.tenant_id:
        raise _rejected(claims, 401, "other tenant", "The sign-in is of another tenant.")
    if claims.only("iss") not in issuers(tenant_id):
        raise _rejected(claims, 401, "other issuer", "The token has another issuer than the tenant.")
    audiences = claims.all("aud")
    if sign_in.audiences and audiences and sign_in.audiences.isdisjoint(audiences):
        raise _rejected(claims, 401, "other audience", "The token was issued for another audience.")


def _is_person(claims: Claims, sign_in: SignIn) -> bool:
    """Whether a person stands behind a bearer token. Raises Rejection for a token that is no access token of an
    allowed client: an id token names no client, and has neither `scp` nor `idtyp`.

    `idtyp` is an optional claim; without it, an application's token has the same `oid` and `sub`
    (learn.microsoft.com/entra/identity-platform/scenario-protected-web-api-verification-scope-app-roles).
    """
    client = claims.guid("appid")
    if not client:
        raise _rejected(
            claims,
            401,
            "no client application",
            "The token names no client application: an id token does not call an API. Send an access token.",
        )
    if client not in sign_in.allowed_clients:
        raise _rejected(
            claims,
            403,
            "client not allowed",
            f"The client application {client} is not allowed. An administrator of this app adds it to ALLOWED_CLIENTS.",
        )
    scopes, kind = claims.words("scp"), claims.only("idtyp")
    if scopes and kind != "app":
        if SCOPE not in scopes:
            raise _rejected(
                claims, 403, "scope missing", f"The token lacks the scope {SCOPE}, which an administrator consents to."
            )
        return True
    is_app = kind == "app" or (
        not kind and claims.guid("oid") != "" and claims.only("sub").lower() == claims.guid("oid")
    )
    if scopes or not is_app or not claims.all("roles"):
        raise _rejected(
            claims,
            403,
            "neither person nor application",
            f"The token has neither the scope {SCOPE} of a person nor an app role of an application.",
        )
    return False


def _is_session(claims: Claims) -> bool:
    if claims.only("idtyp") == "app":
        raise _rejected(claims, 401, "not a session", "An application sends its access token as a bearer token.")
    return True


def _is_guest(claims: Claims) -> bool:
    """Whether the person is a guest, as far as the claims say: `acct` is 1 for a guest (an optional claim, which
    infra/scripts/register-app.sh requests; learn.microsoft.com/entra/identity-platform/optional-claims-reference).
    Without it, an identity provider other than the tenant marks a guest (access-token-claims-reference, `idp`)."""
    kinds = claims.all("acct")
    if kinds:
        return "0" not in kinds or len(set(kinds)) > 1
    return any(each not in issuers(claims.only("tid").lower()) for each in claims.all("idp"))


def _initiator(claims: Claims, channel: str, *, is_person: bool) -> Initiator:
    """The person by object id, or the application by the object id of its service principal. Raises Rejection for a
    person without an object id: the id of the client application must not replace it."""
    object_id, client = claims.only("oid").lower(), claims.only("appid")
    if not object_id and (is_person or not client):
        raise _unknown("nobody", "The sign-in names neither a person nor an application.")
    if not is_person:
        return Initiator(object_id or client.lower(), client or object_id, InitiatorKind.APP, client.lower(), channel)
    names = [*claims.all("preferred_username"), *claims.all("upn"), *claims.all("name"), object_id]
    return Initiator(object_id, names[0], InitiatorKind.USER, client.lower(), channel)
