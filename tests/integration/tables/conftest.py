"""Azurite, and tables and stores of its own for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from secrets import token_hex

import pytest

from shared.adapters.tables.client import Tables, TablesConfig
from shared.adapters.tables.stores import table_stores
from shared.ports.world import Stores
from tests.integration.azurite import running


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A connection string of a running Azurite."""
    with running(tmp_path_factory.mktemp("azurite")) as connection:
        yield connection


@pytest.fixture
async def tables(azurite: str) -> AsyncIterator[Tables]:
    """Tables of their own for one test."""
    opened = Tables(TablesConfig(f"t{token_hex(4)}", azurite))
    yield opened
    await opened.close()


@pytest.fixture
def stores(tables: Tables) -> Stores:
    return table_stores(tables)
