"""Watching groups that Microsoft's own group-based licensing licenses: which there are, and what became of each member.

Once a day all direct members are read, every hour those with an error. Only reads are needed, so this works with read
permissions alone and while writing is turned off.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from shared.domain.assignment import AssignmentState, Engine, GroupLicenseAssignment, is_watched
from shared.domain.audit import assignment_act, skus_text
from shared.domain.change_messages import WatchGroup
from shared.domain.concurrency import update
from shared.domain.directory import DirectoryUser, ReadFailed, UserGone
from shared.domain.errors import BadRequest, NotFound, NotOffered, PermissionDenied
from shared.domain.group_status import GroupState, GroupStatus
from shared.domain.ids import GroupId, UserId
from shared.domain.initiator import SYSTEM
from shared.domain.member_status import MemberState
from shared.domain.messages import NOTIFICATIONS
from shared.domain.native_members import from_group, unreachable_row, watched_row
from shared.domain.read_models import MemberRow
from shared.handlers.groups.status import change_group_status
from shared.handlers.membership.needs import Needs
from shared.handlers.operations.native_members import members_in_error
from shared.ports.messaging import Outgoing
from shared.ports.native_licensing import LicensedGroup
from shared.ports.stores import StoredAssignment

MAX_TRIES = 10
MOST_REREAD = 60
"""Members whom one hourly check reads one by one: with their groups that is at most six requests."""

PROCESSING = ("QueuedForProcessing", "ProcessingInProgress")
FAILED = "ProcessingFailed"
"""Not in the reference; Microsoft's PowerShell sample tests for it."""

log = logging.getLogger(__name__)


async def watch_all(world: Needs) -> int:
    """The nightly timer: find the licensed groups, and have each read whole. Returns how many are watched."""
    return await _watch(world, whole=True)


async def watch_errors(world: Needs) -> int:
    """The hourly timer: find the licensed groups, and have members with an error read; all members of a new group, or
    of one whose licenses have changed. Returns how many are watched."""
    return await _watch(world, whole=False)


async def _watch(world: Needs, *, whole: bool) -> int:
    now = world.clock.now()
    at = now.replace(minute=0, second=0, microsecond=0)
    messages: list[Outgoing] = []
    for group_id, is_new in sorted((await find_groups(world)).items()):
        message = WatchGroup(group_id, now, errors_only=not whole and not is_new)
        kind = "errors" if message.errors_only else "all"
        messages.append(Outgoing(NOTIFICATIONS, message.encode(), f"watch-{at:%Y%m%d%H}-{kind}-{group_id}"))
    if messages:
        await world.queue.send(messages)
    return len(messages)


async def find_groups(world: Needs) -> dict[GroupId, bool]:
    """The watched groups, and whether each is new or has other licenses than before. Groups that this app licenses
    directly are left out. Raises PermissionDenied, Unavailable: then nothing changes."""
    found = await world.native.licensed_groups()
    known = await world.stores.assignments.all()
    watched: dict[GroupId, bool] = {}
    for each in found:
        changed = await _take(world, each)
        if changed is not None:
            watched[each.group.id] = changed
    for assignment in known:
        if is_watched(assignment) and assignment.group_id not in {each.group.id for each in found}:
            await _end_if_unlicensed(world, assignment)
    return watched


async def watch_now(world: Needs, group_id: GroupId) -> None:
    """A person wants a licensed group to be read now. Raises NotFound, BadRequest for one without native licenses."""
    group = await world.directory.group(group_id)
    if not group.native_skus:
        text = f"Group {group.display_name} has no licenses in Microsoft's own group-based licensing."
        raise BadRequest("GroupNotLicensed", text, "group")
    stored = await world.stores.assignments.get(group_id)
    status = await world.stores.group_status.get(group_id)
    known = stored is not None and is_watched(stored.assignment)
    if await _take(world, LicensedGroup(group, status.processing if status and known else "")) is None:
        text = f"This app licenses group {group.display_name} directly, so its members are shown as they are."
        raise BadRequest("GroupManagedDirectly", text, "group")
    await world.queue.send([Outgoing(NOTIFICATIONS, WatchGroup(group_id, world.clock.now()).encode())])


