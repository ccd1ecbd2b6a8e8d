"""Sentences of a person's history."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from functions.web.pages.person_words import events
from shared.domain.initiator import SYSTEM
from shared.domain.member_status import MemberState
from shared.domain.read_models import AuditEntry, MemberRow
from tests.support.runs import MIA, SMALL, TEAM, user

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
GROUPS = {TEAM: "Sales"}
PRODUCTS = {str(SMALL.sku_id): "Small"}
ROW = MemberRow(TEAM, user(1), "a@x.example", "Ann", MemberState.ACTIVE, NOW)


@pytest.mark.parametrize(
    ("activity", "result", "detail", "sentence"),
    [
        ("Change user license", "success", "Found by delta", "Small added for Sales (Found by the delta query)"),
        ("Change user license", "failure", "no seat", "Could not be done: Small added for Sales (no seat)"),
        ("Keep user license", "success", SMALL.sku_id, "decided that Small stays"),
        ("Remove user license now", "success", SMALL.sku_id, "decided to remove Small now"),
        ("Add member to group", "success", "", "Joined Sales by an HR event"),
        ("Remove member from group", "success", "", "Left Sales by an HR event"),
        ("Update user", "success", "location DE", "Update user: location DE"),
    ],
)
def test_an_act_is_a_sentence(activity: str, result: str, detail: str, sentence: str) -> None:
    by = MIA if sentence.startswith("decided") else SYSTEM
    entry = AuditEntry("1", NOW, activity, by, result, user(1), TEAM, after=f'{{"{SMALL.sku_id}":[]}}', detail=detail)
    (event,) = events([entry], [], GROUPS, PRODUCTS)
    assert event.text == (f"Mia: {sentence}" if by is MIA else sentence)


def test_states_and_acts_are_one_history_newest_first() -> None:
    left = replace(ROW, left=True, state=MemberState.REMOVED, since=NOW - timedelta(days=1))
    held = replace(ROW, left=True, state=MemberState.PENDING, notes=(f"held {SMALL.sku_id}",), since=NOW)
    entry = AuditEntry("1", NOW - timedelta(hours=1), "Update user", SYSTEM, "success", user(1))
    found = events([entry], [left, held, replace(ROW, since=NOW - timedelta(days=2))], GROUPS, PRODUCTS)
    assert [(each.text, each.link) for each in found] == [
        ("Left Sales: pending, held: an approval waits", "/approvals"),
        ("Update user", ""),
        ("Left Sales", f"/groups/{TEAM}"),
        ("Sales: active", f"/groups/{TEAM}"),
    ]
