"""A scripted Graph, and the adapters that talk to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shared.adapters.directory import GraphDirectory
from shared.adapters.graph import GraphClient
from tests.unit.adapters.graph_stub import StubGraph


@pytest.fixture
def stub() -> StubGraph:
    return StubGraph()


@pytest.fixture
async def graph(stub: StubGraph) -> AsyncIterator[GraphClient]:
    client = stub.client()
    yield client
    await client.close()


@pytest.fixture
def directory(graph: GraphClient) -> GraphDirectory:
    return GraphDirectory(graph)
