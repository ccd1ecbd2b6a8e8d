"""Records of audit digests that the app finds in the log and did not save: of a process that died, or false ones."""

from __future__ import annotations

import logging
import zlib
from datetime import timedelta

import pytest

from shared.domain.audit_digest import Fingerprint, blob_of
from shared.handlers.maintenance.audit_hours import close_hours
from tests.support.worlds import Fakes
from tests.unit.handlers.maintenance.test_audit_hours import act, fakes, forged, hours, listed, records, verified

__all__ = ["fakes"]


async def test_entries_that_a_forged_record_of_the_due_hour_omits_are_reported_and_listed_later(
    fakes: Fakes, caplog: pytest.LogCaptureFixture
) -> None:
    await hours(fakes, 2)
    await act(fakes, "hidden")
    fakes.clock.move(timedelta(hours=1))
    fakes.digest_log.blobs[blob_of(fakes.clock.now())] += forged(fakes, 1)
    with caplog.at_level(logging.ERROR):
        await close_hours(fakes.world)
    assert "omits 1 entries and lists 0 that are not stored" in caplog.text
    assert (await verified(fakes)).verified
    await hours(fakes, 1)
    assert records(fakes)[-2:] == [("30 10", 0), ("30 11", 3)]
    assert (await verified(fakes)).verified
    for row in [each async for each in fakes.tables.query("audit202603", "0", to_partition="~")]:
        if b"hidden" in zlib.decompress(row["entries0"]):
            await fakes.tables.delete("audit202603", row["PartitionKey"], row["RowKey"])
    proof = await verified(fakes)
    assert (proof.verified, listed(proof, "missing")) == (False, {"hidden"})


async def test_an_entry_that_only_a_forged_record_lists_is_reported(
    fakes: Fakes, caplog: pytest.LogCaptureFixture
) -> None:
    await hours(fakes, 2)
    await act(fakes, "real")
    invented = Fingerprint(fakes.clock.now().isoformat(), "invented", "0" * 64)
    fakes.clock.move(timedelta(hours=1))
    fakes.digest_log.blobs[blob_of(fakes.clock.now())] += forged(fakes, 1, [invented])
    with caplog.at_level(logging.ERROR):
        await close_hours(fakes.world)
    assert "omits 1 entries and lists 1 that are not stored" in caplog.text


async def test_a_record_of_a_process_that_died_is_no_fault_also_beside_late_entries(
    fakes: Fakes, caplog: pytest.LogCaptureFixture
) -> None:
    await hours(fakes, 1)
    fakes.digest_log.lose_answers = 1
    await hours(fakes, 1)
    await act(fakes, "late", fakes.clock.now() - timedelta(hours=1))
    with caplog.at_level(logging.ERROR):
        await hours(fakes, 1)
    assert "not stored" not in caplog.text
    assert (await verified(fakes)).verified
