"""Removal permits from the allowances: pending removals are noted when they are first seen, and decided together.

Each decision is one change of its scope's row under the row's ETag, so two workers never count from the same state. See
`domain.pending_removal` for the rule. Removals that an approval permits need none of this.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import TypeVar

from shared.domain.allowance import AllowanceState, take
from shared.domain.assignment import GroupLicenseAssignment
from shared.domain.concurrency import update
from shared.domain.errors import NotFound, Unavailable
from shared.domain.grant import Source
from shared.domain.ids import GroupId, UserId, What
from shared.domain.member_status import MemberState
from shared.domain.pending_removal import (
    COUNT_MEMBERS_FROM,
    TENANT,
    Decision,
    GroupNow,
    PendingRemoval,
    ScopeState,
    decide,
    decide_for_tenant,
    removal_limit,
    undecided,
)
from shared.domain.permit import BY_ALLOWANCE, Assignments, Permit, assignment_of
from shared.domain.plan_draft import PermitRequest
from shared.handlers.reconcile.needs import Needs
from shared.ports.stores import StoredRemovals

log = logging.getLogger(__name__)

MAX_TRIES = 10

MISSING_KEPT = 20_000
"""Missing members that a row keeps, 16 bytes each; far fewer exceed any allowance."""

_LICENSED = (MemberState.ACTIVE, MemberState.ACTIVE_WITH_ERROR)

Known = TypeVar("Known")


@dataclass(frozen=True, slots=True)
class Drawn:
    """Permits by the allowances, and held removals. `held_by_tenant`: of these, the ones that only the tenant holds."""

    permits: tuple[Permit, ...] = ()
    held: frozenset[What] = frozenset()
    held_by_tenant: frozenset[What] = frozenset()


async def draw(world: Needs, requests: Sequence[PermitRequest], assignments: Assignments) -> Drawn:
    """Note the removals that are due, and decide about those whose window is over.

    A removal goes if each claim that ended is allowed to go by its own source, and the person by the tenant.
    """
    by_source: dict[Source, list[PermitRequest]] = defaultdict(list)
    for request in sorted(requests, key=lambda each: each.what):
        for claim in request.claims:
            by_source[claim.source].append(request)
    held: set[What] = set()
    # Sources before the tenant: a removal that its group holds must not use the allowance of the tenant.
    for source, wanted in sorted(by_source.items()):
        if not await _may_go(world, source, wanted, assignments):
            held.update(each.what for each in wanted)
    free = [each for each in requests if each.what not in held]
    ripe = [each for each in free if each.ripe]
    if not await _tenant_lets_go(world, free, assignments):
        by_tenant = frozenset(each.what for each in ripe)
        return Drawn(held=frozenset(held) | by_tenant, held_by_tenant=by_tenant)
    now = world.clock.now()
    permits = tuple(
        Permit(each.user_id, each.sku_id, claim.source, now, BY_ALLOWANCE, frozenset({claim}), each.plans)
        for each in ripe
        for claim in sorted(each.claims)
    )
    return Drawn(permits, frozenset(held))


def _rows(requests: Iterable[PermitRequest], source: Source | None = None) -> list[PendingRemoval]:
    return [
        PendingRemoval(claim, each.user_id, each.sku_id, each.since, each.plans)
        for each in requests
        for claim in sorted(each.claims)
        if source in (None, claim.source)
    ]


async def _may_go(world: Needs, source: Source, wanted: Sequence[PermitRequest], assignments: Assignments) -> bool:
    """Whether the source lets these removals wait, or go where their window is over; False: they are held."""
    if _has_open_approval(source, assignments):
        return False
    if source.group_id is None and (await world.stores.removals.state(TENANT)).state.approvals:
        # What no group assigned waits for the approval of the tenant, and uses no allowance meanwhile.
        return False
    scope = str(source)
    await world.stores.removals.note(scope, _rows((each for each in wanted if not each.ripe), source))
    group = await _group_now(world, source)
    asked = _rows((each for each in wanted if each.ripe), source)
    # An empty or deleted group is decided before any window ends, so that a person is asked at once.
    if not asked and not group.alarm:
        stored = await world.stores.removals.state(scope)
        return not stored.state.held_because(world.clock.now())
    maximum = allowance_limit(world, source, assignments, group.members, asked)

    async def read() -> tuple[StoredRemovals, ScopeState, GroupNow]:
        stored = await _load(world, scope)
        return stored, *await _counted(world, source, stored, asked, maximum, group)

    def change(known: tuple[StoredRemovals, ScopeState, GroupNow]) -> tuple[StoredRemovals, Decision]:
        stored, state, counted = known
        return stored, decide(state, stored.rows, asked, maximum, counted, world.clock.now())

    decision = await _saved(world, scope, read, change)
    return not decision.reason


def _has_open_approval(source: Source, assignments: Assignments) -> bool:
    """Whether a person is deciding about removals of the group: nothing of it goes by an allowance meanwhile."""
    assignment = assignment_of(source, assignments)
    return assignment is not None and assignment.open_approval is not None


async def _load(world: Needs, scope: str) -> StoredRemovals:
    """A scope with its removals. While it is held they decide nothing and may be very many, so they are not read."""
    stored = await world.stores.removals.state(scope)
    return stored if stored.state.is_held(world.clock.now()) else await world.stores.removals.load(scope)


async def _saved(
    world: Needs,
    scope: str,
    read: Callable[[], Awaitable[Known]],
    change: Callable[[Known], tuple[StoredRemovals, Decision]],
) -> Decision:
    async def save(changed: tuple[StoredRemovals, Decision]) -> Decision:
        stored, decision = changed
        if decision.allowed or decision.state != stored.state:
            await world.stores.removals.save(scope, decision.state, stored.etag, decision.allowed)
        if decision.reason and decision.state.hold != stored.state.hold:
            log.warning("removals are held scope=%s reason=%s", scope, decision.reason)
        return decision

    lost = Unavailable(retry_after_s=5.0, what=f"the pending removals of {scope}: too many lost updates")
    return await update(read, change, save, tries=MAX_TRIES, lost=lost)


async def _group_now(world: Needs, source: Source) -> GroupNow:
    """The group as the directory shows it: that it exists, has members, and still has its rule."""
    group_id = source.group_id
    if group_id is None:
        return GroupNow()
    status = await world.stores.group_status.get(group_id)
    members = status.members if status else 0
    try:
        is_empty = not await _has_members(world, group_id)
        had_rule = status is not None and status.dynamic
        lost_its_rule = had_rule and not (await world.directory.group(group_id)).is_dynamic
    except NotFound:
        return GroupNow(exists=False, members=members)
    return GroupNow(is_empty=is_empty, lost_its_rule=lost_its_rule, members=members)


async def _has_members(world: Needs, group_id: GroupId) -> bool:
    async for page in world.directory.member_ids(group_id):
        if page:
            return True
    return False


async def _counted(
    world: Needs,
    source: Source,
    stored: StoredRemovals,
    asked: Sequence[PendingRemoval],
    maximum: int,
    group: GroupNow,
) -> tuple[ScopeState, GroupNow]:
    """The state with the missing members, and the group with the others. They are read once for the removals of a
    window. Before removals are held for it, they are read again: some users can have been reconciled meanwhile without
    a loss."""
    state, now = stored.state, world.clock.now()
    window = timedelta(seconds=world.policy.removal_window_s)
    is_recent = state.counted_at is not None and now - state.counted_at < window
    known = state if is_recent else replace(state, counted_at=None, missing=frozenset())
    waiting = {each.what for each in (*undecided(stored.rows, now), *asked)}
    group_id, is_few = source.group_id, len(waiting) < COUNT_MEMBERS_FROM
    if group_id is None or group.alarm or state.held_because(now) or is_few:
        return known, group
    if is_recent and not decide(known, stored.rows, asked, maximum, group, now).reason:
        return known, group
    missing, members = await _missing(world, group_id)
    others = len(members - {user_id for user_id, _ in waiting})
    state = replace(known, counted_at=now, missing=frozenset(sorted(missing)[:MISSING_KEPT]))
    return state, replace(group, others=others)


async def _missing(world: Needs, group_id: GroupId) -> tuple[set[UserId], set[UserId]]:
    """Members that are recorded as licensed, and that the directory does not show in the group any more; and those that
    it shows."""
    states = await world.stores.members.states(group_id)
    licensed = {user_id for user_id, state in states.items() if state in _LICENSED}
    members: set[UserId] = set()
    async for page in world.directory.member_ids(group_id):
        members.update(page)
    return licensed - members, members


async def _tenant_lets_go(world: Needs, requests: Sequence[PermitRequest], assignments: Assignments) -> bool:
    """Note these removals for the tenant too, and decide about those whose window is over."""
    ripe = [each for each in requests if each.ripe]
    await world.stores.removals.note(TENANT, _rows(each for each in requests if not each.ripe))
    if not ripe:
        return True
    asked = _rows(ripe)

    def change(stored: StoredRemovals) -> tuple[StoredRemovals, Decision]:
        return stored, _decide_for_tenant(world, stored, asked)

    return not (await _saved(world, TENANT, partial(_load_tenant, world, asked, assignments), change)).reason


def _decide_for_tenant(world: Needs, stored: StoredRemovals, asked: Sequence[PendingRemoval]) -> Decision:
    maximum = world.policy.tenant_removal_allowance
    return decide_for_tenant(stored.state, stored.rows, asked, maximum, world.clock.now())


async def _load_tenant(world: Needs, asked: Sequence[PendingRemoval], assignments: Assignments) -> StoredRemovals:
    """Without removals that are held for the approval of their group: they do not go, whatever the tenant allows. They
    are looked up only if the tenant would be held because of them."""
    stored, now = await _load(world, TENANT), world.clock.now()
    if stored.state.is_held(now) or not _decide_for_tenant(world, stored, asked).reason:
        return stored
    held: set[Source] = set()
    for source in {each.claim.source for each in undecided(stored.rows, now)}:
        state = (await world.stores.removals.state(str(source))).state
        if state.held_because(now) or _has_open_approval(source, assignments):
            held.add(source)
    return replace(stored, rows=tuple(row for row in stored.rows if row.allowed_at or row.claim.source not in held))


def allowance_limit(
    world: Needs, source: Source, assignments: Assignments, members: int, rows: Iterable[PendingRemoval] = ()
) -> int:
    """Removals of a source that need no approval in 24 hours: the group's own number, or that of the settings.

    The group's own number can be larger for members who leave the group only (`rows`: the removals in question). Who
    sets it could else permit the removals of one's own requests and options, without any other person.
    """
    assignment, policy = assignment_of(source, assignments), world.policy
    minimum, percent = policy.removal_allowance_minimum, policy.removal_allowance_percent
    usual = removal_limit(members, minimum, percent, policy.removal_allowance_maximum)
    own = assignment.options.removal_allowance if assignment else None
    if assignment is None or own is None:
        return usual
    return own if own < usual or _only_leavers(assignment, rows) else usual


def _only_leavers(assignment: GroupLicenseAssignment, rows: Iterable[PendingRemoval]) -> bool:
    """Whether the group still assigns everything that these removals take: then only a member who left loses it."""
    if assignment.options.left_out:
        return False
    given = {sku.sku_id: sku for sku in assignment.skus}
    return all(row.sku_id in given and not row.plans & given[row.sku_id].disabled_plans for row in rows)


async def allow_operation(
    world: Needs, source: Source, rows: Sequence[PendingRemoval], assignments: Assignments, size: int
) -> bool:
    """Whether the allowances let all removals of an operation go, which are then counted. `size`: members just read.

    Done again for the same rows it counts nothing twice. Nothing is held by it: the operation waits for its approval.
    """
    if _has_open_approval(source, assignments):
        return False
    scope, group = str(source), await _group_now(world, source)
    if source.group_id is not None:
        group = replace(group, is_empty=size == 0, members=group.members or size)
    maximum = allowance_limit(world, source, assignments, group.members, rows)

    async def count(
        scope: str, read: Callable[[], Awaitable[StoredRemovals]], judge: Callable[[StoredRemovals], Decision]
    ) -> bool:
        def change(stored: StoredRemovals) -> tuple[StoredRemovals, Decision]:
            return stored, replace(judge(stored), state=stored.state)

        return not (await _saved(world, scope, read, change)).reason

    def by_source(stored: StoredRemovals) -> Decision:
        # Other requests for named users that wait for a person say nothing about this one.
        state = replace(stored.state, approvals=frozenset())
        return decide(state, stored.rows, rows, maximum, group, world.clock.now())

    # The tenant counts only removals that the source's allowance permits too: an approved removal uses no allowance.
    load, load_tenant = partial(world.stores.removals.load, scope), partial(_load_tenant, world, rows, assignments)
    if by_source(await load()).reason:
        return False
    by_tenant = await count(TENANT, load_tenant, lambda stored: _decide_for_tenant(world, stored, rows))
    return by_tenant and await count(scope, load, by_source)


async def take_up_to(world: Needs, source: Source, wanted: int, maximum: int, *, whole: bool = False) -> int:
    """Count leavers of HR against their allowance; returns how many it leaves. `whole`: all of them or none."""

    def count(stored: tuple[str, str | None]) -> tuple[int, AllowanceState, str | None] | None:
        text, etag = stored
        state = AllowanceState.from_json(text) if text else AllowanceState()
        granted, state = take(state, wanted, maximum, world.clock.now())
        return None if granted == 0 or (whole and granted < wanted) else (granted, state, etag)

    async def save(counted: tuple[int, AllowanceState, str | None]) -> int:
        granted, state, etag = counted
        await world.stores.permits.save_allowance(str(source), state.to_json(), etag)
        return granted

    read = partial(world.stores.permits.allowance, str(source))
    lost = Unavailable(retry_after_s=5.0, what=f"the allowance of {source}: too many lost updates")
    return await update(read, count, save, tries=MAX_TRIES, lost=lost) or 0
