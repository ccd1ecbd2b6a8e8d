"""All tables behind their ports."""

from __future__ import annotations

import time
from collections.abc import Callable

from shared.adapters.tables.assignments import TableAssignments
from shared.adapters.tables.audit import TableAudit
from shared.adapters.tables.changes import TableDeltas, TableDue, TableNesting, TableSubscriptions
from shared.adapters.tables.client import Tables
from shared.adapters.tables.members import TableMembers
from shared.adapters.tables.onboarding import TableOnboarding
from shared.adapters.tables.operations import TableOperations
from shared.adapters.tables.people import TableGrants, TableLedger, TablePermits
from shared.adapters.tables.records import (
    TableBudget,
    TableDeadLetters,
    TableGroupStatus,
    TableIdempotency,
)
from shared.adapters.tables.standings import TableProfiles, TableStandings
from shared.adapters.tables.waiting import TableWaiting
from shared.adapters.tables.work import TableChunks, TableSealed
from shared.ports import Stores


def table_stores(tables: Tables, *, monotonic: Callable[[], float] = time.monotonic) -> Stores:
    """The stores of the app on one set of tables. `monotonic`: seconds, by which what is remembered grows old."""
    return Stores(
        assignments=TableAssignments(tables, monotonic=monotonic),
        operations=TableOperations(tables),
        sealed=TableSealed(tables),
        chunks=TableChunks(tables),
        members=TableMembers(tables),
        ledger=TableLedger(tables),
        grants=TableGrants(tables),
        permits=TablePermits(tables),
        waiting=TableWaiting(tables, monotonic=monotonic),
        group_status=TableGroupStatus(tables),
        audit=TableAudit(tables),
        budget=TableBudget(tables),
        idempotency=TableIdempotency(tables),
        dead_letters=TableDeadLetters(tables),
        subscriptions=TableSubscriptions(tables, monotonic=monotonic),
        deltas=TableDeltas(tables),
        nesting=TableNesting(tables, monotonic=monotonic),
        due=TableDue(tables),
        onboarding=TableOnboarding(tables),
        standings=TableStandings(tables),
        profiles=TableProfiles(tables, monotonic=monotonic),
    )
