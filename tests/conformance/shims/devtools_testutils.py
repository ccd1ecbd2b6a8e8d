"""Stands in for the Azure SDK's own test tools, of which its queue tests import these names."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any


class AzureMgmtRecordedTestCase:
    """A base class that does nothing."""


class AzureRecordedTestCase(AzureMgmtRecordedTestCase):
    """The same for asyncio."""

    @staticmethod
    def await_prepared_test(test: Any) -> Any:
        return test


class _Credential:
    """Tokens that the emulator does not check."""

    def get_token(self, *scopes: str, **options: Any) -> Any:
        return SimpleNamespace(token="conformance", expires_on=int(time.time()) + 3600)


class _AsyncCredential:
    async def get_token(self, *scopes: str, **options: Any) -> Any:
        return SimpleNamespace(token="conformance", expires_on=int(time.time()) + 3600)

    async def close(self) -> None:
        return

    async def __aenter__(self) -> _AsyncCredential:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        return


def get_credential(*, is_async: bool = False, **options: Any) -> Any:
    return _AsyncCredential() if is_async else _Credential()
