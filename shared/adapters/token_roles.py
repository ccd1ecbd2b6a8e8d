"""The permissions in the token that the app calls Graph with, which can be older than its grants by a day, and when it
expires.

The token is the app's own, read where the platform handed it out, so its signature is not checked.
"""

from __future__ import annotations

import base64
import binascii
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from shared.domain.graph_permissions import GraphToken

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken
    from azure.core.credentials_async import AsyncTokenCredential


class TokenRoles:
    """Remembers the roles of the newest token."""

    def __init__(self) -> None:
        self._token: GraphToken | None = None

    def known(self) -> frozenset[str] | None:
        """The roles; None while no token was read, or it shows none."""
        return self._token.roles if self._token else None

    def token(self) -> GraphToken | None:
        """The newest token, as far as known; None while none was read."""
        return self._token

    def of(self, credential: AsyncTokenCredential) -> AsyncTokenCredential:
        """The credential, whose tokens are read as they pass."""
        return _Reading(credential, self)

    def note(self, token: str, expires_on: int) -> None:
        """`expires_on`: seconds since the epoch, as the credential says."""
        self._token = GraphToken(roles_of(token), datetime.fromtimestamp(expires_on, UTC))


class _Reading:
    def __init__(self, credential: AsyncTokenCredential, roles: TokenRoles) -> None:
        self._credential = credential
        self._roles = roles

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        token = await self._credential.get_token(*scopes, **options)
        self._roles.note(token.token, token.expires_on)
        return token

    async def close(self) -> None:
        await self._credential.close()

    async def __aenter__(self) -> _Reading:
        await self._credential.__aenter__()
        return self

    async def __aexit__(self, *fault: Any) -> None:
        await self._credential.__aexit__(*fault)


def roles_of(token: str) -> frozenset[str] | None:
    """The claim `roles` of an application's token; None if the token cannot be read or has none."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        return None
    roles = claims.get("roles") if isinstance(claims, dict) else None
    return frozenset(map(str, roles)) if isinstance(roles, list) else None
