"""The first-contact check identifies random positions of the simulated tenant; `make blind` plays more."""

from __future__ import annotations

import asyncio

from local.tenant.profile import SWITCHES
from tests.blind.__main__ import LEAST_PERCENT
from tests.blind.drawing import draw_positions, play

DRAWS = range(1, 21)


def test_the_check_identifies_random_positions_and_leaves_nothing_behind() -> None:
    draws = [asyncio.run(play(seed)) for seed in DRAWS]
    positions = sum(len(draw.shown) for draw in draws)
    identified = positions - sum(len(draw.unidentified) for draw in draws)
    assert [text for draw in draws for text in (*draw.wrong, *draw.faults)] == []
    hidden = sum(draw.drawn[1] == "accepted" for draw in draws)
    assert positions == len(DRAWS) * len(SWITCHES) - hidden
    assert 100 * identified / positions >= LEAST_PERCENT


def test_every_position_of_every_switch_is_drawn() -> None:
    drawn = {(number, position) for seed in DRAWS for number, position in draw_positions(seed).items()}
    known = {(number, position) for number, (_, values) in SWITCHES.items() for position in values}
    assert known - drawn == set()
