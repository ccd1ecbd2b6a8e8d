"""Each hour of the audit log is closed by a record in a log of digests, and verified against it."""

from __future__ import annotations

import json
import logging
import zlib
from datetime import datetime, timedelta

import pytest

from functions.web import health_answers
from shared.adapters.tables.audit_late import AuditLate
from shared.domain.audit_digest import ENTRIES_A_RECORD, DigestRecord, Fingerprint, HourState, blob_of, read_log
from shared.domain.errors import BadRequest
from shared.domain.initiator import Initiator
from shared.domain.read_models import AuditEntry
from shared.handlers.maintenance.audit_hours import close_hours
from shared.handlers.views.audit_proof import AuditProof, verify
from shared.handlers.views.health import health
from tests.support.worlds import Fakes, fake_world

ADA = Initiator("a" * 36, "ada@fabrikam.example")


@pytest.fixture
def fakes() -> Fakes:
    found = fake_world()
    begin(found, "2026-03-30T08:30")
    return found


def begin(fakes: Fakes, at: str) -> None:
    """Move the clock to a time in UTC."""
    fakes.clock.move(datetime.fromisoformat(f"{at}:00+00:00") - fakes.clock.now())


async def act(fakes: Fakes, name: str, at: datetime | None = None) -> None:
    await fakes.world.stores.audit.append([AuditEntry(name, at or fakes.clock.now(), "Act", ADA, "success")])


async def hours(fakes: Fakes, count: int) -> None:
    """So many hours, in each of which two entries are written; after each, the timer runs."""
    for _ in range(count):
        for number in (1, 2):
            await act(fakes, f"{fakes.clock.now():%d%H}-{number}")
        fakes.clock.move(timedelta(hours=1))
        await close_hours(fakes.world)


async def verified(fakes: Fakes, **ago: float) -> AuditProof:
    now = fakes.clock.now()
    return await verify(fakes.world, now - timedelta(**(ago or {"hours": 10})), now)


def records(fakes: Fakes) -> list[tuple[str, int]]:
    return [
        (f"{record.hour:%d %H}", len(record.entries))
        for name, data in sorted(fakes.digest_log.blobs.items())
        for record in read_log(data, name).records
    ]


def listed(proof: AuditProof, kind: str) -> set[str]:
    return {each.id for hour in proof.hours for each in getattr(hour, kind)}


async def test_each_hour_is_closed_once_and_verifies(fakes: Fakes) -> None:
    await hours(fakes, 3)
    assert await close_hours(fakes.world) == 0
    assert records(fakes) == [("30 08", 2), ("30 09", 2), ("30 10", 2)]
    proof = await verified(fakes)
    assert (proof.verified, proof.faults) == (True, ())
    states = [each.state for each in proof.hours if each.entries]
    assert states == [HourState.VERIFIED] * 3
    assert {each.state for each in proof.hours if not each.entries} == {HourState.BEFORE_FIRST, HourState.NOT_CLOSED}


async def test_hours_without_the_timer_are_closed_later_each_with_its_own_entries(fakes: Fakes) -> None:
    await hours(fakes, 1)
    for _ in range(3):
        await act(fakes, f"{fakes.clock.now():%H}")
        fakes.clock.move(timedelta(hours=1))
    assert await close_hours(fakes.world) == 3
    assert records(fakes) == [("30 08", 2), ("30 09", 1), ("30 10", 1), ("30 11", 1)]


async def test_a_late_entry_goes_into_the_next_hour_and_is_no_fault_before(fakes: Fakes) -> None:
    await hours(fakes, 2)
    await act(fakes, "late", fakes.clock.now() - timedelta(hours=2))
    assert (await verified(fakes)).verified
    await hours(fakes, 1)
    assert records(fakes)[-1] == ("30 10", 3)
    fakes.clock.move(timedelta(hours=1))
    await close_hours(fakes.world)
    assert (await verified(fakes)).verified
    assert [row async for row in fakes.tables.query("auditlate", "late")] == []


