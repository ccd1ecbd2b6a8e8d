"""Entries of the audit log hold ids; names, claims and replayed messages stand in tables of their own."""

from __future__ import annotations

import logging
import re
import zlib
from datetime import timedelta

import pytest

from shared.domain.ids import OperationId
from shared.domain.initiator import Initiator, InitiatorKind, queue_sender
from shared.domain.messages import MEMBERS
from shared.domain.read_models import AuditEntry, AuditFilter, DeadLetter
from shared.handlers.messaging.dead_letters import replay
from shared.handlers.onboarding.corrections import replay_corrected
from tests.support.api_calls import READER, client, error_of
from tests.support.worlds import Fakes, fake_world

ADA = Initiator("a" * 36, "ada@fabrikam.example", InitiatorKind.USER, "c" * 36, "api")
CEO = "ceo@fabrikam.example"


async def written(fakes: Fakes) -> list[AuditEntry]:
    """Two entries of a person, one of two jobs each; the jobs claim to be others."""
    now = fakes.clock.now()
    found = [AuditEntry(f"p{n}", now - timedelta(minutes=n), "Act", ADA, "success") for n in (1, 2)]
    found += [
        AuditEntry(f"j{n}", now, "Act", queue_sender("jobs", name), "success", operation_id=OperationId(f"op{n}"))
        for n, name in ((3, CEO), (4, "bo@fabrikam.example"))
    ]
    await fakes.world.stores.audit.append(found)
    return found


async def searched(fakes: Fakes, **wanted: str) -> dict[str, AuditEntry]:
    now = fakes.clock.now()
    found, _ = await fakes.world.stores.audit.search(
        AuditFilter(**wanted), now - timedelta(days=2), now + timedelta(days=1), 50
    )
    return {entry.id: entry for entry in found}


async def stored(fakes: Fakes) -> str:
    """Everything in the rows of entries, unpacked."""
    rows = fakes.tables.query(f"audit{fakes.clock.now():%Y%m}", "0", to_partition="~")
    texts = [zlib.decompress(row["entries0"]).decode() async for row in rows]
    assert texts
    return " ".join(texts)


async def test_an_entry_comes_back_with_names_that_its_row_does_not_have() -> None:
    fakes = fake_world()
    entries = await written(fakes)
    assert await searched(fakes) == {entry.id: entry for entry in entries}
    assert "fabrikam" not in await stored(fakes)


async def test_entries_are_found_by_part_of_a_name_and_of_a_claim() -> None:
    fakes = fake_world()
    await written(fakes)
    assert set(await searched(fakes, initiator="ADA@")) == {"p1", "p2"}
    assert set(await searched(fakes, initiator="ceo")) == {"j3"}
    assert set(await searched(fakes, initiator="queue jobs")) == {"j3", "j4"}
    assert set(await searched(fakes, initiator=ADA.app_id)) == {"p1", "p2"}


async def test_a_name_that_was_written_is_not_written_again() -> None:
    fakes = fake_world()
    await written(fakes)
    await fakes.tables.clear("auditnames", "name")
    await fakes.world.stores.audit.append([AuditEntry("p9", fakes.clock.now(), "Act", ADA, "success")])
    assert [row async for row in fakes.tables.query("auditnames", "name")] == []


async def test_each_entry_is_one_line_of_the_log_without_names(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "shared.adapters.tables.audit"):
        entries = await written(fake_world())
    lines = [record.getMessage() for record in caplog.records if record.getMessage().startswith("audit ")]
    assert len(lines) == len(entries)
    found = [dict(re.findall(r'(\w+)="([^"]*)"', line)) for line in lines]
    keys = "id at activity result kind initiator app channel claimed user group operation removed"
    assert {" ".join(each) for each in found} == {keys}
    assert {(each["id"], each["initiator"], each["claimed"]) for each in found} == {
        ("p1", ADA.id, "no"),
        ("p2", ADA.id, "no"),
        ("j3", "", "yes"),
        ("j4", "", "yes"),
    }
    assert "fabrikam" not in "".join(lines)


async def test_a_replay_keeps_the_message_and_its_correction_until_they_are_old() -> None:
    fakes = fake_world()
    for number, body in enumerate((b'{"v": 1}', b"broken")):
        await fakes.world.stores.dead_letters.keep(
            DeadLetter(str(number) * 32, MEMBERS, body, "why", fakes.clock.now())
        )
    await replay(fakes.world, "0" * 32, ADA)
    await replay_corrected(fakes.world, "1" * 32, {"v": 2}, ADA)
    ids = [entry.id for entry in sorted((await searched(fakes)).values(), key=lambda entry: entry.detail)]
    async with client(fakes.world) as api:
        shown = [(await api.get(f"/api/audit/{entry_id}/message")).json() for entry_id in ids]
        lost = await api.get(f"/api/audit/{'f' * 32}/message")
    async with client(fakes.world, headers=READER) as api:
        rejected = await api.get(f"/api/audit/{ids[0]}/message")
    assert shown == [{"original": "broken", "corrected": '{"v":2}'}, {"original": '{"v": 1}', "corrected": None}]
    assert (lost.status_code, rejected.status_code) == (404, 403)
    assert "replay" in error_of(lost)["message"]
    assert await fakes.world.stores.audit.forget_messages(fakes.clock.now() - timedelta(days=1)) == 0
    assert await fakes.world.stores.audit.forget_messages(fakes.clock.now() + timedelta(days=1)) == 2
