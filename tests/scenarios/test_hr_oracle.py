"""Random histories of HR's corrections, in any order of arrival, against an independent reading of HR's rules.

The oracle knows only the statements: their kinds, days, and sequence. It imports nothing of what the product decides
by. All statements arrive before the first of their days, so the order of arrival must make no difference.

The histories are the same in every run. `HR_EXAMPLES` asks for that many random ones instead.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from shared.domain.messages import MEMBERS, ProcessUsers
from shared.domain.onboarding import SourceOrder
from shared.handlers.onboarding.onboarding_queue import resume_due_events
from shared.ports.messaging import Outgoing
from tests.support.hires import Hires, event
from tests.support.runs import LARGE, OTHER_TEAM, SMALL, TEAM, user

EXAMPLES = os.environ.get("HR_EXAMPLES")
FIRST_DAY = date(2026, 1, 6)
LAST_DAY = 4
GROUPS = (TEAM, OTHER_TEAM)
KINDS = {"start": "joiner", "job": "mover", "end": "leaver", "stays": "leaver.rescission"}


@dataclass(frozen=True)
class Said:
    """One statement. `number`: the higher one is newer."""

    number: int
    kind: str
    day: int
    group: int
    employment: str


def in_the_end(said: Iterable[Said]) -> set[int]:
    """The groups that the person is in when all days have passed and nobody has answered a question."""
    employments: dict[str, list[Said]] = {}
    for each in said:
        employments.setdefault(each.employment, []).append(each)
    came = {name for name, each in employments.items() if _came(each)}
    groups = {_of_one(each) for name, each in employments.items() if _newest(each, "start") or not came - {name}}
    return {group for group in groups if group is not None}


def _came(said: list[Said]) -> bool:
    """Whether HR reports a start. One that is called off, or ends on its day, is as if it had not been reported."""
    start, end = _newest(said, "start"), _end(said)
    if start is None or end is None or end.number < start.number:
        return start is not None
    return end.day > start.day or (end.day < start.day and not start.employment)


def _end(said: list[Said]) -> Said | None:
    end, stays = _newest(said, "end"), _newest(said, "stays")
    return None if end and stays and stays.number > end.number else end


def _of_one(said: list[Said]) -> int | None:
    start, job, end = _newest(said, "start"), _newest(said, "job"), _end(said)
    if start and end and end.number > start.number:
        if end.day >= start.day:
            return _kept_by_a_question(start, job, end)
        if start.employment:
            return None  # called off before it began
        end = None  # it was over before the start
    if start and end and end.day <= start.day:
        end = None  # the start came later, and says that the person works
    if start and end:
        return _while_the_end_is_asked_about(start, job, end)
    if end:
        return None
    return _job(start, job)


def _newest(said: list[Said], kind: str) -> Said | None:
    return max((each for each in said if each.kind == kind), key=lambda each: each.number, default=None)


def _job(start: Said | None, job: Said | None) -> int | None:
    """The move counts if it is newer than the start, or later."""
    if start and job:
        return job.group if job.number > start.number or job.day > start.day else start.group
    only = start or job
    return only.group if only else None


def _kept_by_a_question(start: Said, job: Said | None, end: Said) -> int | None:
    """The end takes effect, unless a newer move on or after it makes HR contradict itself."""
    contradicted = job is not None and job.number > end.number and job.day >= end.day
    return start.group if contradicted and end.day > start.day else None


def _while_the_end_is_asked_about(start: Said, job: Said | None, end: Said) -> int | None:
    """A newer start before the day of the end: the person works until somebody says that the end is right."""
    return _job(start, job if job and job.day < end.day else None)


statements = st.tuples(st.sampled_from(list(KINDS)), st.integers(0, LAST_DAY), st.integers(0, 1))


@st.composite
def histories(draw: Any) -> list[Said]:
    """Statements in their order of arrival, some of which come twice."""
    several = draw(st.booleans())
    names = st.sampled_from(["1", "2"]) if several else st.just("")
    drawn = draw(st.lists(st.tuples(statements, names), min_size=1, max_size=6))
    said = [Said(number, kind, day, group, name) for number, ((kind, day, group), name) in enumerate(drawn)]
    again = draw(st.lists(st.sampled_from(said), max_size=2))
    order: list[Said] = draw(st.permutations([*said, *again]))
    return order


async def _run(history: list[Said]) -> tuple[Hires, set[int]]:
    run = await Hires.of_two_teams()
    run.order_by(SourceOrder.SEQUENCE)
    ann = run.directory.add_user(user(1))
    # A group that reads as empty has its removals held, so somebody else is in each.
    run.directory.add_user(user(2), groups=list(GROUPS))
    for said in history:
        data: dict[str, Any] = {"groups": [GROUPS[said.group]]} if said.kind in ("start", "job") else {}
        data |= {"removal": "P0D"} if said.kind == "end" else {}
        on = (FIRST_DAY + timedelta(days=said.day)).isoformat()
        employment = said.employment or None
        kind, name = KINDS[said.kind], f"{said.number}"
        await run.send(event(kind, name, ann, on=on, sequence=said.number, employmentId=employment, **data))
        await _pass(run, minutes=20)
    for _ in range(3 * (LAST_DAY + 4)):
        await _pass(run, hours=8)
    for minutes in (12, 2):
        await _pass(run, minutes=minutes)
        await run.world.queue.send([Outgoing(MEMBERS, ProcessUsers((ann,), f"later-{minutes}", bulk=False).encode())])
        await _pass(run, minutes=2)
    return run, {number for number, group in enumerate(GROUPS) if run.member(ann, group)}


async def _pass(run: Hires, **by: float) -> None:
    """Time passes; whatever falls due in it is worked off, with the timer at its end."""
    clock = run.fakes.clock
    end = clock.now() + timedelta(**by)

    def nothing_due() -> bool:
        return not any(each.at is None or each.at <= end for each in run.fakes.queue.messages)

    await run.work_off(nothing_due)
    clock.move(max(timedelta(0), end - clock.now()))
    await resume_due_events(run.world)
    await run.work_off(nothing_due)


S, J, E, R = "start", "job", "end", "stays"


@settings(
    max_examples=int(EXAMPLES or 50),
    derandomize=not EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.generate, *([Phase.shrink] if EXAMPLES else [])],
)
@given(histories())
@example([Said(0, S, 0, 0, ""), Said(1, E, 1, 0, ""), Said(2, E, 3, 0, ""), Said(3, S, 2, 1, "")])
@example([Said(0, S, 0, 0, "1"), Said(1, S, 2, 1, "2"), Said(2, E, 2, 0, "1")])
@example([Said(0, E, 1, 0, ""), Said(1, J, 1, 0, ""), Said(2, S, 2, 1, "")])
@example([Said(0, S, 2, 1, ""), Said(1, J, 3, 0, "")])
@example([Said(1, E, 0, 0, "1"), Said(0, S, 2, 0, "1"), Said(2, R, 0, 0, "1")])
@example([Said(0, J, 1, 1, ""), Said(1, S, 1, 0, ""), Said(2, S, 0, 0, "")])
@example([Said(0, S, 1, 0, ""), Said(1, S, 0, 0, ""), Said(2, E, 0, 0, "")])
@example([Said(0, J, 1, 1, ""), Said(1, J, 0, 0, ""), Said(2, S, 0, 0, "")])
@example([Said(2, J, 1, 1, ""), Said(4, S, 0, 0, ""), Said(3, J, 0, 0, "")])
@example([Said(0, S, 0, 0, "1"), Said(2, J, 0, 0, "2"), Said(3, E, 1, 0, "1"), Said(1, S, 2, 0, "1")])
@example([Said(0, S, 2, 0, "1"), Said(1, E, 1, 0, "1"), Said(2, E, 4, 0, "1"), Said(3, R, 0, 0, "1")])
async def test_any_order_of_arrival_ends_with_what_hr_said(history: list[Said]) -> None:
    wanted = in_the_end(set(history))
    run, found = await _run(history)
    records = {said.number: await run.record(str(said.number)) for said in history}
    shown = {number: (str(each.state), each.note) for number, each in sorted(records.items())}
    assert found == wanted, shown
    names = {SMALL.sku_part_number if number == 0 else LARGE.sku_part_number for number in wanted}
    assert run.licenses(user(1)) == names, shown
    for number, record in records.items():
        if record.superseded_by:
            continue
        silent = not record.state.is_ended and not record.state.needs_a_person
        waits = str(record.state) == "WaitingForEarlierEvent"
        assert not silent or waits, (number, shown)


def _arrivals(end_day: int, with_job: bool) -> Iterator[list[Said]]:
    """Every order of arrival and of numbers, also with the first statement twice."""
    kinds = [(E, end_day, 0), (S, 3, 1), *([(J, 3, 0)] if with_job else [])]
    for numbers in permutations(range(len(kinds))):
        said = [Said(number, *each, "") for number, each in zip(numbers, kinds, strict=True)]
        for order in permutations(said):
            yield [*order]
            yield [*order, order[0]]


@pytest.mark.parametrize("with_job", [False, True])
@pytest.mark.parametrize("end_day", [0, 1])
async def test_an_end_dated_before_the_start_leaves_the_job_in_force(end_day: int, with_job: bool) -> None:
    wrong = []
    for history in _arrivals(end_day, with_job):
        wanted = in_the_end(history)
        _, found = await _run(history)
        wrong += [(history, found, wanted)] if found != wanted else []
    assert wanted, "in any order, the person works in the end"
    assert wrong == []
