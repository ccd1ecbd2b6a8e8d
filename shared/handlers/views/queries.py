"""Views for people and programs: operations, the plan member by member, groups, members, users, products.

Recorded data is read from the tables only; a user's licenses and the products are read from the directory.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain.assignment import Engine
from shared.domain.delta_slices import DeltaSlice
from shared.domain.directory import DirectoryUser, LicenseAssignmentState, NotAUser, ReadFailed, SubscribedSku, UserGone
from shared.domain.errors import BadRequest, NotFound, Unavailable
from shared.domain.grant import Grant, Source, SourceKind
from shared.domain.group_status import GroupState, GroupStatus, with_counts
from shared.domain.ids import GroupId, OperationId, SkuId, UserId
from shared.domain.ledger_row import LedgerRow
from shared.domain.member_status import MemberState
from shared.domain.named_users import NAMED
from shared.domain.operation import EVERY_OPERATION, Operation, OperationFilter, OperationState
from shared.domain.outcomes import ChunkOutcome, OutcomeClass
from shared.domain.pending_removal import GROUP_GONE, HoldKind, undecided, used
from shared.domain.read_models import EVERYBODY, MemberFilter, MemberRow
from shared.domain.snapshot_pages import PlannedAction, SnapshotPage, chunks_of
from shared.handlers.reconcile.permits import allowance_limit
from shared.handlers.views.needs import Needs
from shared.ports.membership_stores import StoredSubscription
from shared.ports.stores import StoredAssignment

NAMES_MAX_AGE_S = 600.0
"""How old the products' names may be: they hardly ever change, and an old name is better than none."""

MAX_NAMED = 100
"""The most people with a name that a search among the members of a group reads; a longer name finds the others."""

MOST_REMOVALS = 4999
"""Pending and counted removals of a group that a view reads: five answers of the service. A group that loses everybody
has more for a while, and needs an approval then."""

_PLACE = re.compile(r"(\d{1,6})-(\d{1,4})")


class LicenseOrigin(StrEnum):
    """Where a license of a user comes from."""

    MANAGED = "managed"
    DIRECT = "direct"
    NATIVE_GROUP = "nativeGroup"


@dataclass(frozen=True, slots=True)
class UserLicense:
    """One license of a user from one origin. For a managed one, `through`: its grants; `ending`: why it is
    still there although nothing asks for it any more, and until when."""

    state: LicenseAssignmentState
    origin: LicenseOrigin
    through: tuple[Source, ...] = ()
    ending: Grant | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class PlannedMember:
    """The plan for a user of the snapshot, and the outcome if there is one yet. `row`: the status of a
    user who needs a person."""

    user_id: UserId
    action: PlannedAction
    outcome: ChunkOutcome | None
    row: MemberRow | None = None


@dataclass(frozen=True, slots=True)
class GroupView:
    """A group's status snapshot, how much of its removal allowance of 24 hours is used, and its pending removals.

    `pending_removals` wait, and are decided together at `decided_at`. `held_because`: why removals wait for a person.
    """

    status: GroupStatus
    display_name: str
    allowance_used: int
    allowance_limit: int
    pending_removals: int = 0
    decided_at: datetime | None = None
    held_because: str = ""
    engine: Engine = Engine.DIRECT
    held_kind: HoldKind | None = None
    more_removals: bool = False
    """There are more removals than were counted."""

    @property
    def is_deleted(self) -> bool:
        """Whether the group was gone when its removals were held."""
        return self.held_kind is HoldKind.GROUP_DELETED or self.held_because == GROUP_GONE


@dataclass(frozen=True, slots=True)
class ChangeFeedState:
    """`expected`: a public address is set; then a missing subscription is a fault. `rejected_today`: notifications that
    were forged or broken. `delta_read_at`: when the slice of groups that waits longest was asked about last.
    `rejected`: slices whose delta links Graph rejects again and again."""

    expected: bool
    subscription: StoredSubscription | None
    rejected_today: int
    delta_read_at: datetime | None
    rejected: tuple[DeltaSlice, ...] = ()


async def operation(world: Needs, operation_id: OperationId) -> Operation:
    """One operation. Raises NotFound."""
    found = await world.stores.operations.get(operation_id)
    if found is None:
        raise NotFound(f"There is no operation {operation_id}.")
    return found


async def operations(
    world: Needs, top: int, after: str | None, wanted: OperationFilter = EVERY_OPERATION
) -> tuple[tuple[Operation, ...], str | None]:
    """Operations, newest first, and a token for the next page."""
    return await world.stores.operations.newest(top, after, wanted)


async def approvals(world: Needs) -> tuple[Operation, ...]:
    """Operations that wait for a person to approve or reject their removals, oldest first."""
    waiting = [each for each in await world.stores.operations.open() if each.state is OperationState.AWAITING_APPROVAL]
    return tuple(sorted(waiting, key=lambda each: each.id))


