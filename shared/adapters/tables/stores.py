"""All tables behind their ports."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from shared.adapters.tables.assignments import TableAssignments
from shared.adapters.tables.audit import TableAudit
from shared.adapters.tables.audit_digests import TableAuditDigests
from shared.adapters.tables.budget import TableBudget
from shared.adapters.tables.chunks import TableChunks
from shared.adapters.tables.client import Tables
from shared.adapters.tables.dead_letters import TableDeadLetters
from shared.adapters.tables.deltas import TableDeltas
from shared.adapters.tables.due import TableDue
from shared.adapters.tables.first_contact import TableFirstContact
from shared.adapters.tables.grants import TableGrants
from shared.adapters.tables.group_status import TableGroupStatus
from shared.adapters.tables.health import TableHealth
from shared.adapters.tables.hr_state import TableHrStates
from shared.adapters.tables.idempotency import TableIdempotency
from shared.adapters.tables.ledger import TableLedger
from shared.adapters.tables.member_counts import TableMemberCounts
from shared.adapters.tables.members import TableMembers
from shared.adapters.tables.moves import TableMoves
from shared.adapters.tables.nesting import TableNesting
from shared.adapters.tables.onboarding import TableOnboarding
from shared.adapters.tables.open_items import TableOpenItems
from shared.adapters.tables.operations import TableOperations
from shared.adapters.tables.people import TablePeople
from shared.adapters.tables.permits import TablePermits
from shared.adapters.tables.product_facts import TableProductFacts
from shared.adapters.tables.profiles import TableProfiles
from shared.adapters.tables.protected_people import TableProtectedPeople
from shared.adapters.tables.removals import TableRemovals
from shared.adapters.tables.seat_queue import TableWaiting
from shared.adapters.tables.snapshots import TableSnapshots
from shared.adapters.tables.subscriptions import TableSubscriptions
from shared.ports.world import Stores


def _now() -> datetime:
    return datetime.now(UTC)


def table_stores(
    tables: Tables, *, monotonic: Callable[[], float] = time.monotonic, now: Callable[[], datetime] = _now
) -> Stores:
    """The stores of the app on one set of tables. `monotonic`: seconds, by which what is remembered grows old. `now`:
    the time, by which an audit entry is late."""
    counts = TableMemberCounts(tables, now)
    members = TableMembers(tables, counts)
    return Stores(
        assignments=TableAssignments(tables, monotonic=monotonic),
        operations=TableOperations(tables),
        snapshots=TableSnapshots(tables),
        chunks=TableChunks(tables),
        members=members,
        member_counts=counts,
        ledger=TableLedger(tables),
        grants=TableGrants(tables),
        permits=TablePermits(tables),
        removals=TableRemovals(tables),
        waiting=TableWaiting(tables, monotonic=monotonic),
        group_status=TableGroupStatus(tables),
        open_items=TableOpenItems(tables),
        audit=TableAudit(tables, now),
        audit_digests=TableAuditDigests(tables),
        budget=TableBudget(tables),
        idempotency=TableIdempotency(tables),
        health=TableHealth(tables),
        dead_letters=TableDeadLetters(tables, monotonic=monotonic),
        subscriptions=TableSubscriptions(tables, monotonic=monotonic),
        deltas=TableDeltas(tables),
        moves=TableMoves(tables),
        nesting=TableNesting(tables, monotonic=monotonic),
        due=TableDue(tables),
        product_facts=TableProductFacts(tables, monotonic=monotonic),
        protected_people=TableProtectedPeople(tables, monotonic=monotonic),
        onboarding=TableOnboarding(tables),
        hr_states=TableHrStates(tables),
        people=TablePeople(tables, members),
        first_contact=TableFirstContact(tables, monotonic=monotonic),
        profiles=TableProfiles(tables, monotonic=monotonic),
    )
