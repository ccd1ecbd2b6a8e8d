"""Detections look for what the app logs, and each says its purpose and its remedy."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from shared.domain.audit import log_line
from shared.domain.initiator import SYSTEM
from shared.domain.read_models import AuditEntry
from tests.support.project import ROOT

FILES = sorted((ROOT / "infra" / "detections").glob("*.kql"))
CODE = "".join(path.read_text() for part in ("shared", "functions") for path in (ROOT / part).rglob("*.py"))
LINE = log_line(AuditEntry("1", datetime(2026, 11, 30, tzinfo=UTC), "Act", SYSTEM, "success"))
KEYS = {"caller", "reason", "count", *re.findall(r'(\w+)="', LINE)}


def test_there_is_a_detection_for_each_kind_of_trouble() -> None:
    assert {path.stem for path in FILES} == {
        "approvals",
        "digest-failures",
        "mass-removals",
        "profile-changes",
        "rejections",
        "self-approvals",
        "unprotected-changes",
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_detection_says_purpose_and_remedy_and_reads_what_is_logged(path: object) -> None:
    text = path.read_text()  # type: ignore[attr-defined]
    comments = [line for line in text.splitlines() if line.startswith("//")]
    query = "\n".join(line for line in text.splitlines() if not line.startswith("//"))
    assert comments[0].startswith("// Purpose: ")
    assert any(line.startswith("// Remedy: ") for line in comments)
    assert query.startswith("AppTraces\n|")
    for message in re.findall(r'Message startswith "([^"]+)"', query):
        assert re.search(rf"(log\.\w+\(|yield f?)[\"\'][^\"\']*{re.escape(message)}", CODE), message
    for activity in re.findall(r'Activity (?:==|startswith|endswith|has) "([^"]+)"', query):
        assert f"{activity.strip()}" in CODE, activity
    assert set(re.findall(r"@[\"\'](\w+)=", query)) <= KEYS
    assert query.count("(") == query.count(")")


def test_the_line_of_an_entry_is_taken_apart_as_the_detections_do() -> None:
    entry = AuditEntry(
        "1",
        datetime(2026, 11, 30, tzinfo=UTC),
        "Change user license",
        SYSTEM,
        "success",
        before='{"a":[],"b":null,"c":[]}',
        after='{"a":null,"b":[],"c":["p"]}',
    )
    line = f"audit {log_line(entry)}"
    assert re.search(r'activity="([^"]*)"', line)[1] == "Change user license"  # type: ignore[index]
    assert re.search(r'removed="(\d+)"', line)[1] == "1"  # type: ignore[index]
