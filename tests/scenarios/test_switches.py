"""The product on the simulated tenant at every position of its switches: alone, and each pair of positions together."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import pytest

from local.tenant.switches import described, flips, settings_at
from tests.support.switch_history import SwitchHistory
from tests.support.tenant_run import tenant_run


async def played(positions: Mapping[int, str]) -> list[str]:
    async with tenant_run(settings_at(positions)) as run:
        return await SwitchHistory(run).play()


@pytest.mark.parametrize("positions", [{}, *flips()], ids=described)
async def test_the_product_is_right_at_each_position(
    positions: Mapping[int, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    assert await played(positions) == []
