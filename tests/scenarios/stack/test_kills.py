"""Workers killed in the middle: everything is done all the same, nothing twice, and the counts are true."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.stack_journeys import PATIENCE_S, Journey, assert_adds_up, eventually, journey, short_locks

KILLS = 3
UNCHANGED_PER_KILL = 20


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Journey]:
    with journey(tmp_path / "state", members=400, scale=4.0, broker_config=short_locks(tmp_path)) as started:
        yield started


def test_workers_killed_in_the_middle_lose_nothing_and_the_counts_are_the_tenants(run: Journey) -> None:
    run.client.tenant("POST", "/metrics/reset")
    operation = run.change(run.main, {"SPE_E3": []}, [])
    run.believe(run.main, {"SPE_E3": []}, [])
    for killed in range(KILLS):
        _until_written(run, operation["id"], 1 + killed * 80)
        function = ("process_members_bulk", "process_operations")[killed % 2]
        run.stack.kill(run.stack.workers(function)[0])
        eventually(lambda: run.stack.restarts, lambda restarts: restarts > killed)  # noqa: B023 - called at once
    assert run.client.operation(operation["id"])["state"] == "ProcessingInProgress"
    ended = run.until_ended(operation["id"])
    assert ended["state"] == "ProcessingComplete", ended["error"]
    assert_adds_up(ended)
    run.must_be_right()
    _until_checked_again(run)
    run.errors_must_be_true(run.main)
    written = run.licensed_by_writes(run.writes())
    assert len(written) == ended["totals"]["wrote"] == ended["totals"]["applied"]
    assert run.client.tenant("GET", "/metrics")["unchangedWrites"] <= KILLS * UNCHANGED_PER_KILL
    eventually(lambda: run.stack.restarts, lambda restarts: restarts >= KILLS)


def test_every_bulk_worker_killed_at_once_in_a_removal_takes_nothing_twice_and_nothing_unmanaged(run: Journey) -> None:
    given = run.finish(run.change(run.main, {"SPE_E3": []}, []))
    run.believe(run.main, {"SPE_E3": []}, [])
    assert given["state"] == "ProcessingComplete", given["error"]
    run.writes()
    run.client.tenant("POST", "/metrics/reset")
    operation = run.client.ended(run.change(run.main, {}, ["SPE_E3"])["id"], PATIENCE_S)
    run.decide(f"/api/operations/{operation['id']}/approve", {"checksum": operation["checksum"]})
    run.believe(run.main, {}, ["SPE_E3"])
    _until_written(run, operation["id"], 60)
    for pid in run.stack.workers("process_members_bulk"):
        run.stack.kill(pid)
    ended = run.until_ended(operation["id"])
    assert ended["state"] == "ProcessingComplete", ended["error"]
    assert_adds_up(ended)
    run.must_be_right()
    assert len(run.licensed_by_writes(run.writes())) == ended["totals"]["wrote"]
    assert run.client.tenant("GET", "/metrics")["unchangedWrites"] <= 2 * UNCHANGED_PER_KILL
    assert run.errors(run.main) == {}


def _until_checked_again(run: Journey) -> None:
    """A killed worker's message may come again after the operation's end; a member whose row another worker holds then
    is pending for the seconds until the next look."""
    pending = f"/api/groups/{run.main}/members?$top=900&state=Pending"
    eventually(lambda: run.rows(pending), lambda rows: not rows)


def _until_written(run: Journey, operation_id: str, users: int) -> None:
    eventually(lambda: run.client.operation(operation_id)["totals"]["wrote"], lambda done: done >= users)
