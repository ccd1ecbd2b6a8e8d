"""Writes to Graph that were sent twice after a closed connection: what the answer to the second attempt means."""

from __future__ import annotations

import httpx
import pytest

from shared.adapters.graph import CONNECT_S, READ_S, Reply
from shared.adapters.graph_connection import REPEATED_WITHIN_S
from shared.adapters.graph_write_results import read_results
from shared.adapters.licenses import GraphLicenseWriter
from shared.domain.directory import AssignedLicense
from shared.domain.ids import SkuId, UserId
from shared.domain.read_back import IN_FLIGHT
from shared.domain.write_results import LicenseCall, Throttled, Unanswered
from tests.unit.adapters.graph_stub import StubGraph, guid

CALL = LicenseCall((AssignedLicense(SkuId(guid(7)), frozenset()),), ())


@pytest.mark.parametrize("second", [httpx.ConnectError("x"), httpx.ConnectTimeout("x"), httpx.PoolTimeout("x")])
async def test_a_write_that_may_have_arrived_is_unanswered_if_no_second_connection_opens(second: Exception) -> None:
    stub = StubGraph(kept=True)
    stub.whole = [httpx.ReadError("reset"), second]
    answers = await GraphLicenseWriter(stub.client()).assign({UserId(guid(1)): CALL}, urgent=True)
    assert isinstance(answers[UserId(guid(1))], Unanswered)


def test_both_attempts_of_a_write_end_before_another_worker_judges_its_intent() -> None:
    assert IN_FLIGHT.total_seconds() >= REPEATED_WITHIN_S + CONNECT_S + READ_S


def test_a_second_attempt_that_is_throttled_is_unanswered_and_names_its_wait() -> None:
    (item,), _ = read_results(Reply(429, {"retry-after": "120"}, b"{}", repeated=True), 1, 0)
    assert isinstance(item.result, Unanswered)
    assert item.result.throttled == Throttled(120.0)
