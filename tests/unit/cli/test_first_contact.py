"""Commands of the first-contact check: start, show, list, and take the recording."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.domain.first_contact import Answer
from shared.handlers.operations.first_contact import continue_runs
from tests.support.cli import ADMINISTRATOR, Cli
from tests.support.fakes_first_contact import FakeProbes
from tests.support.runs import Run
from tests.support.tenant_stage import E3, guid

TEST = ("--test-user", guid(0x700), "--test-group", guid(0x701), "--test-sku", E3)


@pytest.fixture
def cli(run: Run, tmp_path: Path) -> Iterator[Cli]:
    """Open runs continue after each request."""

    async def work() -> None:
        await continue_runs(run.world)

    with Cli(lambda: run.world, work, ADMINISTRATOR, tmp_path) as found:
        yield found


def probes(run: Run) -> FakeProbes:
    found = run.world.probes
    assert isinstance(found, FakeProbes)
    return found


def test_a_run_is_waited_for_and_ends_with_2_if_something_differs(run: Run, cli: Cli) -> None:
    probes(run).answers["search"] = Answer(400, {}, {"error": {"code": "Request_BadRequest", "message": "No."}})
    done = cli("first-contact", "run")
    assert done.code == 2
    assert "Search finds names by their beginning only." in done.out
    (row,) = cli("first-contact", "list", "-o", "json").json
    assert (row["state"], row["level"], row["writes"]) == ("completed", "readOnly", 0)
    shown = cli("first-contact", "show", row["id"], "-o", "json")
    assert shown.code == 2
    assert [each["number"] for each in shown.json["findings"] if each["consequence"]] != []


def test_a_basic_run_asks_first_and_restores(run: Run, cli: Cli) -> None:
    assert cli("first-contact", "run", *TEST).code == 1
    assert probes(run).asked == []
    done = cli("first-contact", "run", *TEST, "--yes")
    assert "completed" in done.out
    assert (probes(run).licensed, probes(run).member) == (False, False)


def test_a_load_run_asks_first_and_shows_how_many_writes_are_accepted_at_once(run: Run, cli: Cli) -> None:
    users = [text for number in range(20) for text in ("--load-user", guid(0x800 + number))]
    assert cli("first-contact", "run", *users, "--test-sku", E3).code == 1
    assert probes(run).asked == []
    probes(run).at_once = 5
    done = cli("first-contact", "run", *users, "--test-sku", E3, "--yes")
    assert (done.code, probes(run).holders) == (2, set())
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    assert "Accepted at once 5" in lines
    assert any(line.startswith("1: Are 20 license writes") for line in lines)


def test_a_run_that_failed_ends_with_1(run: Run, cli: Cli) -> None:
    probes(run).answers["testGroups"] = Answer(200, {}, {"value": [{"id": guid(1)}]})
    done = cli("first-contact", "run", *TEST, "--yes")
    assert (done.code, "in a group or role" in done.out) == (1, True)


def test_the_recording_of_the_newest_run_is_json(run: Run, cli: Cli) -> None:
    assert cli("first-contact", "recording").code == 1
    cli("first-contact", "run")
    recorded = json.loads(cli("first-contact", "recording").out)
    assert recorded["version"] == 1
    assert "organization" in recorded["observations"]


def test_without_waiting_the_run_goes_on(run: Run, cli: Cli) -> None:
    done = cli("first-contact", "run", "--no-wait")
    assert (done.code, "has started" in done.err) == (0, True)
