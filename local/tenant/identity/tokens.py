"""Access tokens: what the two token endpoints issue and what Graph accepts.

Tokens are JWTs of version 1.0 shape, signed HS256 with a key the stack shares with the function host.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import jwt
from jwt.types import Options

from local.tenant import clock
from local.tenant.identity.permissions import Client

GRAPH_AUDIENCES = (
    "https://graph.microsoft.com",
    "https://graph.microsoft.com/",
    "00000003-0000-0000-c000-000000000000",
)
"""Graph's audience by URL and by its well-known appId."""

API_AUDIENCE = "api://group-based-licensing"

_CACHE_LIMIT = 1000
_TIMES_ARE_CHECKED_HERE: Options = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}


@dataclass(frozen=True, slots=True)
class Identity:
    """Who calls, from a token that was checked."""

    app_id: str
    roles: frozenset[str]
    expires: float


class InvalidTokenError(Exception):
    """The token is missing, malformed, expired, or for another audience."""


class TokenIssuer:
    """Signs and checks tokens of one tenant."""

    def __init__(self, tenant_id: str, signing_key: str) -> None:
        self.tenant_id = tenant_id
        self._key = signing_key
        self._known: dict[str, Identity] = {}

    def issue(self, client: Client, audience: str, lifetime: float) -> tuple[str, int]:
        """A token for this audience and when it ends (epoch seconds); roles are the client's grants for it."""
        now = int(clock.time())
        expires = now + int(lifetime)
        roles = sorted(client.graph) if audience in GRAPH_AUDIENCES else list(client.api)
        claims: dict[str, Any] = {
            "aud": audience,
            "iss": f"https://sts.windows.net/{self.tenant_id}/",
            "iat": now,
            "nbf": now,
            "exp": expires,
            "appid": client.app_id,
            "app_displayname": client.name,
            "idtyp": "app",
            "oid": str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{client.name}.principal.example")),
            "roles": roles,
            "tid": self.tenant_id,
            "uti": uuid.uuid4().hex,
            "ver": "1.0",
        }
        return jwt.encode(claims, self._key, algorithm="HS256"), expires

    def check(self, authorization: str | None) -> Identity:
        """The identity behind an Authorization header for Graph; InvalidTokenError says what is wrong with it."""
        if not authorization or not authorization.lower().startswith("bearer "):
            raise InvalidTokenError("Access token is empty.")
        token = authorization[7:].strip()
        identity = self._known.get(token)
        if identity is None:
            identity = self._decode(token)
            if len(self._known) >= _CACHE_LIMIT:
                self._known.clear()
            self._known[token] = identity
        if identity.expires <= clock.time():
            raise InvalidTokenError("Lifetime validation failed, the token is expired.")
        return identity

    def _decode(self, token: str) -> Identity:
        try:
            claims = jwt.decode(
                token, self._key, algorithms=["HS256"], audience=list(GRAPH_AUDIENCES), options=_TIMES_ARE_CHECKED_HERE
            )
        except jwt.InvalidAudienceError as error:
            raise InvalidTokenError("Access token validation failure. Invalid audience.") from error
        except jwt.PyJWTError as error:
            raise InvalidTokenError("CompactToken parsing failed or its signature is invalid.") from error
        if claims.get("tid") != self.tenant_id:
            raise InvalidTokenError("Access token is for another tenant.")
        return Identity(claims["appid"], frozenset(claims.get("roles", ())), float(claims["exp"]))
