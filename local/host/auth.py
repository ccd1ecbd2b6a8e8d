"""The local twin of App Service authentication: a page where one chooses a role, or a bearer token of the tenant.

A client's own `x-ms-client-principal*` headers are stripped; what the app reads was set here
(learn.microsoft.com/azure/app-service/configure-authentication-user-identities).
"""

from __future__ import annotations

import base64
import html
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import SimpleCookie
from urllib.parse import parse_qs

import jwt

COOKIE = "AppServiceAuthSession"
SESSION_S = 8 * 3600
PRINCIPAL = "x-ms-client-principal"
AUDIENCE = "api://group-based-licensing"
SESSION_AUDIENCE = "local-session"
"""The audience of a sign-in on the page, where the platform has the app's client id."""
EXCLUDED = frozenset({"/api/health", "/graph/notifications", "/graph/lifecycle"})

ROLES: Mapping[str, str] = {
    "Global Administrator": "62e90394-69f5-4237-9190-012177145e10",
    "License Administrator": "4d6ac14f-3453-41d0-bef9-a3e0c569773a",
    "User Administrator": "fe930be7-5e62-47db-91af-98c3a49a38b1",
    "Groups Administrator": "fdd7a751-b60b-444a-984c-02652fe8fa1c",
    "Global Reader": "f2ef992c-3afb-46b9-b7cf-a126ee74c451",
    "Reports Reader": "4a5d8f65-41da-4de4-8968-e035b65339cf",
    "Directory Readers": "88d8e3e3-8f55-4a1e-953a-9b9898b8876b",
    "Helpdesk Administrator": "729827e3-9c14-49f7-bb1b-9608f156bbb8",
}
"""Template ids (learn.microsoft.com/entra/identity/role-based-access-control/permissions-reference)."""

LONG_NAMES: Mapping[str, str] = {
    "tid": "http://schemas.microsoft.com/identity/claims/tenantid",
    "oid": "http://schemas.microsoft.com/identity/claims/objectidentifier",
    "scp": "http://schemas.microsoft.com/identity/claims/scope",
    "idp": "http://schemas.microsoft.com/identity/claims/identityprovider",
    "roles": "http://schemas.microsoft.com/ws/2008/06/identity/claims/role",
    "name": "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name",
    "sub": "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier",
    "upn": "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn",
}
"""What Microsoft.IdentityModel calls claims that it maps (its DefaultInboundClaimTypeMap)."""

Page = tuple[int, bytes, tuple[tuple[str, str], ...], str]


@dataclass(frozen=True)
class SignIn:
    """`key` signs the session cookie and checks the tenant's API tokens.

    The platform documents the form of its claims, not which of them it hands on. So both are switches. Claims in
    `withheld` are not handed on; access tokens can lack `auth_time` (MicrosoftDocs/azure-docs issue 15502). With
    `long_names`, some claims have the names of XML namespaces.
    """

    key: str
    tenant_id: str
    withheld: frozenset[str] = frozenset()
    long_names: bool = False

    def page(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes
    ) -> Page | None:
        """The answer of a sign-in path, None for any other."""
        if path in ("/.auth/login", "/.auth/login/aad"):
            return self._login(method, query, body)
        if path == "/.auth/logout":
            return 302, b"", (("location", "/"), ("set-cookie", f"{COOKIE}=; Path=/; Max-Age=0")), "text/plain"
        if path == "/.auth/me":
            claims = self._session(headers)
            shown = [] if claims is None else [{"provider_name": "aad", "user_claims": self._handed_on(claims)}]
            return 200, json.dumps(shown).encode(), (), "application/json"
        return None

    def _login(self, method: str, query: Mapping[str, str], body: bytes) -> Page:
        form = {key: values[0] for key, values in parse_qs(body.decode("utf-8", "replace")).items()}
        role = form.get("role") if method == "POST" else None
        if role is None or role not in ROLES:
            return 200, _choices(query.get("post_login_redirect_uri", "/")).encode(), (), "text/html; charset=utf-8"
        now = int(time.time())
        claims = {
            "name": f"Local {role}",
            "preferred_username": f"{role.lower().replace(' ', '.')}@local.example",
            "oid": f"00000000-0000-4000-8000-{ROLES[role][-12:]}",
            "wids": [ROLES[role]],
            "tid": self.tenant_id,
            "iss": f"https://login.microsoftonline.com/{self.tenant_id}/v2.0",
            "iat": now,
            "nbf": now,
            "auth_time": now,
            "acct": 0,
            "exp": now + SESSION_S,
            "aud": SESSION_AUDIENCE,
        }
        cookie = f"{COOKIE}={jwt.encode(claims, self.key, algorithm='HS256')}; Path=/; HttpOnly; SameSite=Lax"
        return 302, b"", (("location", _local(form.get("next", "/"))), ("set-cookie", cookie)), "text/plain"

    def with_principal(self, path: str, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers the app sees: the client's principal stripped, that of the session or token set."""
        seen = {key: value for key, value in headers.items() if not key.startswith(PRINCIPAL)}
        if path in EXCLUDED:
            return seen
        claims = self._token(headers) or self._session(headers)
        if claims is None:
            return seen
        principal = {
            "auth_typ": "aad",
            "claims": self._handed_on(claims),
            "name_typ": "name",
            "role_typ": "roles",
        }
        seen[PRINCIPAL] = base64.b64encode(json.dumps(principal).encode()).decode()
        seen[f"{PRINCIPAL}-idp"] = "aad"
        seen[f"{PRINCIPAL}-id"] = str(claims.get("oid") or claims.get("appid") or claims.get("azp") or "")
        seen[f"{PRINCIPAL}-name"] = str(claims.get("name") or claims.get("appid") or "")
        return seen

    def _handed_on(self, claims: Mapping[str, object]) -> list[dict[str, str]]:
        shown = []
        for key, value in claims.items():
            if key in self.withheld:
                continue
            name = LONG_NAMES.get(key, key) if self.long_names else key
            shown += [{"typ": name, "val": str(each)} for each in (value if isinstance(value, list) else [value])]
        return shown

    def _token(self, headers: Mapping[str, str]) -> dict[str, object] | None:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        return self._decoded(token, AUDIENCE)

    def _session(self, headers: Mapping[str, str]) -> dict[str, object] | None:
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        return self._decoded(cookie.value, SESSION_AUDIENCE) if cookie else None

    def _decoded(self, token: str, audience: str) -> dict[str, object] | None:
        try:
            claims: dict[str, object] = jwt.decode(token, self.key, algorithms=["HS256"], audience=audience)
        except jwt.PyJWTError:
            return None
        return claims if claims.get("tid") == self.tenant_id else None


def _local(target: str) -> str:
    """A path of this host only, so that the sign-in page does not redirect to another host."""
    return target if target.startswith("/") and not target.startswith(("//", "/\\")) else "/"


def _choices(target: str) -> str:
    options = "".join(f'<button name="role" value="{html.escape(role)}">{html.escape(role)}</button>' for role in ROLES)
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Sign in</title>"
        "<style>body{font:16px system-ui;max-width:28rem;margin:10vh auto}button{display:block;width:100%;"
        "margin:.4rem 0;"
        "padding:.7rem;font:inherit}</style><h1>Sign in as</h1><p>This machine's stand-in for Microsoft Entra ID.</p>"
        f'<form method=post action="/.auth/login"><input type=hidden name=next value="{html.escape(_local(target))}">'
        f"{options}</form></html>"
    )