async def test_a_row_that_is_written_long_after_its_mark_is_no_fault(fakes: Fakes) -> None:
    """The mark of a late row is there, and its writer is slow, or has died and tries again."""
    await hours(fakes, 2)
    late, tables = fakes.clock.now() - timedelta(hours=2), fakes.tables
    write = tables.upsert_all

    async def slowly(table: str, rows: object) -> None:
        if table.startswith("audit2"):
            tables.upsert_all = write  # type: ignore[method-assign]
            await hours(fakes, 2)
        await write(table, rows)  # type: ignore[arg-type]

    tables.upsert_all = slowly  # type: ignore[method-assign, assignment]
    await act(fakes, "late", late)
    assert (await verified(fakes)).verified
    await hours(fakes, 1)
    assert (await verified(fakes)).verified


async def test_a_mark_whose_row_never_follows_is_deleted_after_a_day(fakes: Fakes) -> None:
    await hours(fakes, 2)
    now = fakes.clock.now()
    row = {"PartitionKey": "nowhere", "RowKey": "no-row"}
    await AuditLate(fakes.tables).mark([(now - timedelta(hours=2), "202603", row)], now)
    await hours(fakes, 23)
    assert len([each async for each in fakes.tables.query("auditlate", "late")]) == 1
    await hours(fakes, 3)
    assert [each async for each in fakes.tables.query("auditlate", "late")] == []
    assert (await verified(fakes)).verified


async def test_a_row_whose_hour_is_closed_while_it_is_written_is_no_fault(fakes: Fakes) -> None:
    await hours(fakes, 2)
    begin(fakes, "2026-03-30T10:59")
    tables, write = fakes.tables, fakes.tables.upsert_all

    async def slowly(table: str, rows: object) -> None:
        if table.startswith("audit2"):
            tables.upsert_all = write  # type: ignore[method-assign]
            await hours(fakes, 1)
        await write(table, rows)  # type: ignore[arg-type]

    tables.upsert_all = slowly  # type: ignore[method-assign, assignment]
    await act(fakes, "slow")
    assert (await verified(fakes)).verified
    await hours(fakes, 2)
    assert (await verified(fakes)).verified


@pytest.mark.parametrize("what", ["deleted", "changed", "added"])
async def test_a_row_that_was_tampered_with_is_named(fakes: Fakes, what: str) -> None:
    await hours(fakes, 3)
    table = "audit202603"
    row = next(iter([each async for each in fakes.tables.query(table, "0", to_partition="~")]))
    kind = {"deleted": "missing", "changed": "changed", "added": "added"}[what]
    if what == "deleted":
        await fakes.tables.delete(table, row["PartitionKey"], row["RowKey"])
    elif what == "changed":
        entries = json.loads(zlib.decompress(row["entries0"]))
        entries[0][2] = "Something else"
        forged = {**row, "entries0": zlib.compress(json.dumps(entries, separators=(",", ":")).encode())}
        await fakes.tables.upsert_all(table, [{name: value for name, value in forged.items() if name != "etag"}])
    else:
        await act(fakes, "forged", fakes.clock.now() - timedelta(hours=2))
        await fakes.tables.clear("auditlate", "late")
    proof = await verified(fakes)
    assert not proof.verified
    assert listed(proof, kind) & {"3010-1", "3010-2", "forged"}
    assert [each.state for each in proof.hours].count(HourState.DIFFERS) == 1


async def test_verification_passes_after_names_were_erased(fakes: Fakes) -> None:
    await hours(fakes, 2)
    assert await fakes.tables.clear("auditnames", "name") == 1
    assert (await verified(fakes)).verified


async def test_a_process_that_died_after_the_append_is_made_up_for(fakes: Fakes) -> None:
    await hours(fakes, 1)
    fakes.digest_log.lose_answers = 1
    await hours(fakes, 1)
    assert len(records(fakes)) == 2
    await hours(fakes, 1)
    assert records(fakes) == [("30 08", 2), ("30 09", 2), ("30 10", 2)]
    assert (await verified(fakes)).verified


