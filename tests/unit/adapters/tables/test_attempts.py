"""Whether a write that was rejected the second time had been applied the first time, told from what is stored."""

from __future__ import annotations

from typing import Any

import pytest

from shared.adapters.tables.attempts import Attempts, etags_if_applied
from shared.adapters.tables.ledger import _ledger_op
from shared.adapters.tables.rows import Op, Row
from shared.domain.ids import UserId
from shared.domain.ledger_row import LedgerRow

KEYS = {"PartitionKey": "p", "RowKey": "a"}


def row(**properties: Any) -> Row:
    return {**KEYS, "text": "x", "data": b"\x00", "count": 1, "flag": False, **properties}


def stored(**properties: Any) -> Row:
    return row(etag="new", **properties)


@pytest.mark.parametrize("kind", ["create", "replace", "upsert"])
def test_a_stored_row_that_equals_the_one_of_the_app_belongs_to_the_app(kind: str) -> None:
    assert etags_if_applied([Op(kind, row(none=None), "old")], [stored()]) == ["new"]


@pytest.mark.parametrize("other", [{"text": "y"}, {"data": b"\x01"}, {"count": 2}, {"flag": True}, {"more": "z"}])
@pytest.mark.parametrize("kind", ["create", "replace"])
def test_a_stored_row_that_differs_is_of_another(kind: str, other: dict[str, Any]) -> None:
    assert etags_if_applied([Op(kind, row(), "old")], [stored(**other)]) is None


def test_a_row_read_and_written_back_is_compared_without_its_old_etag() -> None:
    assert etags_if_applied([Op("replace", row(etag="old"), "old")], [stored()]) == ["new"]


def test_a_row_that_adds_up_is_never_taken_for_one_of_the_app() -> None:
    assert etags_if_applied([Op("replace", row(), "old", counts=True)], [stored()]) is None


def test_a_row_that_is_not_there_was_deleted_and_not_written() -> None:
    assert etags_if_applied([Op("delete", KEYS, "old")], [None]) == [""]
    assert etags_if_applied([Op("delete", KEYS, "old")], [stored()]) is None
    assert etags_if_applied([Op("replace", row(), "old")], [None]) is None


def test_a_transaction_was_applied_whole_or_not_at_all() -> None:
    ops = [Op("create", row()), Op("delete", KEYS)]
    assert etags_if_applied(ops, [stored(), None]) == ["new", ""]
    assert etags_if_applied(ops, [stored(), stored()]) is None
    assert etags_if_applied(ops, [None, None]) is None


def test_a_call_that_used_one_connection_was_sent_once() -> None:
    assert [Attempts(count).repeated for count in (0, 1, 2, 3)] == [False, False, True, True]


def test_a_ledger_row_rewritten_unchanged_loses_to_another_who_rewrote_it() -> None:
    """Such a row is written only so that stale readers lose their race: it must not seem ours if it is another's."""
    known = LedgerRow(UserId("00000000-0000-0000-0000-000000000001"), version="old")
    rewrite = _ledger_op(known)
    assert etags_if_applied([rewrite], [{**rewrite.row, "etag": "new"}]) is None
