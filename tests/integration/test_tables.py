"""Every store against Azurite through its port: what is written comes back whole, and lost races are told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from local.stack import free_port
from shared.adapters.tables.audit import TableAudit
from shared.adapters.tables.client import Tables, TablesConfig
from shared.adapters.tables.stores import table_stores
from shared.domain.assignment import (
    AssignmentOptions,
    Enforcement,
    GroupLicenseAssignment,
    SkuAssignment,
    SwitchedOffPlan,
)
from shared.domain.directory import AssignedLicense, LicenseError
from shared.domain.errors import BadRequest, Conflict, NotFound, Unavailable
from shared.domain.grant import Grant, Source, SourceKind
from shared.domain.group_status import GroupState, GroupStatus
from shared.domain.ids import GroupId, OperationId, ServicePlanId, SkuId, UserId
from shared.domain.ledger_row import Intent, LastResult, LedgerRow, OwnedLicense, RefusalRecord, Told
from shared.domain.member_status import MemberState
from shared.domain.membership_changes import Nesting
from shared.domain.operation import (
    Actor,
    LicenseChange,
    Operation,
    OperationError,
    OperationKind,
    OperationState,
    Phase,
    PlanSummary,
    Target,
    Totals,
)
from shared.domain.outcomes import ChunkOutcome, OutcomeClass, Problem
from shared.domain.permit import Permit
from shared.domain.read_models import AuditEntry, AuditFilter, DeadLetter, MemberRow
from shared.domain.snapshot_pages import PlannedAction, pages_of
from shared.ports.membership_stores import DeltaSlice, Due, StoredSubscription
from shared.ports.stores import InLine
from shared.ports.world import Stores
from tests.integration.azurite import azurite, connection_string, tables
from tests.support.builders import audited

__all__ = ["azurite", "tables"]

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
E3, E5 = SkuId(str(UUID(int=3))), SkuId(str(UUID(int=5)))
TEAMS, YAMMER = ServicePlanId(str(UUID(int=33))), ServicePlanId(str(UUID(int=34)))
SALES, STAFF = GroupId(str(UUID(int=100))), GroupId(str(UUID(int=101)))
BY_SALES = Source(SourceKind.GROUP, SALES)
ME = Actor("me", "Mia", "user")
OPERATION = OperationId("0199aaaa0001" + "0" * 20)


@pytest.fixture
def stores(tables: Tables) -> Stores:
    return table_stores(tables)


def user(number: int) -> UserId:
    return UserId(str(UUID(int=number)))


def an_assignment() -> GroupLicenseAssignment:
    off = SwitchedOffPlan(TEAMS, (YAMMER,))
    sku = SkuAssignment(E3, frozenset({TEAMS, YAMMER}), frozenset({YAMMER}), (off,), Enforcement.PAUSED)
    options = AssignmentOptions(
        usage_location="CH",
        require_usage_location=True,
        count_inherited=True,
        include_guests=False,
        include_disabled_accounts=False,
        excluded_groups=frozenset({STAFF}),
        grace=timedelta(days=30),
        priority=7,
    )
    return GroupLicenseAssignment(
        SALES,
        (sku, SkuAssignment(E5, frozenset(), given_at=NOW)),
        options,
        version=3,
        operation_id=OPERATION,
        open_approval=OPERATION,
        display_name="Sales",
        changed_by="Mia",
        changed_at=NOW,
    )


def an_operation(number: int = 1, **changes: object) -> Operation:
    made = Operation(
        id=OperationId(f"0199aaaa{number:04x}" + "0" * 20),
        kind=OperationKind.CHANGE,
        target=Target(None, tuple(user(n) for n in range(5000))),
        change=LicenseChange((AssignedLicense(E5, frozenset({TEAMS})),), (E3,), AssignmentOptions(priority=2)),
        actor=ME,
        created_at=NOW,
        state=OperationState.PAUSED,
        phase=Phase.RELEASE,
        step=4,
        run=2,
        intent_version=9,
        correlation_id="c",
        traceparent="00-" + "1" * 32 + "-" + "2" * 16 + "-01",
        idempotency_key="k",
        seal_id="s",
        pages=6,
        chunk_size=17,
        chunks=70,
        released=12,
        reported=8,
        totals=Totals(10, 9, 1, 2, 3, 4, 0, 5),
        counted=Totals(10, 9, 1, 1, 1, 1, 1, 1),
        plan=PlanSummary({E5: 4}, {E3: 3}, 2, {E5: 4}, {E5: 1}, 1, {"Other": 2}, 1, 5),
        checksum="abc",
        approved_by=ME,
        cancel_requested_by=ME,
        superseded_by=OPERATION,
        error=OperationError("Code", "Text", "Remedy"),
        started_at=NOW,
        completed_at=NOW,
        progress_at=NOW,
        reprocess=True,
        intent_written=True,
        preview_id=OPERATION,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def a_ledger_row(number: int = 1) -> LedgerRow:
    return LedgerRow(
        user(number),
        owned={E3: OwnedLicense(frozenset({TEAMS}), NOW, (BY_SALES, Source(SourceKind.LIST)))},
        intent=Intent("i", "operation:x", {E3: None, E5: frozenset({YAMMER})}, {E3: frozenset(), E5: None}, NOW, "DE"),
        last_result=LastResult("i0", "operation:w", NOW),
        removal_seen_at={E3: NOW, f"{E3}/{TEAMS}": NOW},
        gone_since={E5: NOW},
        refusals={E5: RefusalRecord("f", LicenseError.DEPENDENCY, "text", NOW)},
        waiting_since={E5: NOW},
        unseen={E3: OwnedLicense(frozenset(), NOW, (BY_SALES,))},
        removed_at={E5: NOW},
        told={SALES: Told(True, NOW)},
    )


async def test_an_assignment_comes_back_whole_with_its_history_and_a_lost_race_is_told(stores: Stores) -> None:
    first = an_assignment()
    etag = await stores.assignments.save(first, None)
    second = replace(first, version=4, skus=first.skus[:1])
    await stores.assignments.save(second, etag)
    with pytest.raises(Conflict):
        await stores.assignments.save(replace(first, version=5), etag)
    with pytest.raises(Conflict):
        await stores.assignments.save(first, None)
    stored = await stores.assignments.get(SALES)
    assert stored is not None
    assert stored.assignment == second
    assert await stores.assignments.all() == (second,)
    assert await stores.assignments.history(SALES) == (second, first)
    assert await stores.assignments.get(STAFF) is None


async def test_an_operation_on_five_thousand_users_comes_back_whole(stores: Stores) -> None:
    saved = await stores.operations.insert(an_operation())
    assert await stores.operations.get(saved.id) == saved
    assert replace(saved, version=None) == an_operation()
    with pytest.raises(Conflict):
        await stores.operations.insert(an_operation())
    newer = await stores.operations.save(replace(saved, step=5))
    with pytest.raises(Conflict):
        await stores.operations.save(replace(saved, step=6))
    assert (await stores.operations.get(saved.id)) == newer


async def test_operations_are_listed_newest_first_and_ended_ones_are_not_open(stores: Stores) -> None:
    small = Target(SALES)
    saved = [await stores.operations.insert(an_operation(n, target=small)) for n in (1, 2, 3)]
    await stores.operations.save(replace(saved[1], state=OperationState.COMPLETE))
    page, token = await stores.operations.newest(2)
    assert [each.id for each in page] == [saved[2].id, saved[1].id]
    rest, end = await stores.operations.newest(2, token)
    assert ([each.id for each in rest], end) == ([saved[0].id], None)
    assert {each.id for each in await stores.operations.open()} == {saved[0].id, saved[2].id}


@pytest.mark.parametrize("foreign", ["a/b", "x#y?z", "", "0199", "' or 1 eq 1", "../operation"])
async def test_an_id_from_outside_that_is_none_finds_nothing(stores: Stores, foreign: str) -> None:
    assert await stores.operations.get(OperationId(foreign)) is None


async def test_sealed_pages_come_back_with_the_action_of_each_user(stores: Stores) -> None:
    planned = {
        user(n): PlannedAction(
            due=bool(n % 3),
            expected=OutcomeClass.APPLIED,
            add=(AssignedLicense(E5, frozenset({TEAMS} if n % 2 else set())),),
            remove=(E3,),
            plans_off=(AssignedLicense(E5, frozenset({YAMMER})),),
            usage_location="CH",
            notes=(f"note {n % 7}",),
            errors=(f"CountViolation {E5}", "Permission") if n % 5 else (),
        )
        for n in range(1001)
    }
    pages = pages_of(planned.items(), 20)
    await stores.sealed.write(OPERATION, "seal", pages)
    assert [await stores.sealed.page(OPERATION, "seal", number) for number in (0, 1)] == pages
    with pytest.raises(NotFound):
        await stores.sealed.page(OPERATION, "another", 0)


async def test_a_chunk_keeps_final_outcomes_and_takes_the_rest_of_a_retry(stores: Stores) -> None:
    late = ChunkOutcome(user(2), OutcomeClass.RETRY, retry_at=NOW)
    await stores.chunks.report(OPERATION, 7, [ChunkOutcome(user(1), OutcomeClass.APPLIED, True), late])
    await stores.chunks.report(OPERATION, 7, [ChunkOutcome(user(1), OutcomeClass.UNCHANGED)])
    merged = await stores.chunks.report(OPERATION, 7, [ChunkOutcome(user(2), OutcomeClass.WAITING)])
    assert {each.user_id: (each.outcome, each.wrote) for each in merged} == {
        user(1): (OutcomeClass.APPLIED, True),
        user(2): (OutcomeClass.WAITING, False),
    }
    assert set(await stores.chunks.rows(OPERATION, 0, 6)) == set()
    assert (await stores.chunks.rows(OPERATION, 7, 9))[7] == merged


def a_member(number: int, state: MemberState) -> MemberRow:
    problem = Problem(LicenseError.COUNT_VIOLATION, "text", "remedy", E3)
    problems = (problem, replace(problem, sku_id=None)) if state.needs_a_person else ()
    return MemberRow(
        SALES,
        user(number),
        f"u{number}@x",
        f"U {number}",
        state,
        NOW,
        problems,
        ("note",),
        (E3,),
        2,
        NOW,
        NOW,
        NOW,
        OPERATION,
    )


async def test_members_in_error_stand_in_the_error_list_until_they_are_well(stores: Stores) -> None:
    rows = [a_member(1, MemberState.ERROR), a_member(2, MemberState.ACTIVE), a_member(3, MemberState.WAITING)]
    await stores.members.record(rows)
    assert (await stores.members.errors(SALES, 10))[0] == (rows[0], rows[2])
    assert (await stores.members.page(SALES, 10))[0] == tuple(rows)
    assert await stores.members.page(SALES, 1, None, MemberState.WAITING) == ((rows[2],), None)
    assert await stores.members.page(SALES, 1, None, MemberState.PENDING) == ((), None)
    well = a_member(1, MemberState.ACTIVE)
    await stores.members.record([well, a_member(2, MemberState.ERROR)])
    assert [row.user_id for row in (await stores.members.errors(SALES, 10))[0]] == [user(2), user(3)]
    assert await stores.members.states(SALES) == {
        user(1): MemberState.ACTIVE,
        user(2): MemberState.ERROR,
        user(3): MemberState.WAITING,
    }
    assert dict(await stores.members.counts(SALES)) == {"Active": 1, "Error": 1, "Waiting": 1}
    assert await stores.members.of_user(user(1), [SALES, STAFF]) == (well,)
    await stores.members.forget(SALES, [user(2), user(9)])
    assert len((await stores.members.page(SALES, 10))[0]) == 2


async def test_a_group_of_more_than_a_page_of_rows_is_read_to_its_end(stores: Stores) -> None:
    await stores.members.record(a_member(number, MemberState.ACTIVE) for number in range(1, 1103))
    assert len(await stores.members.states(SALES)) == 1102
    first, token = await stores.members.page(SALES, 1000)
    second, end = await stores.members.page(SALES, 1000, token)
    assert (len(first), len(second), end) == (1000, 102, None)
    assert {row.user_id for row in first}.isdisjoint({row.user_id for row in second})


async def test_of_two_ledger_rows_only_the_one_written_meanwhile_is_lost(stores: Stores) -> None:
    rows = [a_ledger_row(1), a_ledger_row(2)]
    written = await stores.ledger.write(rows)
    assert not any(each.lost for each in written.values())
    read = await stores.ledger.rows([user(1), user(2), user(3)])
    assert {key: replace(row, version=None) for key, row in read.items()} == {
        user(1): rows[0],
        user(2): rows[1],
        user(3): LedgerRow(user(3)),
    }
    await stores.ledger.write([replace(read[user(1)], intent=None)])
    again = await stores.ledger.write([replace(read[user(1)], owned={}), replace(read[user(2)], owned={})])
    assert (again[user(1)].lost, again[user(2)].lost) == (True, False)
    now = await stores.ledger.rows([user(1), user(2)])
    assert now[user(1)].owned == rows[0].owned
    assert now[user(2)].owned == {}
    inserted = await stores.ledger.write([LedgerRow(user(1)), LedgerRow(user(4))])
    assert (inserted[user(1)].lost, inserted[user(4)].lost) == (True, False)


async def test_scattered_users_are_found_among_many_others(stores: Stores) -> None:
    await stores.ledger.write([LedgerRow(user(number)) for number in range(1, 1500)])
    wanted = [user(1), user(750), user(1499), user(5000)]
    read = await stores.ledger.rows(wanted)
    assert [read[each].version is not None for each in wanted] == [True, True, True, False]
    assert len([row async for row in stores.ledger.partition("0")]) == 1499


async def test_grants_and_permits_of_users_are_kept_by_source_and_sku(stores: Stores) -> None:
    kept = Grant(E3, frozenset({TEAMS}), Source(SourceKind.KEPT, "mia"), NOW)
    listed = Grant(E3, frozenset(), Source(SourceKind.LIST))
    await stores.grants.put([(user(1), kept), (user(1), listed), (user(2), listed)])
    await stores.grants.remove([(user(2), listed), (user(2), kept)])
    found = await stores.grants.of_users([user(1), user(2)])
    assert (set(found[user(1)]), found[user(2)]) == ({kept, listed}, ())
    assert {each async for each in stores.grants.partition("0")} == {(user(1), kept), (user(1), listed)}
    permit = Permit(user(1), E3, BY_SALES, NOW, "Mia", frozenset({TEAMS}), True)
    await stores.permits.put([permit, replace(permit, sku_id=E5), replace(permit, given_by="Ole")])
    assert set((await stores.permits.of_users([user(1), user(2)]))[user(1)]) == {
        replace(permit, given_by="Ole"),
        replace(permit, sku_id=E5),
    }


async def test_a_line_for_seats_is_read_in_the_order_of_waiting_and_closed_only_when_empty(stores: Stores) -> None:
    waiting = stores.waiting
    places = [InLine(E3, user(number), NOW + timedelta(seconds=number * 7 % 5)) for number in range(5)]
    await waiting.join(places)
    await waiting.join(places[:2])
    in_order = sorted(places, key=lambda place: place.since)
    assert await waiting.first(E3, 3) == tuple(in_order[:3])
    assert await waiting.lines(0.0) == {E3}
    await waiting.close(E3)
    assert await waiting.lines(0.0) == {E3}
    await waiting.leave([*places, InLine(E3, user(77), NOW)])
    assert await waiting.first(E3, 3) == ()
    await waiting.close(E3)
    assert await waiting.lines(0.0) == frozenset()


async def test_allowance_and_budget_tell_a_lost_race(stores: Stores) -> None:
    assert await stores.permits.allowance(str(BY_SALES)) == ("", None)
    await stores.permits.save_allowance(str(BY_SALES), "{}", None)
    text, etag = await stores.permits.allowance(str(BY_SALES))
    await stores.permits.save_allowance(str(BY_SALES), '{"1":2}', etag)
    with pytest.raises(Conflict):
        await stores.permits.save_allowance(str(BY_SALES), text, etag)
    first = await stores.budget.save("one", None)
    await stores.budget.save("two", first)
    with pytest.raises(Conflict):
        await stores.budget.save("three", first)
    assert (await stores.budget.load())[0] == "two"


async def test_an_idempotency_key_belongs_to_the_first_who_claims_it(stores: Stores) -> None:
    awkward = "key with / and # and ' and \u00fc"
    assert await stores.idempotency.claim(awkward, OPERATION, "f1") == (OPERATION, "f1")
    assert await stores.idempotency.claim(awkward, OperationId("other"), "f2") == (OPERATION, "f1")


async def test_status_audit_and_dead_letters_come_back_newest_first(stores: Stores) -> None:
    status = GroupStatus(SALES, GroupState.ERRORS, 7, {"Active": 6, "Error": 1}, OPERATION, NOW)
    await stores.group_status.save(status)
    assert await stores.group_status.get(SALES) == status
    assert await stores.group_status.all() == (status,)
    entries = [
        AuditEntry(
            f"id{n}", NOW + timedelta(seconds=n), "Change user license", "Mia", "success", user(n), SALES, OPERATION
        )
        for n in range(45)
    ]
    await stores.audit.append(entries)
    await stores.audit.append(entries[:3])
    assert await audited(stores, "202603") == tuple(reversed(entries))
    letters = [DeadLetter(f"l{n}", "jobs", b"x" * 200_000, "why", NOW + timedelta(minutes=n)) for n in (1, 2)]
    for letter in letters:
        await stores.dead_letters.keep(letter)
    assert await stores.dead_letters.newest(5) == tuple(reversed(letters))


async def test_tables_that_are_away_are_told_within_bounds() -> None:
    gone = Tables(TablesConfig("gone", connection_string(free_port())))
    with pytest.raises(Unavailable):
        await table_stores(gone).operations.get(OPERATION)
    await gone.close()


async def test_subscriptions_deltas_and_nesting_come_back_whole(stores: Stores) -> None:
    made = await stores.subscriptions.save(StoredSubscription("key", "secret", NOW, NOW + timedelta(days=28)))
    with pytest.raises(Conflict):
        await stores.subscriptions.save(replace(made, etag=""))
    named = await stores.subscriptions.save(replace(made, id="sub-1", last_notification_at=NOW))
    with pytest.raises(Conflict):
        await stores.subscriptions.save(replace(made, id="sub-2"))
    assert await stores.subscriptions.all() == (named,)
    await stores.subscriptions.remove("key")
    assert await stores.subscriptions.all() == ()
    for refused in (2, 3):
        await stores.subscriptions.count_refused("2026-03-04", refused)
    assert (await stores.subscriptions.refused("2026-03-04"), await stores.subscriptions.refused("2026-03-05")) == (
        5,
        0,
    )

    slices = [DeltaSlice(number, (SALES, STAFF), "/groups/delta?$deltatoken=x", NOW) for number in (0, 11)]
    for each in slices:
        await stores.deltas.save(each)
    assert await stores.deltas.all() == tuple(slices)
    await stores.deltas.remove(0)
    assert (await stores.deltas.get(0), await stores.deltas.get(11)) == (None, slices[1])

    found = [Nesting(SALES, frozenset({STAFF}), NOW), Nesting(STAFF, frozenset(), NOW)]
    for nesting in found:
        await stores.nesting.save(nesting)
    assert set(await stores.nesting.all()) == set(found)
    await stores.nesting.remove(STAFF)
    assert await stores.nesting.all() == (found[0],)


async def test_what_is_due_is_found_when_its_time_has_come_over_days(stores: Stores) -> None:
    days = [Due(NOW + timedelta(days=day), user(number), E3) for number, day in enumerate((0, 1, 1, 40))]
    await stores.due.put(days)
    await stores.due.put(days[:1])
    assert await stores.due.until(NOW - timedelta(seconds=1), 10) == ()
    assert await stores.due.until(NOW, 10) == (days[0],)
    tomorrow = await stores.due.until(NOW + timedelta(days=2), 10)
    assert set(tomorrow) == set(days[:3])
    assert len(await stores.due.until(NOW + timedelta(days=2), 2)) == 2
    for _ in range(2):
        await stores.due.remove(tomorrow)
    assert await stores.due.until(NOW + timedelta(days=3), 10) == ()
    assert await stores.due.until(NOW + timedelta(days=41), 10) == (days[3],)


async def test_recorded_members_are_read_by_the_first_digit_of_their_id(stores: Stores) -> None:
    gone, there = a_member(1, MemberState.REMOVED), a_member(2, MemberState.PENDING)
    await stores.members.record([gone, there])
    digit = there.user_id[:1]
    assert await stores.members.recorded(there.group_id, digit) == {there.user_id}
    assert await stores.members.recorded(there.group_id, "e" if digit != "e" else "d") == frozenset()


async def test_a_search_of_the_audit_log_pages_through_what_passes_newest_first(stores: Stores) -> None:
    def entry(n: int, who: int, group: GroupId | None = SALES) -> AuditEntry:
        return AuditEntry(
            f"a{n:03}", NOW + timedelta(seconds=n), "Change user license", "Mia", "success", user(who), group
        )

    log = [entry(n, n % 50) for n in range(100)] + [entry(100, 7, None), entry(101, 8, GroupId("f" * 36))]
    for at in range(0, len(log), 10):
        await stores.audit.append(log[at : at + 10])
    await stores.audit.append(log[90:100])
    since, until = NOW, NOW + timedelta(hours=1)

    async def all_of(wanted: AuditFilter, top: int, **time: datetime) -> list[str]:
        found: list[AuditEntry] = []
        after: str | None = None
        for _ in range(200):
            page, after = await stores.audit.search(
                wanted, time.get("since", since), time.get("until", until), top, after
            )
            assert len(page) <= top
            found += page
            if after is None:
                return [each.id for each in found]
        raise AssertionError("the pages do not end")

    newest_first = [each.id for each in reversed(log)]
    assert await all_of(AuditFilter(), 7) == newest_first
    assert await all_of(AuditFilter(), 1000) == newest_first
    assert await all_of(AuditFilter(user_id=user(7)), 2) == ["a100", "a057", "a007"]
    assert await all_of(AuditFilter(group_id="f" * 36), 5) == ["a101"]
    assert await all_of(AuditFilter(user_id=user(60)), 5) == []
    assert await all_of(AuditFilter(actor="mia", activity="user license", group_id=SALES), 9) == newest_first[2:]
    assert await all_of(AuditFilter(actor="somebody"), 9) == []
    middle = {"since": NOW + timedelta(seconds=20), "until": NOW + timedelta(seconds=29)}
    assert await all_of(AuditFilter(), 3, **middle) == newest_first[72:82]
    with pytest.raises(BadRequest, match="skiptoken"):
        await stores.audit.search(AuditFilter(), since, until, 5, "x/y")


async def test_a_search_over_very_many_entries_goes_on_where_it_stopped(tables: Tables) -> None:
    audit = TableAudit(tables, looked_at=3)
    rows = [AuditEntry(f"b{n}", NOW + timedelta(minutes=n), "Act", "Mia" if n else "Ada", "success") for n in range(8)]
    for row in rows:
        await audit.append([row])
    pages: list[list[str]] = []
    after: str | None = None
    for _ in range(4):
        page, after = await audit.search(AuditFilter(actor="Ada"), NOW, NOW + timedelta(days=1), 5, after)
        pages.append([each.id for each in page])
        if after is None:
            break
    assert pages == [[], [], ["b0"]]
