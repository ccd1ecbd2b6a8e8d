"""The stores at the limits of Table Storage: large rows and pages, keys it does not allow, races, and its absence."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from uuid import UUID

import pytest

from local.ports import free_port
from shared.adapters.tables.client import Tables, TablesConfig
from shared.adapters.tables.rows import Op, joined_bytes, split_bytes
from shared.adapters.tables.stores import table_stores
from shared.domain.assignment import GroupLicenseAssignment, SkuAssignment
from shared.domain.directory import AssignedLicense, LicenseError
from shared.domain.errors import BadRequest, NotFound, Unavailable
from shared.domain.grant import Grant, Source, SourceKind
from shared.domain.graph_errors import remedy_for
from shared.domain.ids import GroupId, OperationId, ServicePlanId, SkuId
from shared.domain.initiator import Initiator
from shared.domain.ledger_row import Intent, LedgerRow, ManagedLicense
from shared.domain.member_status import MemberState
from shared.domain.outcomes import ChunkOutcome, OutcomeClass, Problem
from shared.domain.pending_removal import ScopeState
from shared.domain.permit import Claim, Permit
from shared.domain.predicted_errors import PredictedError
from shared.domain.read_models import AuditEntry, DeadLetter, MemberFilter, MemberRow
from shared.domain.snapshot_pages import PlannedAction, SnapshotPage, pages_of
from shared.ports.stores import StoredRemovals
from shared.ports.world import Stores
from tests.integration import PATIENCE_S
from tests.integration.azurite import connection_string
from tests.support.builders import audited
from tests.support.table_rows import E3, NOW, OPERATION, SALES, user

DENIED = PredictedError(Problem(LicenseError.PERMISSION, "no", "grant it"))
MANY_PLANS = frozenset(ServicePlanId(str(UUID(int=n))) for n in range(100, 180))
MANY_SKUS = [SkuId(str(UUID(int=n))) for n in range(1, 41)]
FORBIDDEN = ["a/b", "a\\b", "a#b", "a?b", "a\tb", "a\x85b", "k" * 1100]
"""Not allowed in keys (learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model)."""


def a_member(number: int, state: MemberState, problems: Iterable[Problem] = ()) -> MemberRow:
    return MemberRow(SALES, user(number), f"u{number}@x", f"U {number}", state, NOW, tuple(problems))


async def test_a_transaction_that_deletes_an_absent_row_does_nothing_and_says_not_found(tables: Tables) -> None:
    there = {"PartitionKey": "p", "RowKey": "there"}
    with pytest.raises(NotFound):
        await tables.transact("t", [Op("upsert", there), Op("delete", {"PartitionKey": "p", "RowKey": "absent"})])
    assert await tables.get("t", "p", "there") is None


async def test_a_member_with_many_long_problems_can_be_read(stores: Stores) -> None:
    problems = [Problem(LicenseError.OTHER, f"{n} " + "why " * 200, "do " * 200, E3) for n in range(60)]
    row = a_member(1, MemberState.ERROR, problems)
    await stores.members.record([row, a_member(2, MemberState.ERROR)])
    assert (await stores.members.errors(SALES, 5))[0][0] == row


async def test_an_assignment_of_many_products_with_many_plans_off_comes_back_whole(stores: Stores) -> None:
    skus = tuple(SkuAssignment(sku, MANY_PLANS) for sku in MANY_SKUS)
    large = GroupLicenseAssignment(SALES, skus, version=1, changed_at=NOW)
    etag = await stores.assignments.save(large, None)
    small = replace(large, skus=skus[:1], version=2)
    await stores.assignments.save(small, etag)
    assert await stores.assignments.history(SALES) == (small, large)
    assert await stores.assignments.all() == (small,)


async def test_ledger_rows_of_many_products_are_written_together_and_come_back_whole(stores: Stores) -> None:
    def large(number: int) -> LedgerRow:
        plans = {sku: MANY_PLANS for sku in MANY_SKUS}
        managed = {sku: ManagedLicense(MANY_PLANS, NOW, (Source(SourceKind.GROUP, SALES),)) for sku in MANY_SKUS}
        return LedgerRow(user(number), managed=managed, intent=Intent("i", "c", dict(plans), dict(plans), NOW))

    rows = [large(n) for n in range(1, 21)]
    written = await stores.ledger.write(rows)
    assert not any(each.lost for each in written.values())
    read = await stores.ledger.rows([row.user_id for row in rows])
    assert [replace(read[row.user_id], version=None) for row in rows] == rows
    shrunk = await stores.ledger.write([replace(read[user(1)], intent=None, managed={})])
    assert (await stores.ledger.rows([user(1)]))[user(1)] == shrunk[user(1)].row


async def test_snapshot_pages_in_which_everybody_has_another_action_come_back(stores: Stores) -> None:
    def page(number: int) -> SnapshotPage:
        actions = tuple(
            PlannedAction(
                due=True,
                expected=OutcomeClass.APPLIED,
                add=(AssignedLicense(SkuId(str(UUID(token_hex(16)))), frozenset()),),
                remove=(E3,),
                notes=(token_hex(120),),
            )
            for _ in range(1000)
        )
        return SnapshotPage(number, tuple(user(n) for n in range(1000)), actions, tuple(range(1000)), number * 50)

    pages = [page(number) for number in range(27)]
    await stores.snapshots.write(OPERATION, "seal", pages)
    assert [await stores.snapshots.page(OPERATION, "seal", number) for number in (0, 13, 26)] == [
        pages[number] for number in (0, 13, 26)
    ]


@pytest.mark.parametrize("key", FORBIDDEN)
async def test_a_key_that_tables_do_not_allow_finds_nothing_and_is_rejected_when_written(
    stores: Stores, key: str
) -> None:
    group = GroupId(key)
    assert await stores.assignments.get(group) is None
    assert await stores.group_status.get(group) is None
    assert await stores.operations.get(OperationId("0" * 12 + key)) is None
    assert await stores.members.of_user(user(1), [group]) == ()
    assert await stores.permits.allowance(key) == ("", None)
    assert await stores.removals.load(key) == StoredRemovals(ScopeState(), None)
    writes = [
        stores.assignments.save(GroupLicenseAssignment(group, ()), None),
        stores.members.record([replace(a_member(1, MemberState.ERROR), group_id=group)]),
        stores.permits.save_allowance(key, "{}", None),
        stores.grants.put([(user(1), Grant(E3, frozenset(), Source(SourceKind.HR, key)))]),
        stores.permits.put([Permit(user(1), E3, Source(SourceKind.HR, key), NOW, "Mia", frozenset())]),
        stores.removals.save(key, ScopeState(), None),
        stores.dead_letters.keep(DeadLetter("0" * 12 + key, "jobs", b"x", "why", NOW)),
    ]
    for write in writes:
        with pytest.raises(BadRequest, match="key"):
            await write


async def test_quotes_in_a_key_are_only_characters(stores: Stores) -> None:
    quoted = GroupId("x' or PartitionKey ne 'y")
    await stores.members.record(
        [a_member(1, MemberState.ERROR), replace(a_member(2, MemberState.ERROR), group_id=quoted)]
    )
    assert list(await stores.members.states(quoted)) == [user(2)]
    assert await stores.members.states(GroupId("z' or PartitionKey ne 'y")) == {}
    await stores.members.record([replace(a_member(2, MemberState.ACTIVE), group_id=quoted)])
    assert (await stores.members.errors(quoted, 5))[0] == ()


@pytest.mark.parametrize("token", ["a", "e-", "\x00", "m-' or 1 eq 1", "~~", "\u00fc/?#"])
async def test_a_token_from_outside_gives_members_of_the_list_it_is_asked_of_or_none(
    stores: Stores, token: str
) -> None:
    await stores.members.record([a_member(1, MemberState.ERROR), a_member(2, MemberState.ACTIVE)])
    try:
        members, _ = await stores.members.page(SALES, 10, token)
        errors, _ = await stores.members.errors(SALES, 10, token)
    except BadRequest:
        return
    assert len({row.user_id for row in members}) == len(members)
    assert [row for row in errors if row.user_id != user(1)] == []


async def test_the_error_list_is_read_page_by_page(stores: Stores) -> None:
    states = [MemberState.ACTIVE, MemberState.ERROR, MemberState.WAITING]
    await stores.members.record(a_member(number, states[number % 3]) for number in range(1, 120))
    token: str | None = None
    found: list[int] = []
    while True:
        page, token = await stores.members.errors(SALES, 25, token)
        found += [int(UUID(row.user_id)) for row in page]
        if token is None:
            break
    assert found == [number for number in range(1, 120) if number % 3]


@pytest.mark.parametrize("rare", [{1500}, set(range(1200, 1290)), set(), {1, 2, 1500}])
async def test_few_with_one_problem_are_found_among_very_many_page_by_page(stores: Stores, rare: set[int]) -> None:
    other = Problem(LicenseError.UNIQUENESS, "text", "remedy", E3)
    common = Problem(LicenseError.COUNT_VIOLATION, "text", "remedy", E3)
    everybody = range(1, 1501)
    await stores.members.record(
        a_member(n, MemberState.ERROR, [common, other] if n in rare else [common]) for n in everybody
    )
    wanted = MemberFilter(error=LicenseError.UNIQUENESS, sku_id=E3)
    token: str | None = None
    found: list[int] = []
    pages = 0
    while True:
        page, token = await stores.members.errors(SALES, 40, token, wanted)
        assert len(page) <= 40
        found += [int(UUID(row.user_id)) for row in page]
        pages += 1
        if token is None:
            break
    assert found == sorted(rare)
    assert pages <= 2 + len(rare) // 40


@pytest.mark.parametrize(("lacks", "errors"), [(1, (DENIED,)), (2, ())])
async def test_a_page_stored_by_a_former_version_is_read_without_what_it_did_not_store(
    stores: Stores, tables: Tables, lacks: int, errors: tuple[PredictedError, ...]
) -> None:
    claims = ((E3, (Claim(Source(SourceKind.LIST)),)),)
    action = PlannedAction(True, OutcomeClass.FAILED, notes=("note",), errors=(DENIED,), claims=claims)
    (page,) = pages_of([(user(1), action)], 20)
    await stores.snapshots.write(OPERATION, "old", [page])
    row = await tables.get("sealed", f"{OPERATION}-old", "000000")
    assert row is not None
    (written,) = json.loads(zlib.decompress(joined_bytes(row, "actions")))
    before = zlib.compress(json.dumps([written[:-lacks]]).encode())
    await tables.write("sealed", Op("upsert", {**row, **split_bytes("actions", before)}))
    read = await stores.snapshots.page(OPERATION, "old", 0)
    assert read.action(0) == replace(action, errors=errors, claims=())


async def test_errors_of_a_page_stored_by_a_former_version_are_read_with_their_remedies(
    stores: Stores, tables: Tables
) -> None:
    (page,) = pages_of([(user(1), PlannedAction(True, OutcomeClass.FAILED))], 20)
    await stores.snapshots.write(OPERATION, "old", [page])
    row = await tables.get("sealed", f"{OPERATION}-old", "000000")
    assert row is not None
    (written,) = json.loads(zlib.decompress(joined_bytes(row, "actions")))
    written[7] = ["Permission", f"CountViolation {E3}"]
    before = zlib.compress(json.dumps([written]).encode())
    await tables.write("sealed", Op("upsert", {**row, **split_bytes("actions", before)}))
    denied, short = (await stores.snapshots.page(OPERATION, "old", 0)).action(0).errors
    assert (denied.problem.error, denied.problem.sku_id) == (LicenseError.PERMISSION, None)
    assert (short.problem.error, short.problem.sku_id, short.waits) == (LicenseError.COUNT_VIOLATION, E3, True)
    assert short.problem.remedy == remedy_for(LicenseError.COUNT_VIOLATION)


async def test_of_many_who_report_on_one_chunk_none_is_forgotten(stores: Stores) -> None:
    reports = [[ChunkOutcome(user(n), OutcomeClass.APPLIED, True)] for n in range(8)]
    await asyncio.gather(*(stores.chunks.report(OPERATION, 1, report) for report in reports))
    late = [ChunkOutcome(user(n), OutcomeClass.FAILED) for n in range(8)]
    await stores.chunks.report(OPERATION, 1, late)
    held = (await stores.chunks.rows(OPERATION, 0, 5))[1]
    assert {each.user_id: each.outcome for each in held} == {user(n): OutcomeClass.APPLIED for n in range(8)}


async def test_of_many_who_write_one_row_one_wins(stores: Stores) -> None:
    operation = [OperationId(f"0199aaaa{n:04x}" + "0" * 20) for n in range(6)]
    claims = await asyncio.gather(*(stores.idempotency.claim("key", each, each) for each in operation))
    assert len(set(claims)) == 1
    saves = await asyncio.gather(*(stores.budget.save(str(n), None) for n in range(6)), return_exceptions=True)
    assert sorted(type(each).__name__ for each in saves) == ["Conflict"] * 5 + ["str"]
    rows = await asyncio.gather(*(stores.ledger.write([LedgerRow(user(1)), LedgerRow(user(n))]) for n in range(2, 6)))
    assert sum(not written[user(1)].lost for written in rows) == 1
    assert not any(written[user(n)].lost for n, written in enumerate(rows, 2))


async def test_audit_of_a_month_has_that_month_only(stores: Stores) -> None:
    def entry(name: str, at: datetime) -> AuditEntry:
        return AuditEntry(name, at, "Change user license", Initiator("mia", "Mia"), "success")

    march, april = datetime(2026, 3, 31, 23, 59, 59, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
    await stores.audit.append([entry("a", april), entry("m", march), entry("n", march - timedelta(days=30))])
    assert [each.id for each in await audited(stores, "202603")] == ["m", "n"]
    assert [each.id for each in await audited(stores, "202604")] == ["a"]


async def test_a_dead_letter_larger_than_a_row_keeps_its_beginning(stores: Stores) -> None:
    await stores.dead_letters.keep(DeadLetter("0" * 32, "jobs", b"ab" * 1_000_000, "why " * 20_000, NOW))
    (kept,) = (await stores.dead_letters.page(5))[0]
    assert (kept.body[:4], len(kept.body) > 256 * 1024, kept.reason[:4]) == (b"abab", True, "why ")


async def test_tables_that_are_away_are_told_within_bounds() -> None:
    gone = Tables(TablesConfig("gone", connection_string(free_port())))
    with pytest.raises(Unavailable):
        await table_stores(gone).operations.get(OPERATION)
    await gone.close()


async def test_tables_away_are_told_soon_by_reads_and_writes_and_serve_when_they_are_back(azurite: str) -> None:
    port = free_port()
    opened = Tables(TablesConfig("away", connection_string(port)))
    stores = table_stores(opened)
    calls = [
        stores.assignments.all(),
        stores.budget.save("x", None),
        stores.ledger.write([LedgerRow(user(1)), LedgerRow(user(2))]),
        stores.members.record([a_member(1, MemberState.ERROR)]),
    ]
    async with asyncio.timeout(PATIENCE_S):
        answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(each) for each in answers] == [Unavailable] * 4
    async with await _forwarding(port, int(azurite.split("127.0.0.1:")[1].split("/")[0])):
        await stores.budget.save("y", None)
        assert (await stores.budget.load())[0] == "y"
        await opened.close()


async def _forwarding(port: int, to: int) -> asyncio.Server:
    """What reaches one port goes on to the other."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", to)
        await asyncio.gather(copy(reader, behind_writer), copy(behind_reader, writer))

    return await asyncio.start_server(connected, "127.0.0.1", port)


async def test_tables_that_accept_and_never_answer_are_told_within_the_timeout() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    hanging = Tables(TablesConfig("hang", connection_string(port), timeout_s=0.3))
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(Unavailable):
            await table_stores(hanging).budget.load()
    await hanging.close()
    server.close()
