"""A short part of `make faults`: every message twice and out of order, and workers of every function killed."""

from __future__ import annotations

from pathlib import Path

from tests.faults.running import try_scenario
from tests.faults.scenarios import SCENARIOS


def test_doubled_messages_and_killed_workers_leave_nothing_wrong(tmp_path: Path) -> None:
    (scenario,) = [each for each in SCENARIOS if each.name == "messages doubled and out of order"]
    verdict = try_scenario(
        scenario, seed=1, members=150, outage_s=8.0, directory=tmp_path, report_progress=lambda _: None
    )
    assert verdict.wrong == []
    assert verdict.kills >= 2
    assert verdict.writes > 100