async def planned_members(
    world: Needs, operation_id: OperationId, top: int, after: str | None, *, losing: bool = False
) -> tuple[tuple[PlannedMember, ...], str | None]:
    """The plan of an operation, member by member, sorted by user id; none before it is planned. `losing`: only those
    who would lose something.

    `after` is a token of an earlier answer. Raises NotFound, BadRequest for a token that is none.
    """
    found = await operation(world, operation_id)
    number, position = _place(after)
    members: list[PlannedMember] = []
    while number < found.pages and len(members) < top:
        page = await world.stores.snapshots.page(found.id, found.snapshot_id, number)
        rest = range(position, len(page.user_ids))
        part = [each for each in rest if not losing or page.action(each).removes][: top - len(members)]
        outcomes = await _outcomes(world, found, page, [page.user_ids[each] for each in part])
        members += [
            PlannedMember(page.user_ids[each], page.action(each), outcomes.get(page.user_ids[each])) for each in part
        ]
        end = part[-1] + 1 if len(members) == top else len(page.user_ids)
        number, position = (number, end) if end < len(page.user_ids) else (number + 1, 0)
    members = await asyncio.gather(*(_with_row(world, found, each) for each in members))
    return tuple(members), f"{number}-{position}" if number < found.pages else None


async def _with_row(world: Needs, found: Operation, member: PlannedMember) -> PlannedMember:
    """With the errors of now for a user who ended as failed or waits."""
    if member.outcome is None or member.outcome.outcome not in (OutcomeClass.FAILED, OutcomeClass.WAITING):
        return member
    rows = await world.stores.members.of_user(member.user_id, [found.target.group_id or NAMED])
    return replace(member, row=rows[0] if rows else None)


def _place(after: str | None) -> tuple[int, int]:
    if after is None:
        return 0, 0
    match = _PLACE.fullmatch(after)
    if match is None:
        raise BadRequest("InvalidSkipToken", "$skiptoken is not from an earlier answer.", "$skiptoken")
    return int(match[1]), int(match[2])


async def _outcomes(
    world: Needs, found: Operation, page: SnapshotPage, user_ids: Sequence[UserId]
) -> Mapping[UserId, ChunkOutcome]:
    wanted = set(user_ids)
    chunks = [
        chunk.number for chunk in chunks_of(found.id, page, found.chunk_size) if not wanted.isdisjoint(chunk.user_ids)
    ]
    if not chunks or found.preview:
        return {}
    rows = await world.stores.chunks.rows(found.id, chunks[0], chunks[-1])
    return {outcome.user_id: outcome for row in rows.values() for outcome in row}


async def assignment(world: Needs, group_id: GroupId) -> StoredAssignment:
    """The assignment of a group. Raises NotFound if it never had one."""
    stored = await world.stores.assignments.get(group_id)
    if stored is None:
        raise NotFound(f"Group {group_id} has no license assignment here.")
    return stored


async def group_status(world: Needs, group_id: GroupId) -> GroupView:
    """The status of a managed group with the counts of now; in progress until its first operation has ended. Raises
    NotFound."""
    stored_assignment = await assignment(world, group_id)
    source, now = Source(SourceKind.GROUP, group_id), world.clock.now()
    status = await world.stores.group_status.get(group_id)
    if status is None:
        named = stored_assignment.assignment.operation_id
        status = GroupStatus(group_id, GroupState.IN_PROGRESS, operation_id=named)
    counts = await world.stores.member_counts.counts(group_id)
    if counts is not None:
        status = with_counts(status, counts, stored_assignment.assignment.sku_ids, now)
    stored = await world.stores.removals.load(str(source), MOST_REMOVALS)
    waiting = undecided(stored.rows, now)
    window = timedelta(seconds=world.policy.removal_window_s)
    hold = stored.state.hold if stored_assignment.assignment.open_approval else None
    return GroupView(
        status,
        stored_assignment.assignment.display_name,
        used(stored.rows, now),
        allowance_limit(world, source, {group_id: stored_assignment.assignment}, status.members),
        len({row.what for row in waiting}),
        min((row.since for row in waiting), default=now) + window if waiting else None,
        stored.state.held_because(now) or (hold.reason if hold else ""),
        stored_assignment.assignment.engine,
        stored.state.held_kind(now) or (hold.kind if hold else None),
        len(stored.rows) == MOST_REMOVALS,
    )