async def test_a_process_that_died_between_two_records_of_an_hour_lists_the_hour_again(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    await hours(fakes, 1)
    monkeypatch.setattr("shared.domain.audit_digest.ENTRIES_A_RECORD", 1)
    assert ENTRIES_A_RECORD > 1
    fakes.digest_log.lose_answers = 1
    await hours(fakes, 1)
    await hours(fakes, 1)
    assert records(fakes) == [("30 08", 2), ("30 09", 1), ("30 09", 1), ("30 09", 1), ("30 10", 1), ("30 10", 1)]
    assert (await verified(fakes)).verified


async def test_a_new_month_begins_a_new_blob_in_the_same_chain(fakes: Fakes) -> None:
    begin(fakes, "2026-03-31T22:30")
    await hours(fakes, 2)
    fakes.digest_log.lose_answers = 1
    await hours(fakes, 1)
    await hours(fakes, 1)
    assert set(fakes.digest_log.blobs) == {"202603.jsonl", "202604.jsonl"}
    assert [hour for hour, _ in records(fakes)] == ["31 22", "31 23", "01 00", "01 01"]
    assert (await verified(fakes)).verified


async def test_a_lost_state_continues_the_log_that_is_there(fakes: Fakes) -> None:
    await hours(fakes, 2)
    await fakes.tables.clear("auditdigest", "state")
    await hours(fakes, 1)
    assert records(fakes) == [("30 08", 2), ("30 09", 2), ("30 10", 2)]
    assert (await verified(fakes)).verified


async def test_a_missing_blob_is_an_error_until_it_is_restored(fakes: Fakes, caplog: pytest.LogCaptureFixture) -> None:
    await hours(fakes, 2)
    kept = dict(fakes.digest_log.blobs)
    fakes.digest_log.blobs.clear()
    with caplog.at_level(logging.ERROR):
        await hours(fakes, 1)
    state = await fakes.world.stores.audit_digests.state()
    assert state is not None
    assert "202603.jsonl is missing in the container audit" in state.fault
    assert "audit digest failed" in caplog.text
    proof = await verified(fakes)
    assert not proof.verified
    assert any("is missing" in fault for fault in proof.faults)
    assert fakes.digest_log.blobs == {}
    fakes.digest_log.blobs.update(kept)
    await hours(fakes, 1)
    state = await fakes.world.stores.audit_digests.state()
    assert state is not None
    assert state.fault == ""
    assert (await verified(fakes)).verified


@pytest.mark.parametrize("what", ["shortened", "changed", "replaced"])
async def test_a_log_that_was_tampered_with_is_found_and_not_continued(fakes: Fakes, what: str) -> None:
    await hours(fakes, 3)
    name = blob_of(fakes.clock.now())
    lines = fakes.digest_log.blobs[name].splitlines(keepends=True)
    if what == "shortened":
        lines = lines[:2]
    elif what == "changed":
        body = json.loads(lines[1])
        lines[1] = (json.dumps({**body, "entries": []}) + "\n").encode()
    else:
        other = fake_world()
        begin(other, f"{fakes.clock.now() - timedelta(hours=3):%Y-%m-%dT%H:%M}")
        await act(other, "not in the table")
        await hours(other, 3)
        lines = other.digest_log.blobs[name].splitlines(keepends=True)
    fakes.digest_log.blobs[name] = b"".join(lines)
    proof = await verified(fakes)
    assert not proof.verified
    assert proof.faults
    if what != "changed":
        await hours(fakes, 1)
        state = await fakes.world.stores.audit_digests.state()
        assert state is not None
        assert "Restore the blob" in state.fault


async def test_an_hour_whose_record_was_cut_off_is_named(fakes: Fakes) -> None:
    await hours(fakes, 3)
    name = blob_of(fakes.clock.now())
    fakes.digest_log.blobs[name] = b"".join(fakes.digest_log.blobs[name].splitlines(keepends=True)[1:])
    proof = await verified(fakes)
    assert not proof.verified
    assert [f"{each.hour:%H}" for each in proof.hours if each.state is HourState.NO_RECORD and each.entries] == ["08"]


async def test_a_service_that_is_away_is_tried_again(fakes: Fakes) -> None:
    await hours(fakes, 1)
    fakes.digest_log.away = True
    await hours(fakes, 2)
    fakes.digest_log.away = False
    assert await close_hours(fakes.world) == 2
    assert (await verified(fakes)).verified


async def test_more_than_a_month_is_verified_in_parts(fakes: Fakes) -> None:
    with pytest.raises(BadRequest, match="at most 31 days"):
        await verified(fakes, days=40)


async def test_a_service_that_is_away_from_the_first_hour_on_is_a_fault_that_health_shows(fakes: Fakes) -> None:
    fakes.digest_log.away = True
    await hours(fakes, 2)
    found = (await health(fakes.world)).digests
    assert found is not None and found.fault and not found.has_record
    answer = health_answers.audit_digests(found)
    assert (answer["closedHour"], answer["fault"]) == (None, found.fault)

    fakes.digest_log.away = False
    proof = await verified(fakes)
    assert (proof.verified, proof.faults) == (True, ())
    assert {each.state for each in proof.hours} == {HourState.NOT_CLOSED}
    assert await close_hours(fakes.world) == 2
    found = (await health(fakes.world)).digests
    assert found is not None and not found.fault and found.has_record
    assert records(fakes) == [("30 08", 2), ("30 09", 2)]
    assert (await verified(fakes)).verified


async def test_the_log_of_a_restored_table_is_found_after_a_fault_too(fakes: Fakes) -> None:
    await hours(fakes, 2)
    await fakes.tables.delete("auditdigest", "state", "state")
    fakes.digest_log.away = True
    await hours(fakes, 1)
    fakes.digest_log.away = False
    assert await close_hours(fakes.world) == 1
    assert records(fakes) == [("30 08", 2), ("30 09", 2), ("30 10", 2)]
    assert (await verified(fakes)).verified


def forged(fakes: Fakes, hours_on: int, entries: object = ()) -> bytes:
    """Lines of a person who can append: a record in the place of the next one, so many hours after the last one."""
    name = blob_of(fakes.clock.now())
    last = read_log(fakes.digest_log.blobs[name], name).records[-1]
    return DigestRecord(last.hour + timedelta(hours=hours_on), last.digest, last=True, entries=entries).line()  # type: ignore[arg-type]


async def ahead(fakes: Fakes) -> bytes:
    """Records that close the next three days in advance, each following the one before it."""
    name, lines = blob_of(fakes.clock.now()), b""
    last = read_log(fakes.digest_log.blobs[name], name).records[-1]
    for _ in range(72):
        last = DigestRecord(last.next_hour, last.digest, last=True, entries=())
        lines += last.line()
    return lines


@pytest.mark.parametrize(
    "what", ["no JSON", "no end of line", "-1", "0", "2", "87600", "strange entries", "lone brackets", "a copy"]
)
async def test_lines_that_are_no_records_are_reported_and_later_hours_are_closed(
    fakes: Fakes, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    await hours(fakes, 3)
    blobs, name = fakes.digest_log.blobs, blob_of(fakes.clock.now())
    lines = {
        "no JSON": b"\xff\x00 anything\r\n\n",
        "no end of line": b"{",
        "strange entries": forged(fakes, 1, [Fingerprint(1, "", None)]),  # type: ignore[arg-type]
        "lone brackets": b"[" * 100_000 + b"\n",
        "a copy": blobs[name].splitlines(keepends=True)[0],
    }
    blobs[name] += lines.get(what) or forged(fakes, int(what))
    with caplog.at_level(logging.ERROR):
        await hours(fakes, 3)
    assert "audit digest failed" in caplog.text
    assert {(hour, count) for hour, count in records(fakes) if count} == {(f"30 {hour:02}", 2) for hour in range(8, 14)}
    proof = await verified(fakes)
    assert (proof.verified, bool(proof.faults)) == (False, True)
    assert all(name in fault or "the record of hour" in fault for fault in proof.faults)
    assert [each.state for each in proof.hours if each.entries] == [HourState.VERIFIED] * 6
    state = await fakes.world.stores.audit_digests.state()
    assert state is not None and state.fault == ""


async def test_records_of_hours_that_are_not_over_do_not_keep_these_from_being_closed(fakes: Fakes) -> None:
    await hours(fakes, 3)
    fakes.digest_log.blobs[blob_of(fakes.clock.now())] += await ahead(fakes)
    await hours(fakes, 3)
    proof = await verified(fakes)
    assert not proof.verified
    assert [f"{each.hour:%H}" for each in proof.hours if each.added] == []
    assert (await fakes.world.stores.audit_digests.state()).next_hour == fakes.clock.now().replace(minute=0)  # type: ignore[union-attr]


async def test_lines_in_a_blob_of_a_later_month_do_not_keep_it_from_being_used(fakes: Fakes) -> None:
    fakes.digest_log.blobs["202603.jsonl"] = b"before the first hour"
    await hours(fakes, 2)
    fakes.digest_log.blobs["202604.jsonl"] = b"anything"
    await hours(fakes, 48)
    assert len(records(fakes)) == 50
    proof = await verified(fakes, days=3)
    assert [fault.partition(":")[0] for fault in proof.faults] == ["202603.jsonl", "202604.jsonl"]
