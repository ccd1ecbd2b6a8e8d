"""A tenant of any size in the tables: the rows that large operations, many groups and a week of changes leave behind.
They are written through the app's own stores, and nothing is asked of the directory."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from shared.adapters.tables.client import gather_limited
from shared.domain.assignment import Engine, GroupLicenseAssignment, SkuAssignment
from shared.domain.directory import AssignedLicense, LicenseError
from shared.domain.group_status import GroupState, GroupStatus
from shared.domain.ids import GroupId, OperationId, SkuId, UserId
from shared.domain.initiator import Initiator
from shared.domain.member_status import MemberState
from shared.domain.move import Direction, Move, MovePhase
from shared.domain.move_report import MemberBefore
from shared.domain.open_items import OpenItems
from shared.domain.operation import Operation, OperationState, Phase, PlanSummary, Totals
from shared.domain.outcomes import OutcomeClass, Problem
from shared.domain.predicted_errors import PredictedError
from shared.domain.read_models import AuditEntry, MemberRow
from shared.domain.snapshot_pages import PlannedAction, errors_of, pages_of
from shared.ports.world import Stores

ADA = Initiator("11111111-0000-4000-8000-000000000001", "Ada Lovelace")
IN_ERROR = 20
"""One member of so many is in error."""

NATIVE = 10
"""One group of so many is licensed by Microsoft's own licensing."""

PREDICTED = 20
"""Users of the preview with a predicted error: its page shows all of them."""

SINGLE = 10
"""One audit entry of so many is of a change of a single user."""

AT_ONCE = 8
"""Transactions that are written side by side."""

WEEK, HOURS = timedelta(days=7), timedelta(hours=3)


@dataclass(frozen=True)
class Size:
    """`members`: of the largest group. Each other group has a few, one of them in error. `products`: of the tenant, of
    which each other group assigns three. `audit`: entries of the log, most of them of one large operation, others of
    changes of single users during a week. `operations`: that have ended."""

    members: int
    groups: int
    audit: int
    operations: int = 300


@dataclass(frozen=True)
class Filled:
    """What was written, for addresses. `native`: a group that Microsoft's licensing licenses, with a move."""

    preview: OperationId
    native: GroupId
    others: tuple[GroupId, ...]


@dataclass(frozen=True)
class Place:
    """What exists already: the largest group and its product, a person in it, and an operation to copy."""

    group: GroupId
    sku: SkuId
    products: tuple[SkuId, ...]
    person: UserId
    like: Operation


async def fill(stores: Stores, size: Size, place: Place, now: datetime) -> Filled:
    """Write all of it."""
    ids = sorted({_user(number) for number in range(size.members - 1)} | {place.person})
    broken = {*ids[::IN_ERROR], place.person}
    await _members(stores, place, ids, broken, now)
    counts = {str(MemberState.ACTIVE): len(ids) - len(broken), str(MemberState.ERROR): len(broken)}
    status = GroupStatus(
        place.group, GroupState.ERRORS, size.members, counts, recorded=len(ids), operation_id=place.like.id
    )
    await _save(stores, replace(status, updated_at=now))
    others = tuple(GroupId(str(uuid.UUID(int=7_000_000 + number))) for number in range(size.groups - 1))
    calls = [partial(_group, stores, place, each, number, now) for number, each in enumerate(others)]
    await gather_limited(calls, AT_ONCE)
    await _audit(stores, size, place, ids, others, now)
    for number in range(size.operations):
        await stores.operations.insert(_ended(place.like, f"ended{number}", now - timedelta(minutes=number)))
    native = others[0]
    await _move(stores, native, place, ids, now)
    waiting = {place.sku: len(broken)}
    await stores.open_items.save(OpenItems(approvals=2, waiting=waiting, at=now))
    return Filled(await _preview(stores, place, ids, now), native, others)


def _user(number: int) -> UserId:
    return UserId(str(uuid.uuid5(uuid.NAMESPACE_DNS, f"filled-{number}")))


async def _save(stores: Stores, status: GroupStatus) -> None:
    known = await stores.group_status.get(status.group_id)
    await stores.group_status.save(replace(status, version=known.version if known else ""))


async def _members(stores: Stores, place: Place, ids: list[UserId], broken: set[UserId], now: datetime) -> None:
    problem = Problem(LicenseError.COUNT_VIOLATION, "No license is left.", "Buy more, or remove some.", place.sku)
    rows = [
        MemberRow(place.group, each, f"u{n}@contoso.example", f"User {n}", MemberState.ERROR, now, (problem,))
        if each in broken
        else MemberRow(
            place.group, each, f"u{n}@contoso.example", f"User {n}", MemberState.ACTIVE, now, sku_ids=(place.sku,)
        )
        for n, each in enumerate(ids)
    ]

    async def of_digit(digit: str) -> None:
        """A transaction changes the counter of a digit, and two must not race for it."""
        mine = [row for row in rows if row.user_id[0] == digit]
        for start in range(0, len(mine), 45):
            await stores.members.record(mine[start : start + 45])

    await gather_limited([partial(of_digit, digit) for digit in "0123456789abcdef"], AT_ONCE)