async def members(
    world: Needs,
    group_id: GroupId,
    top: int,
    after: str | None,
    state: MemberState | None = None,
    wanted: MemberFilter = EVERYBODY,
) -> tuple[tuple[MemberRow, ...], str | None]:
    """Recorded members of a managed group, or those in one state. Raises NotFound for an unmanaged group."""
    await assignment(world, group_id)
    if wanted.text:
        found = await members_named(world, group_id, wanted.text)
        return tuple(row for row in found if state in (None, row.state) and wanted.lets_pass(row)), None
    rows, token = await world.stores.members.page(group_id, top, after, state)
    return tuple(row for row in rows if wanted.lets_pass(row)), token


async def members_with_errors(
    world: Needs, group_id: GroupId, top: int, after: str | None, wanted: MemberFilter = EVERYBODY
) -> tuple[tuple[MemberRow, ...], str | None]:
    """Members of a managed group in error or waiting. Raises NotFound for an unmanaged group."""
    await assignment(world, group_id)
    if wanted.text:
        found = await members_named(world, group_id, wanted.text)
        return tuple(row for row in found if row.state.needs_a_person and wanted.lets_pass(row)), None
    return await world.stores.members.errors(group_id, top, after, wanted)


async def members_named(world: Needs, group_id: GroupId, text: str) -> tuple[MemberRow, ...]:
    """Recorded members that the directory finds by the text. It has an index of names, so this takes no longer in a
    large group. At most MAX_NAMED people of the tenant are compared with the group."""
    people = await world.directory.find_users(text, MAX_NAMED)
    rows = await asyncio.gather(*(world.stores.members.of_user(each.id, [group_id]) for each in people))
    return tuple(row for found in rows for row in found)


async def user_licenses(world: Needs, user_id: UserId) -> tuple[UserLicense, ...]:
    """A user's licenses as the directory has them, each with its origin.

    Raises NotFound where there is no such user, Unavailable when the user cannot be read.
    """
    read = await directory_user(world, user_id)
    row = (await world.stores.ledger.rows([user_id]))[user_id]
    grants = (await world.stores.grants.of_users([user_id])).get(user_id, ())
    return licenses_of(read, row, grants)


async def directory_user(world: Needs, user_id: UserId, *, with_groups: bool = False) -> DirectoryUser:
    """A user as the directory has it. Raises NotFound where there is no such user, Unavailable when the user cannot be
    read."""
    read = (await world.directory.users([user_id], with_groups=with_groups))[user_id]
    match read:
        case DirectoryUser():
            return read
        case UserGone():
            raise NotFound(f"There is no user {user_id}.")
        case NotAUser(kind=kind):
            raise NotFound(f"{user_id} is no user but a {kind}.")
        case ReadFailed(why=why, retry_after_s=retry_after_s):
            raise Unavailable(retry_after_s=retry_after_s or 5.0, what=f"user {user_id}: {why}")


def licenses_of(user: DirectoryUser, row: LedgerRow, grants: Sequence[Grant]) -> tuple[UserLicense, ...]:
    """A user's licenses, each with its origin."""
    return tuple(_license(state, row, grants) for state in user.license_assignment_states)


def _license(state: LicenseAssignmentState, row: LedgerRow, grants: Sequence[Grant]) -> UserLicense:
    if state.assigned_by_group is not None:
        return UserLicense(state, LicenseOrigin.NATIVE_GROUP, since=state.last_updated)
    managed = row.managed.get(state.sku_id)
    if managed is None:
        return UserLicense(state, LicenseOrigin.DIRECT, since=state.last_updated)
    ending = [each for each in grants if each.sku_id == state.sku_id and each.source.keeps]
    return UserLicense(state, LicenseOrigin.MANAGED, managed.sources, next(iter(ending), None), managed.at)


async def change_feed(world: Needs) -> ChangeFeedState:
    """How changes of membership reach the app."""
    made = [each for each in await world.stores.subscriptions.all() if each.id]
    slices = await world.stores.deltas.all()
    read = [each.read_at for each in slices if each.read_at is not None]
    return ChangeFeedState(
        expected=bool(world.policy.public_url),
        subscription=max(made, key=lambda each: each.expires_at, default=None),
        rejected_today=await world.stores.subscriptions.rejected(world.clock.now().date().isoformat()),
        delta_read_at=min(read, default=None),
        rejected=tuple(each for each in slices if each.is_shown_as_error),
    )


async def subscribed_skus(world: Needs) -> tuple[SubscribedSku, ...]:
    """The tenant's products with their seats."""
    return await world.directory.subscribed_skus()


async def sku_names(world: Needs) -> Mapping[SkuId, str]:
    """Part numbers by SKU, for showing beside ids; none while the directory is away, since the ids are still right."""
    try:
        skus = await world.directory.subscribed_skus(NAMES_MAX_AGE_S)
    except Unavailable:
        return {}
    return {sku.sku_id: sku.sku_part_number for sku in skus}