async def watch_group(world: Needs, message: WatchGroup) -> None:
    """Read members of a watched group, as the message says, and record what was read. Raises Unavailable."""
    stored = await world.stores.assignments.get(message.group_id)
    if stored is None or not is_watched(stored.assignment):
        return
    assignment = stored.assignment
    try:
        if message.members:
            await _reread(world, assignment, message.members)
        elif message.errors_only:
            await _read_errors(world, assignment)
        else:
            await _read_all(world, assignment)
    except NotFound:
        await _end_if_unlicensed(world, assignment)
    except PermissionDenied as fault:
        # The next hour tries again, when a person may have granted the permission. An alert says that it is not read.
        log.warning("watched group cannot be read group=%s reason=%s", message.group_id, fault)


async def _take(world: Needs, found: LicensedGroup) -> bool | None:
    """Keep what a licensed group assigns; whether that is new. None for a group that this app licenses directly."""
    group, now = found.group, world.clock.now()
    native = tuple(sorted(group.native_skus, key=lambda each: each.sku_id))

    def changed(stored: StoredAssignment | None) -> tuple[StoredAssignment | None, GroupLicenseAssignment] | None:
        before = stored.assignment if stored else GroupLicenseAssignment(group.id)
        after = replace(before, display_name=group.display_name, native=native, state=AssignmentState.ACTIVE)
        if before.engine is Engine.DIRECT:
            after = replace(after, engine=Engine.WATCHED)
        return None if after == before else (stored, replace(after, changed_at=now, changed_by=""))

    async def save(change: tuple[StoredAssignment | None, GroupLicenseAssignment]) -> bool:
        stored, after = change
        before = stored.assignment if stored else GroupLicenseAssignment(group.id)
        await _audit(world, "Watch group licensing", before, after)
        await world.stores.assignments.save(after, stored.etag if stored else None)
        return before.native != native or before.engine is not after.engine

    stored = await world.stores.assignments.get(group.id)
    if (
        stored is not None
        and stored.assignment.engine is Engine.DIRECT
        and await _is_managed_here(world, stored.assignment)
    ):
        return None
    read = partial(world.stores.assignments.get, group.id)
    is_new = await update(read, changed, save, tries=MAX_TRIES) or False
    status = await world.stores.group_status.get(group.id)
    if is_new or status is None or status.processing != found.processing or status.dynamic != group.is_dynamic:
        await change_group_status(world, group.id, partial(_processed, found))
    return is_new


async def _is_managed_here(world: Needs, assignment: GroupLicenseAssignment) -> bool:
    """Whether this app licenses the group directly, or still works on it."""
    open_on = [each for each in await world.stores.operations.open() if each.target.group_id == assignment.group_id]
    return bool(assignment.skus) or bool(open_on)


def _processed(found: LicensedGroup, status: GroupStatus) -> GroupStatus:
    over = GroupState.IN_PROGRESS if found.processing in PROCESSING else GroupState.ALL_ASSIGNED
    failed, dynamic = found.processing == FAILED, found.group.is_dynamic
    return replace(status, state=over, processing=found.processing, failed=failed, dynamic=dynamic)


