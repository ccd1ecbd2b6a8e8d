"""The same random histories under the direct and the native engine end with the same people and the same apps."""

from __future__ import annotations

import logging
import os

import pytest

from shared.domain.assignment import Engine
from tests.support.engine_histories import EngineHistory, differences, lines, nested_only, script, unequal
from tests.support.oracle import holdings
from tests.support.runs import OTHER_TEAM, TEAM

SEEDS = int(os.environ.get("ENGINES", "20"))
FIRST = int(os.environ.get("ENGINES_SEED", "1"))


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
async def test_both_engines_end_equal_and_the_oracle_agrees(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    assert await differences(seed) == [], "\n".join([f"seed {seed}", *lines(seed)])


async def test_a_difference_of_one_app_of_one_person_is_seen(caplog: pytest.LogCaptureFixture) -> None:
    """Otherwise the histories above would prove nothing."""
    caplog.set_level(logging.CRITICAL)
    plays = {engine: EngineHistory(script(7), engine) for engine in (Engine.DIRECT, Engine.NATIVE)}
    direct, native = plays[Engine.DIRECT], plays[Engine.NATIVE]
    ends = [await direct.play(), await native.play()]
    left_out = nested_only(direct.run)
    assert unequal(ends[0], ends[1], left_out) == []
    person = next(one for one in sorted(ends[1]) if one not in left_out and rows(native, one))
    for group in (TEAM, OTHER_TEAM):
        native.run.fakes.native.take(person, group)
    found = native.run.as_json()
    assert len(unequal(ends[0], holdings(found), left_out)) == 1
    assert {each.partition(":")[0] for each in native.oracle.disagreements(found)} == {person}


def rows(play: EngineHistory, person: str) -> int:
    """How many native licenses a user has."""
    states = play.run.directory.truth(person).license_assignment_states
    return sum(row.assigned_by_group is not None for row in states)


def test_histories_have_what_makes_engines_differ() -> None:
    """Swaps, apps that are off, nested members, shortages and deaths are in some of the first histories."""
    scripts = [script(seed) for seed in range(1, 21)]
    steps = [step for each in scripts for step in each.steps]
    assert any(step.add and step.remove for step in steps)
    assert any(license.disabled_plans for step in steps for license in step.add)
    assert {"ask", "join", "leave", "wait", "short", "buy", "die", "work"} == {step.kind for step in steps}
    assert any(each.by_hand for each in scripts) and any(each.without_location for each in scripts)
