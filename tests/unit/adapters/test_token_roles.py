"""The permissions in the app's token: read as it passes, and unknown where it shows none."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.core.credentials import AccessToken

from shared.adapters.token_roles import TokenRoles, roles_of
from shared.domain.graph_permissions import GraphToken


def token(claims: object) -> str:
    part = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{part}.signature"


class Credential:
    """Hands out tokens in turn."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = list(tokens)
        self.closed = False

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return AccessToken(self.tokens.pop(0), 1_800_000_000)

    async def close(self) -> None:
        self.closed = True

    async def __aenter__(self) -> Credential:
        return self

    async def __aexit__(self, *fault: object) -> None:
        await self.close()


async def test_the_roles_are_those_of_the_newest_token() -> None:
    roles, inner = TokenRoles(), Credential(token({"roles": ["A"]}), token({"roles": ["A", "B"]}))
    credential = roles.of(inner)
    assert roles.known() is None
    await credential.get_token("scope")
    assert roles.known() == frozenset({"A"})
    assert roles.token() == GraphToken(frozenset({"A"}), datetime(2027, 1, 15, 8, tzinfo=UTC))
    async with credential:
        await credential.get_token("scope")
    assert roles.known() == frozenset({"A", "B"})
    assert inner.closed


@pytest.mark.parametrize("text", ["", "opaque", "a.b", "a.%%%.c", token({}), token([]), token({"roles": "A"})])
def test_a_token_without_readable_roles_says_nothing(text: str) -> None:
    assert roles_of(text) is None


def test_a_token_without_permissions_has_none() -> None:
    assert roles_of(token({"roles": []})) == frozenset()