async def _end_if_unlicensed(world: Needs, assignment: GroupLicenseAssignment) -> None:
    """Stop watching a group that has no licenses any more. A list alone is no proof, so the group is read. One that is
    managed natively stays so while it exists."""
    group_id = assignment.group_id
    try:
        group = await world.directory.group(group_id)
        if group.native_skus:
            return
        if assignment.engine is Engine.NATIVE:  # until a person stops it, the app decides that nothing is assigned
            await _take(world, LicensedGroup(group))
            return
    except NotFound:
        log.info("a watched group is gone group=%s", group_id)
    now = world.clock.now()

    def ended(stored: StoredAssignment | None) -> tuple[StoredAssignment, GroupLicenseAssignment] | None:
        if stored is None or not is_watched(stored.assignment):
            return None
        after = replace(stored.assignment, native=(), state=AssignmentState.ENDED, changed_at=now, changed_by="")
        return stored, after

    async def save(change: tuple[StoredAssignment, GroupLicenseAssignment]) -> None:
        stored, after = change
        await _audit(world, "Stop watching group licensing", stored.assignment, after)
        await world.stores.assignments.save(after, stored.etag)

    # The assignment last: until it has ended, the next run does all of this again.
    await world.stores.members.forget(group_id, list(await world.stores.members.states(group_id)))
    await update(partial(world.stores.assignments.get, group_id), ended, save, tries=MAX_TRIES)


async def _audit(world: Needs, activity: str, before: GroupLicenseAssignment, after: GroupLicenseAssignment) -> None:
    """Microsoft or an administrator changed the licenses of the group. The history belongs in the log."""
    now = world.clock.now()
    act_id = f"{after.group_id}-{activity.lower().replace(' ', '-')}-{now:%Y%m%d%H%M%S}"
    texts = skus_text(before.native), skus_text(after.native)
    if texts[0] != texts[1] or before.engine is not after.engine:
        await world.stores.audit.append([assignment_act(activity, after.group_id, SYSTEM, now, *texts, act_id)])


async def _read_all(world: Needs, assignment: GroupLicenseAssignment) -> None:
    """Every direct member, and those who are only in a nested group. Other recorded members have left."""
    group_id, seen, nested = assignment.group_id, set[UserId](), set[GroupId]()
    try:
        async for page in world.native.members(group_id):
            now = world.clock.now()
            await world.stores.members.record([watched_row(user, assignment, now) for user in page.users])
            seen |= {user.id for user in page.users}
            nested |= set(page.nested)
    except NotOffered as fault:
        log.warning("only members with an error can be read group=%s reason=%s", group_id, fault)
        await _read_errors_only(world, assignment)
        return
    if not seen and not nested and await _hides_members(world, group_id):
        _log_hidden(group_id)
        return
    direct = len(seen)
    for inner in sorted(nested):
        seen |= await _record_unreachable(world, assignment, inner, seen)
    states = await world.stores.members.states(group_id)
    read = await _settle_leavers(world, assignment, {each: states[each] for each in states.keys() - seen})
    await _note_read(world, group_id, direct, is_complete=read)


async def _record_unreachable(
    world: Needs, assignment: GroupLicenseAssignment, inner: GroupId, seen: set[UserId]
) -> set[UserId]:
    found: set[UserId] = set()
    try:
        async for users in world.directory.member_pages(inner):
            new = [user for user in users if user.id not in seen and user.id not in found]
            await world.stores.members.record([unreachable_row(user, assignment, world.clock.now()) for user in new])
            found |= {user.id for user in new}
    except NotFound:
        log.info("a nested group is gone group=%s", inner)
    return found


async def _settle_leavers(world: Needs, assignment: GroupLicenseAssignment, left: dict[UserId, MemberState]) -> bool:
    """Forget former members, except those who still have a license of the group. Of very many, some are not read.
    Returns whether all others could be read."""
    had = sorted(left, key=lambda each: (not left[each].needs_a_person, each))
    read = await _reread(world, assignment, had[:MOST_REREAD])
    await world.stores.members.forget(assignment.group_id, had[MOST_REREAD:])
    return read


