"""Runs of the first-contact check in tables: whole, newest first, guarded against lost races, and deleted when old."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.errors import Conflict, NotFound
from shared.domain.first_contact import Change, Finding, Level, Observation, Run, RunState, Subject, Verdict
from shared.domain.ids import new_id
from shared.ports.world import Stores

NOW = datetime(2026, 12, 1, 3, 30, tzinfo=UTC)


def run_at(at: datetime, token: str = "a" * 32) -> Run:
    return Run(new_id(at, token), Level.BASIC, RunState.QUEUED, at, subject=Subject(test_user_id="u1"))


WHOLE = replace(
    run_at(NOW),
    state=RunState.RUNNING,
    step="users",
    updated_at=NOW + timedelta(seconds=1),
    lease_until=NOW + timedelta(minutes=5),
    requests=7,
    writes=2,
    dirty=True,
    fault="Graph is away.",
    subject=Subject("u", "g", "s", "l", "u1", "g1", "s1", {"kept": "/groups/delta?x=1"}, "", ("u2", "u3"), True),
    observations={"users": Observation(200, "c", "t", {"h": "number"}, {"value": "array"}, {"good": "none"}, 0.5)},
    findings=(Finding(30, Verdict.OTHERWISE, "mixed"), Finding(31, Verdict.UNKNOWN)),
    compared_with="b",
    changes=(Change(30, "lower", "mixed"),),
)


async def test_a_run_comes_back_whole(stores: Stores) -> None:
    await stores.first_contact.create(WHOLE)
    found, version = await stores.first_contact.load(WHOLE.id)
    assert found == WHOLE
    ended = replace(WHOLE, state=RunState.COMPLETED, completed_at=NOW + timedelta(minutes=2), lease_until=None)
    assert await stores.first_contact.save(ended, version) != version
    assert await stores.first_contact.get(WHOLE.id) == ended


async def test_a_lost_race_is_reported(stores: Stores) -> None:
    await stores.first_contact.create(WHOLE)
    with pytest.raises(Conflict):
        await stores.first_contact.create(WHOLE)
    _, version = await stores.first_contact.load(WHOLE.id)
    await stores.first_contact.save(replace(WHOLE, requests=8), version)
    with pytest.raises(Conflict):
        await stores.first_contact.save(replace(WHOLE, requests=9), version)


async def test_an_open_run_has_its_user_until_it_ends(stores: Stores) -> None:
    run = run_at(NOW)
    await stores.first_contact.create(run)
    assert await stores.first_contact.open() == [run.id]
    assert await stores.first_contact.users_in_use(0.0) == {"u1"}
    _, version = await stores.first_contact.load(run.id)
    await stores.first_contact.save(replace(run, state=RunState.FAILED), version)
    assert await stores.first_contact.open() == []
    assert await stores.first_contact.users_in_use(60.0) == {"u1"}
    assert await stores.first_contact.users_in_use(0.0) == frozenset()
    await stores.first_contact.close(run.id)  # a row that is not there is no error


async def test_runs_are_listed_newest_first_and_deleted_when_old(stores: Stores) -> None:
    runs = [run_at(NOW + timedelta(days=day)) for day in range(3)]
    for each in runs:
        await stores.first_contact.create(each)
    assert [each.id for each in await stores.first_contact.newest(2)] == [runs[2].id, runs[1].id]
    assert await stores.first_contact.delete_before(new_id(NOW + timedelta(days=1, hours=1), "0" * 20)) == 2
    assert list(await stores.first_contact.newest(5)) == [runs[2]]
    assert await stores.first_contact.get("no id") is None
    with pytest.raises(NotFound):
        await stores.first_contact.load(runs[0].id)
