"""The ledger against Azurite: each row wins or loses its race alone, and scattered users are found."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from shared.domain.directory import LicenseError, LicenseState
from shared.domain.grant import Source, SourceKind
from shared.domain.ledger_row import (
    Intent,
    LastResult,
    LedgerRow,
    ManagedLicense,
    ObservedEvent,
    RejectionRecord,
    SeenRow,
)
from shared.ports.world import Stores
from tests.support.table_rows import BY_SALES, E3, E5, NOW, SALES, TEAMS, YAMMER, user


def a_ledger_row(number: int = 1) -> LedgerRow:
    return LedgerRow(
        user(number),
        managed={
            E3: ManagedLicense(
                frozenset({TEAMS}),
                NOW,
                (BY_SALES, Source(SourceKind.LIST)),
                written=(NOW, NOW),
                since=NOW - timedelta(days=9),
                changes={NOW - timedelta(days=1): frozenset({TEAMS, YAMMER}), NOW: frozenset({YAMMER})},
            ),
            E5: ManagedLicense(frozenset(), NOW, (), seen=SeenRow(NOW, LicenseState.ERROR, "Other"), unclear=True),
        },
        intent=Intent(
            "i",
            "operation:x",
            {E3: None, E5: frozenset({YAMMER})},
            {E3: frozenset({TEAMS}), E5: None},
            NOW,
            "DE",
            left_out={E3: frozenset({TEAMS})},
        ),
        last_result=LastResult("i0", "operation:w", NOW),
        removal_seen_at={E3: NOW, f"{E3}/{TEAMS}": NOW},
        gone_since={E5: NOW},
        rejections={E5: RejectionRecord("f", LicenseError.DEPENDENCY, "text", NOW)},
        waiting_since={E5: NOW},
        unseen={E3: ManagedLicense(frozenset(), NOW, (BY_SALES,))},
        removed_at={E5: NOW},
        withheld_since={E3: NOW},
        observed={SALES: ObservedEvent(True, NOW)},
    )


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
    again = await stores.ledger.write([replace(read[user(1)], managed={}), replace(read[user(2)], managed={})])
    assert (again[user(1)].lost, again[user(2)].lost) == (True, False)
    now = await stores.ledger.rows([user(1), user(2)])
    assert now[user(1)].managed == rows[0].managed
    assert now[user(2)].managed == {}
    inserted = await stores.ledger.write([LedgerRow(user(1)), LedgerRow(user(4))])
    assert (inserted[user(1)].lost, inserted[user(4)].lost) == (True, False)


async def test_scattered_users_are_found_among_many_others(stores: Stores) -> None:
    await stores.ledger.write([LedgerRow(user(number)) for number in range(1, 1500)])
    wanted = [user(1), user(750), user(1499), user(5000)]
    read = await stores.ledger.rows(wanted)
    assert [read[each].version is not None for each in wanted] == [True, True, True, False]
    assert len([row async for row in stores.ledger.partition("0")]) == 1499
