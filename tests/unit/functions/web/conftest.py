"""The API with fakes behind it."""

from __future__ import annotations

import pytest

from shared.ports.world import World
from tests.support.api_calls import small_tenant
from tests.support.worlds import Fakes


@pytest.fixture
def fakes() -> Fakes:
    return small_tenant()


@pytest.fixture
def world(fakes: Fakes) -> World:
    return fakes.world
