"""Workers killed in the middle: everything is done all the same, nothing twice, and the counts are true."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.stack import ROOT
from tests.e2e.journeys import Journey, assert_adds_up, journey

KILLS = 3
UNCHANGED_PER_KILL = 20


def short_locks(directory: Path) -> Path:
    """The project's queues with locks of five seconds, so that a killed worker's messages come back soon."""
    declared: dict[str, Any] = json.loads((ROOT / "infra" / "servicebus-config.json").read_text())
    for queue in declared["UserConfig"]["Namespaces"][0]["Queues"]:
        queue["Properties"]["LockDuration"] = "PT5S"
    path = directory / "servicebus.json"
    path.write_text(json.dumps(declared))
    return path


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Journey]:
    with journey(tmp_path / "state", members=400, scale=4.0, broker_config=short_locks(tmp_path)) as started:
        yield started


def test_workers_killed_in_the_middle_lose_nothing_and_the_counts_are_the_tenants(run: Journey) -> None:
    run.client.tenant("POST", "/metrics/reset")
    operation = run.change(run.main, {"SPE_E3": []}, [])
    run.believe(run.main, {"SPE_E3": []}, [])
    killed = 0
    ending = time.monotonic() + 60
    while killed < KILLS and time.monotonic() < ending:
        done = run.client.operation(operation["id"])["totals"]["wrote"]
        if done > killed * 80:
            function = ("process_members_bulk", "take_step")[killed % 2]
            run.stack.kill(run.stack.workers(function)[0])
            killed += 1
        time.sleep(0.2)
    assert killed == KILLS
    ended = run.until_ended(operation["id"])
    assert ended["state"] == "ProcessingComplete", ended["error"]
    assert_adds_up(ended)
    run.must_be_right()
    assert len(run.licensed_by_writes(run.writes())) == ended["totals"]["wrote"] == ended["totals"]["applied"]
    assert run.client.tenant("GET", "/metrics")["unchangedWrites"] <= KILLS * UNCHANGED_PER_KILL
    assert run.stack.restarts >= KILLS
