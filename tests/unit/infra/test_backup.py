"""Saving and restoring by command: faults are reported with exit code 2, and no value is lost silently."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from infra import backup


@pytest.mark.parametrize("endpoint", [None, "http://example.test"])
def test_without_an_address_of_the_tables_nothing_is_done(
    endpoint: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.delenv("TablesConnection", raising=False)
    monkeypatch.delenv("TablesConnection__endpoint", raising=False)
    if endpoint:
        monkeypatch.setenv("TablesConnection__endpoint", endpoint)
    assert backup.main(["save", str(tmp_path / "saved.gz")]) == 2
    assert "set TablesConnection__endpoint to the https address" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_value_that_could_not_be_restored_stops_the_saving() -> None:
    assert backup._plain({"a": b"\x00", "b": "text", "c": 1, "d": True}) == {
        "a": {"base64": "AA=="},
        "b": "text",
        "c": 1,
        "d": True,
    }
    with pytest.raises(TypeError, match="when is of type datetime"):
        backup._plain({"a": 1, "when": datetime.now(UTC)})


def test_a_long_row_is_restored_alone_and_shorter_ones_by_the_hundred() -> None:
    rows = [{"PartitionKey": "p", "RowKey": str(number), "body": "x"} for number in range(101)]
    long = {"PartitionKey": "p", "RowKey": "long", "body": "x" * backup.SMALL}
    assert [len(each) for each in backup._batches([long, *rows])] == [100, 1, 1]


@pytest.mark.parametrize(
    ("table", "restored"),
    [("ledger", True), ("audit202611", True), ("audit", False), ("auditchain", False), ("onboarding", False)],
)
def test_tables_that_can_be_restored(table: str, restored: bool) -> None:
    assert backup.is_restored(table) is restored
