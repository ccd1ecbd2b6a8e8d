"""Requests exactly as an attacker writes them, and tokens and sessions with any claims.

No client library stands between: paths are not normalized, and headers are not corrected.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import jwt

from local.host.auth import AUDIENCE, COOKIE, ROLES, SESSION_AUDIENCE
from local.tenant.identity.permissions import declared_clients

TIMEOUT_S = 120.0
JSON = {"content-type": "application/json"}
CLIENTS = {name: client.app_id for name, client in declared_clients().items()}

Headers = Mapping[str, str]


@dataclass(frozen=True)
class Answer:
    """What came back. Names of headers are in lower case."""

    status: int
    headers: Headers
    body: bytes
    seconds: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of the error, empty if there is none."""
        try:
            return str(self.json["error"]["code"])
        except (ValueError, KeyError, TypeError):
            return ""

    def __str__(self) -> str:
        return f"{self.status} {self.code}".strip()


def ask(
    origin: str,
    method: str,
    target: str,
    headers: Headers | None = None,
    body: object = None,
    timeout_s: float = TIMEOUT_S,
) -> Answer:
    """Send one request. `body`: bytes as they are, anything else as JSON. Raises OSError, TimeoutError among others."""
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    sent = dict(headers or {})
    if data is not None and not isinstance(body, bytes):
        sent = {**JSON, **sent}
    if method != "GET":
        sent["content-length"] = str(len(data or b""))
    began = time.perf_counter()
    connection = http.client.HTTPConnection(urlsplit(origin).netloc, timeout=timeout_s)
    try:
        connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in sent.items():
            connection.putheader(name, value)
        connection.endheaders(data)
        found = connection.getresponse()
        text = found.read()
        seconds = time.perf_counter() - began
        return Answer(found.status, {k.lower(): v for k, v in found.getheaders()}, text, seconds)
    finally:
        connection.close()


@dataclass(frozen=True)
class Mint:
    """Signs tokens and sessions as Entra and App Service do. A claim of None is left out."""

    key: str
    tenant_id: str

    def signed(self, claims: Mapping[str, object], key: str | None = None, algorithm: str = "HS256") -> str:
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(kept, None if algorithm == "none" else key or self.key, algorithm)  # type: ignore[arg-type]

    def _person(self, oid: str, roles: tuple[str, ...]) -> dict[str, object]:
        now = int(time.time())
        listed = {"roles": [each for each in roles if each not in ROLES]}
        wids = {"wids": [ROLES[each] for each in roles if each in ROLES]}
        return {
            "iss": f"https://sts.windows.net/{self.tenant_id}/",
            "tid": self.tenant_id,
            "oid": oid,
            "sub": f"pairwise-{oid}",
            "preferred_username": f"{oid}@attack.example",
            "iat": now,
            "nbf": now,
            "exp": now + 3600,
            "auth_time": now,
            "acct": 0,
            **{name: values or None for name, values in {**listed, **wids}.items()},
        }

    def token(self, oid: str, /, *roles: str, **claims: object) -> dict[str, str]:
        """Headers of a person with an access token. `roles`: app roles, and directory roles by name."""
        of_client = {"aud": AUDIENCE, "azp": CLIENTS["outside"], "scp": "user_impersonation"}
        return bearer(self.signed({**self._person(oid, roles), **of_client, **claims}))

    def app(self, oid: str, /, *roles: str, **claims: object) -> dict[str, str]:
        """Headers of an application that acts as itself."""
        none = dict.fromkeys(("preferred_username", "auth_time", "acct", "sub"))
        of_app = {"aud": AUDIENCE, "azp": CLIENTS["outside"], "idtyp": "app"}
        return bearer(self.signed({**self._person(oid, roles), **none, **of_app, **claims}))

    def session(self, oid: str, /, *roles: str, **claims: object) -> dict[str, str]:
        """Headers of a browser with the cookie of a session, on a page of this site."""
        whole = {**self._person(oid, roles), "aud": SESSION_AUDIENCE, **claims}
        return {**cookie(self.signed(whole)), "sec-fetch-site": "same-origin"}


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def cookie(value: str) -> dict[str, str]:
    return {"cookie": f"{COOKIE}={value}"}
