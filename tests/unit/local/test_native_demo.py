"""The demo's part about native licensing: what it prints, and that it notices a step that does not end well."""

from __future__ import annotations

import io
from typing import Any, cast

from rich.console import Console

from local.client import CallError, Client
from local.native_demo import MEMBERS, PRODUCT, SHORT, WIDTH, show_native

REASON = "License assignment failed because the subscription does not have any available licenses to assign to users."


class Answers:
    """An app and a tenant with memory. `stuck`: licenses that are bought help nobody. `loses`: so many lose an app."""

    def __init__(self, *, stuck: bool = False, pauses: bool = False, loses: int = 0) -> None:
        self.stuck, self.pauses, self.loses = stuck, pauses, loses
        self.enabled = 7
        self.active = 0
        self.move = ""
        self.approved: list[str] = []

    def fire(self, timer: str) -> None:
        assert timer == "watch_errors"
        self.active = MEMBERS - SHORT

    def tenant(self, method: str, path: str, body: dict[str, Any]) -> None:
        self.enabled = body["skus"][0]["enabled"]

    def decide(self, path: str, body: dict[str, Any]) -> None:
        self.approved.append(body["checksum"])
        self.move = "done"

    def api(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        if path.endswith("/subscribedSkus"):
            units = {"enabled": self.enabled}
            return {"value": [{"skuId": "v", "skuPartNumber": PRODUCT, "consumedUnits": 5, "prepaidUnits": units}]}
        if path.endswith("/status"):
            if not self.active:
                raise CallError(404, "not watched yet")
            wrong = {"Error": MEMBERS - self.active} if self.active < MEMBERS else {}
            return {"counts": {"Active": self.active, **wrong}}
        if path.endswith("/membersWithLicenseErrors"):
            return {"value": [{"id": "u", "displayName": "Drawer 18"}]}
        if path.endswith("/diagnose"):
            return {"diagnosis": {"message": REASON}}
        if path.endswith("/reprocessLicenseErrors"):
            self.active = self.active if self.stuck else MEMBERS
            return {}
        if path.endswith("/report"):
            return {"outcomes": {"kept": MEMBERS - self.loses, "lost": self.loses, "gained": 0}}
        return self._move(body)

    def _move(self, body: dict[str, Any] | None) -> dict[str, Any]:
        if body is not None:
            self.move = "preview" if body.get("preview") else "paused" if self.pauses else "awaitingApproval"
        needed = [{"skuId": "v", "needed": 0, "available": 0}]
        more = {"pausedReason": "2 members cannot be moved.", "problem": None, "checksum": "c"}
        return {"state": self.move, "members": MEMBERS, "licensesNeeded": needed, **more}


def shown(answers: Answers) -> tuple[bool, list[str]]:
    out = io.StringIO()
    went_well = show_native(Console(file=out, width=WIDTH), cast(Client, answers), limit_s=0.5)
    return went_well, out.getvalue().splitlines()


def test_a_group_is_watched_diagnosed_repaired_and_moved_in_lines_of_eighty_columns() -> None:
    answers = Answers()
    went_well, lines = shown(answers)
    text = " ".join(" ".join(lines).split())
    assert went_well
    assert max(map(len, lines)) <= WIDTH
    assert (answers.enabled, answers.approved) == (5 + MEMBERS, ["c"])
    assert f"The app watches it: {MEMBERS - SHORT} Active, {SHORT} Error." in text
    assert f"Diagnose Drawer 18. Graph's reason: {REASON}" in text
    assert f"all {MEMBERS} members are Active" in text
    assert "The move is done" in text and f"{MEMBERS} kept." in text


def test_members_who_stay_in_error_are_no_success() -> None:
    went_well, lines = shown(Answers(stuck=True))
    assert not went_well
    assert "the members are processed" in " ".join(lines)


def test_a_paused_move_shows_its_reason_and_is_no_success() -> None:
    answers = Answers(pauses=True)
    went_well, lines = shown(answers)
    assert not went_well and answers.approved == []
    assert "2 members cannot be moved." in " ".join(lines)


def test_a_lost_app_is_no_success() -> None:
    went_well, lines = shown(Answers(loses=1))
    assert not went_well
    assert "1 lost" in " ".join(lines)
