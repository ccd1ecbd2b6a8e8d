from __future__ import annotations

from dataclasses import replace

import pytest

from shared.domain.canary import CanaryState
from shared.domain.first_day import Facts, Step, StepName, StepState, is_complete, steps_of
from shared.domain.graph_permissions import UNKNOWN, Feature, MissingPermission, Permissions
from shared.domain.writing import Writing

READY = Facts(Permissions(is_known=True), True, True, CanaryState.PROVEN, True, Writing())
LACKS = Permissions(is_known=True, missing=(MissingPermission("Group.Read.All", Feature.ALWAYS),))


def step(facts: Facts, name: StepName) -> Step:
    return {each.name: each for each in steps_of(facts)}[name]


def test_the_first_day_is_complete_once_every_step_is_done() -> None:
    steps = steps_of(READY)
    assert [each.name for each in steps] == list(StepName)
    assert {each.state for each in steps} == {StepState.DONE}
    assert is_complete(steps)


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        (replace(READY, permissions=LACKS), StepName.PERMISSIONS),
        (replace(READY, permissions=UNKNOWN), StepName.PERMISSIONS),
        (replace(READY, is_subscribed=False), StepName.SUBSCRIPTION),
        (replace(READY, canary=CanaryState.NEVER_CHANGED), StepName.CANARY),
        (replace(READY, canary=CanaryState.WAITING), StepName.CANARY),
        (replace(READY, canary=CanaryState.OVERDUE), StepName.CANARY),
        (replace(READY, has_previewed=False), StepName.PREVIEW),
        (replace(READY, writing=Writing(is_on=False)), StepName.WRITING),
        (replace(READY, writing=Writing(is_on=False, is_read_only=True)), StepName.WRITING),
        (replace(READY, writing=Writing(is_on=False, is_forced_off=True)), StepName.WRITING),
    ],
)
def test_a_single_open_step_keeps_it_open_and_says_what_to_do(facts: Facts, name: StepName) -> None:
    found = step(facts, name)
    assert found.state is StepState.OPEN
    assert found.text
    assert found.remedy
    assert [each.name for each in steps_of(facts) if each.state is StepState.OPEN] == [name]
    assert not is_complete(steps_of(facts))


def test_missing_permissions_are_named() -> None:
    assert "Group.Read.All" in step(replace(READY, permissions=LACKS), StepName.PERMISSIONS).text


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        (replace(READY, canary=CanaryState.NOT_CONFIGURED), StepName.CANARY),
        (replace(READY, expects_notifications=False, is_subscribed=False), StepName.SUBSCRIPTION),
    ],
)
def test_what_is_not_set_up_does_not_keep_it_open(facts: Facts, name: StepName) -> None:
    assert step(facts, name).state is StepState.OPTIONAL
    assert is_complete(steps_of(facts))
