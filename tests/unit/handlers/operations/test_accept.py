"""Requests that are rejected before an operation starts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.domain.errors import BadRequest
from tests.support.runs import SMALL, TEAM, Run


async def test_a_group_whose_members_cannot_be_seen_is_refused_and_one_whose_can_is_not() -> None:
    run = Run()
    run.directory.groups[TEAM] = replace(run.directory.groups[TEAM], hidden_membership=True)
    with pytest.raises(BadRequest, match=r"Member\.Read\.Hidden"):
        await run.ask([SMALL])
    assert await run.world.stores.assignments.get(TEAM) is None
    (member,) = run.people(1)
    await run.change([SMALL])
    assert run.licenses(member) == {"SMALL"}