async def _reread(world: Needs, assignment: GroupLicenseAssignment, user_ids: Sequence[UserId]) -> bool:
    """Read members and former members one by one. Returns whether all could be read; the others keep their rows."""
    rows: list[MemberRow] = []
    gone: list[UserId] = []
    reads = await world.directory.users(user_ids) if user_ids else {}
    users = [each for each in reads.values() if isinstance(each, DirectoryUser)]
    has_outsider = any(assignment.group_id not in each.group_ids for each in users)
    if has_outsider and await _hides_members(world, assignment.group_id):
        _log_hidden(assignment.group_id)
        return False
    for user_id, read in reads.items():
        if isinstance(read, UserGone):
            gone.append(user_id)
        if not isinstance(read, DirectoryUser):
            continue
        inside = assignment.group_id in read.group_ids
        if inside or from_group(read, assignment.group_id):
            rows.append(watched_row(read, assignment, world.clock.now(), inside=inside))
        else:
            gone.append(user_id)
    await world.stores.members.record(rows)
    await world.stores.members.forget(assignment.group_id, gone)
    return not any(isinstance(each, ReadFailed) for each in reads.values())


async def _hides_members(world: Needs, group_id: GroupId) -> bool:
    """Whether the group hides its membership from the app. Without Member.Read.Hidden such a group reads empty
    (learn.microsoft.com/graph/api/group-list-members), and users do not show it."""
    if not (await world.directory.group(group_id)).hidden_membership:
        return False
    async for page in world.native.members(group_id):
        if page.users or page.nested:
            return False
    return True


def _log_hidden(group_id: GroupId) -> None:
    log.warning("watched group cannot be read group=%s reason=its members are hidden: Member.Read.Hidden", group_id)


async def _read_errors(world: Needs, assignment: GroupLicenseAssignment) -> None:
    """Members with an error now, and again some who had one or were not processed when they were read."""
    group_id = assignment.group_id
    status = await world.stores.group_status.get(group_id)
    if status is not None and status.errors_only:
        await _read_errors_only(world, assignment)
        return
    wrong = await _record_errors(world, assignment)
    listed = [row.user_id for row in await members_in_error(world, group_id)]
    again = [each for each in listed if each not in wrong]
    counts = await world.stores.member_counts.count(group_id)
    if counts.states.get(MemberState.PENDING) and len(again) < MOST_REREAD:
        rows, _ = await world.stores.members.page(group_id, MOST_REREAD - len(again), None, MemberState.PENDING)
        again += [row.user_id for row in rows]
    read = await _reread(world, assignment, again[:MOST_REREAD])
    await _note_read(world, group_id, status.members if status else 0, is_complete=read)


async def _read_errors_only(world: Needs, assignment: GroupLicenseAssignment) -> None:
    """The licenses of members cannot be read, so only those with an error are recorded."""
    wrong = await _record_errors(world, assignment)
    if not wrong and (await world.directory.group(assignment.group_id)).hidden_membership:
        # Either no member is in error, or the app can see none of them.
        _log_hidden(assignment.group_id)
        return
    states = await world.stores.members.states(assignment.group_id)
    await world.stores.members.forget(assignment.group_id, states.keys() - wrong)
    await _note_read(world, assignment.group_id, 0, errors_only=True)


async def _record_errors(world: Needs, assignment: GroupLicenseAssignment) -> frozenset[UserId]:
    users = await world.native.in_error(assignment.group_id)
    now = world.clock.now()
    await world.stores.members.record([watched_row(user, assignment, now) for user in users])
    return frozenset(user.id for user in users)


async def _note_read(
    world: Needs, group_id: GroupId, members: int, *, is_complete: bool = True, errors_only: bool = False
) -> None:
    """Note the reading in the group's status. `is_complete`: every member to be read was; otherwise the group keeps
    the time of its last complete reading, because some rows are as old as that."""
    now = world.clock.now()

    def noted(status: GroupStatus) -> GroupStatus:
        at = now if is_complete else status.updated_at
        return replace(status, members=members, errors_only=errors_only, updated_at=at)

    await change_group_status(world, group_id, noted)
