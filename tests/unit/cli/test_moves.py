"""Commands that move a group: a preview, a question, and the exit codes."""

from __future__ import annotations

import asyncio
from uuid import UUID

from shared.domain.ids import GroupId
from tests.support.cli import Cli
from tests.support.runs import LARGE, Run, user

TEAM = GroupId(str(UUID(int=78)))
NAME = f"Group {TEAM}"


def licensed(run: Run) -> None:
    for number in (1, 2):
        run.directory.add_user(user(number))
    run.fakes.native.license(TEAM, LARGE.sku_id, members=[user(1), user(2)])


def work(run: Run) -> None:
    asyncio.run(run.work_off())


def test_a_preview_is_counted_and_shown(run: Run, cli: Cli) -> None:
    licensed(run)
    asked = cli("move", "preview", NAME, "--to", "direct")
    assert asked.code == 0, asked.err
    assert "Wait for the other source" in asked.out


def test_a_move_asks_waits_for_approval_and_reports(run: Run, cli: Cli) -> None:
    licensed(run)
    assert "--yes" in cli("move", "start", NAME, "--to", "direct").err
    started = cli("move", "start", NAME, "--to", "direct", "--yes", "--no-wait", "-o", "json")
    assert (started.code, started.json["state"]) == (0, "inProgress")
    work(run)
    shown = cli("move", "show", NAME, "-o", "json")
    assert (shown.code, shown.json["state"]) == (3, "awaitingApproval")
    rows = cli("move", "report", NAME, "-o", "json").json
    assert [row["outcome"] for row in rows] == ["kept", "kept"]
    undone = cli("move", "undo", NAME, "--yes", "--no-wait", "-o", "json")
    assert undone.json["state"] == "undoing"
    work(run)
    assert cli("move", "show", NAME, "-o", "json").json["state"] == "undone"


def test_a_move_pauses_as_wanted_and_is_an_error_until_it_is_resumed(run: Run, cli: Cli) -> None:
    licensed(run)
    cli("move", "start", NAME, "--to", "direct", "--yes", "--no-wait")
    paused = cli("move", "pause", NAME, "--yes")
    assert (paused.code, "Paused" in paused.out) == (0, True)
    assert cli("move", "show", NAME).code == 1
    early = cli("move", "approve", NAME, "--yes")
    assert (early.code, "Cannot approve" in early.err) == (1, True)
    resumed = cli("move", "resume", NAME, "--yes", "--no-wait", "-o", "json")
    assert resumed.json["state"] == "inProgress"
    assert cli("move", "approve", NAME, "--yes").code == 0