async def _group(stores: Stores, place: Place, group_id: GroupId, number: int, now: datetime) -> None:
    products = tuple(place.products[(number + each) % len(place.products)] for each in range(3))
    named = GroupLicenseAssignment(group_id, version=1, display_name=f"Group {number}", changed_at=now)
    problem = Problem(LicenseError.MUTUALLY_EXCLUSIVE, "Two products exclude each other.", "Remove one.", products[0])
    if number % NATIVE:
        assignment = replace(named, skus=tuple(SkuAssignment(each, frozenset()) for each in dict.fromkeys(products)))
    else:
        assignment = replace(named, engine=Engine.NATIVE, native=tuple(map(AssignedLicense, dict.fromkeys(products))))
    await stores.assignments.save(assignment, None)
    people = [_user(1_000_000 + 10 * number + each) for each in range(3)]
    wrong = MemberRow(group_id, people[0], "w@contoso.example", "W", MemberState.ERROR, now, (problem,))
    right = [
        MemberRow(group_id, each, "r@contoso.example", "R", MemberState.ACTIVE, now, sku_ids=products[1:])
        for each in people[1:]
    ]
    await stores.members.record(replace(each, engine=assignment.engine) for each in (wrong, *right))
    counts = {str(MemberState.ACTIVE): 2, str(MemberState.ERROR): 1}
    causes = {str(LicenseError.MUTUALLY_EXCLUSIVE): 1}
    await _save(stores, GroupStatus(group_id, GroupState.ERRORS, 3, counts, recorded=3, updated_at=now, causes=causes))


async def _audit(
    stores: Stores, size: Size, place: Place, ids: list[UserId], others: Sequence[GroupId], now: datetime
) -> None:
    """Chunks of a large operation are of sorted ids. The entries of the person end the log."""
    bulk = size.audit - size.audit // SINGLE
    whole = [_entry(ids[n % len(ids)], place.group, now - HOURS * (1 - n / bulk)) for n in range(bulk)]
    whole.sort(key=lambda each: each.at)
    single = list(_singles(size.audit - bulk, ids, others or (place.group,), now))
    for start in range(0, len(whole), 2000):
        await stores.audit.append(whole[start : start + 2000])
    await gather_limited([partial(stores.audit.append, [each]) for each in single], AT_ONCE)
    await stores.audit.append([_entry(place.person, place.group, now - timedelta(days=day, hours=4)) for day in (1, 2)])


def _singles(number: int, ids: list[UserId], groups: Sequence[GroupId], now: datetime) -> Iterator[AuditEntry]:
    for n in range(number):
        yield _entry(ids[(n * 7919) % len(ids)], groups[n % len(groups)], now - HOURS - WEEK * (n / max(1, number)))


def _entry(user_id: UserId, group_id: GroupId, at: datetime) -> AuditEntry:
    return AuditEntry(uuid.uuid4().hex, at, "Change user license", ADA, "success", user_id, group_id, after="[]")


def _ended(like: Operation, name: str, at: datetime) -> Operation:
    operation_id = OperationId(f"{int(at.timestamp() * 1000):012x}{uuid.uuid5(uuid.NAMESPACE_DNS, name).hex[:20]}")
    return replace(
        like,
        id=operation_id,
        version=None,
        state=OperationState.COMPLETE,
        phase=Phase.FINISH,
        created_at=at,
        completed_at=at,
        preview=False,
        pages=0,
    )


async def _preview(stores: Stores, place: Place, ids: list[UserId], now: datetime) -> OperationId:
    """A preview of all members, some of whom have a predicted error."""
    action = PlannedAction(due=True, expected=OutcomeClass.APPLIED, add=(AssignedLicense(place.sku),))
    problem = Problem(LicenseError.UNIQUENESS, "Another object has the same address.", "Change it.", place.sku)
    fails = replace(action, due=False, expected=OutcomeClass.FAILED, errors=(PredictedError(problem),))
    wrong = ids[: min(PREDICTED, len(ids) // 2)]
    pages = pages_of(((each, fails if each in wrong else action) for each in ids), place.like.chunk_size)
    ended = _ended(place.like, "preview", now)
    await stores.snapshots.write(ended.id, "filled", pages)
    await stores.snapshots.write(
        ended.id, errors_of("filled"), pages_of(((each, fails) for each in wrong), place.like.chunk_size)
    )
    plan = PlanSummary({place.sku: len(ids)}, seats_needed={place.sku: len(ids)}, users_failing=len(wrong))
    totals = Totals(members=len(ids), due=len(ids))
    await stores.operations.insert(
        replace(ended, preview=True, snapshot_id="filled", pages=len(pages), totals=totals, plan=plan)
    )
    return ended.id


async def _move(stores: Stores, group_id: GroupId, place: Place, ids: list[UserId], now: datetime) -> None:
    """A move that has ended, with the members as they were at its start."""
    pages = [ids[start : start + 999] for start in range(0, len(ids), 999)]
    name = f"{int(now.timestamp() * 1000):012x}{uuid.uuid5(uuid.NAMESPACE_DNS, 'move').hex[:20]}"
    move = await stores.moves.insert(
        Move(name, group_id, Direction.TO_NATIVE, ADA, now, products=(AssignedLicense(place.sku),), members=len(ids))
    )
    for number, part in enumerate(pages):
        await stores.moves.write_page(move, number, [MemberBefore(each) for each in part])
    await stores.moves.save(replace(move, phase=MovePhase.DONE, pages=len(pages), completed_at=now))
