"""Waiting approvals: the requester, the protected people, the possible approvers, and the result without a decision."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.approval_rules import Request, approvals_needed, denial, needs_another, request_of, ruling
from shared.domain.concurrency import together
from shared.domain.ids import GroupId, OperationId, SkuId, UserId
from shared.domain.initiator import Initiator
from shared.domain.move import Move
from shared.domain.open_items import WAITING_MOVES
from shared.domain.operation import Operation, is_collecting
from shared.domain.pending_removal import GROUP_GONE, TENANT, held_scope
from shared.handlers.operations.own_requests import decided_alone
from shared.handlers.operations.requesters import requesters
from shared.handlers.reconcile.plan import protection_of
from shared.handlers.views import queries
from shared.handlers.views.needs import Needs


@dataclass(frozen=True, slots=True)
class WaitingApproval:
    """An operation that waits for a person. `protected`: protected people that would lose licenses, with the reasons.
    `needed`: approvals in all. `another`: the requester cannot approve it. `expires_at`: then it counts as rejected.
    """

    operation: Operation
    protected: Mapping[UserId, tuple[str, ...]]
    needed: int
    another: bool
    expires_at: datetime
    kept_until: datetime
    """Without a decision, the licenses are kept until this time, and the approval is requested again then."""
    held: Mapping[UserId, tuple[SkuId, ...]]
    """Before the review: the licenses that are held so far, by user."""
    behind: frozenset[str] = frozenset()
    """People whose requests have brought about what the app asks an approval for."""

    @property
    def collecting(self) -> bool:
        """Whether there is no snapshot yet: a person opens it first."""
        return is_collecting(self.operation)

    @property
    def people(self) -> int:
        """How many people would lose a license; before the review, those so far."""
        return len(self.held) if self.collecting else self.operation.plan.users_losing

    @property
    def skus(self) -> tuple[SkuId, ...]:
        """The products that would be removed; before the review, those so far."""
        found = {sku_id for skus in self.held.values() for sku_id in skus}
        return tuple(sorted(found if self.collecting else self.operation.plan.removals))

    @property
    def group_is_deleted(self) -> bool:
        return self.operation.reason == GROUP_GONE

    @property
    def left(self) -> int:
        return self.needed - len(self.operation.approvals)


async def waiting_approvals(world: Needs) -> tuple[WaitingApproval, ...]:
    """All of them, oldest first."""
    return tuple(await together(described(world, each) for each in await queries.approvals(world)))


async def described(world: Needs, operation: Operation) -> WaitingApproval:
    """One operation that waits for approval."""
    now, protection = world.clock.now(), await protection_of(world)
    people, held = operation.plan.protected, dict[UserId, tuple[SkuId, ...]]()
    if is_collecting(operation):
        held = await held_so_far(world, operation)
        people = tuple(user_id for user_id in held if protection.protects(user_id, now))
    behind = await requesters(world, operation)
    asked = await _request(world, operation, behind, protected=bool(people))
    lasts = timedelta(seconds=world.policy.approval_expires_s)
    expires_at = (operation.progress_at or operation.created_at) + lasts
    return WaitingApproval(
        operation,
        {each: protection.reasons(each, now) for each in people},
        approvals_needed(asked),
        needs_another(asked, world.policy.approval_rules),
        expires_at,
        expires_at + lasts,
        held,
        behind,
    )


async def held_so_far(world: Needs, operation: Operation) -> dict[UserId, tuple[SkuId, ...]]:
    """The licenses that wait for an approval which no person has reviewed yet, by user."""
    found: dict[UserId, set[SkuId]] = defaultdict(set)
    for row in (await world.stores.removals.load(held_scope(operation.target.group_id))).rows:
        found[row.user_id].add(row.sku_id)
    return {user_id: tuple(sorted(found[user_id])) for user_id in sorted(found)}


async def approval_of(world: Needs, group_ids: Iterable[GroupId], *, by_tenant: bool) -> OperationId | None:
    """The open approval that decides about a held license which these groups assigned."""
    for group_id in () if by_tenant else sorted(group_ids):
        stored = await world.stores.assignments.get(group_id)
        if stored is not None and stored.assignment.open_approval is not None:
            return stored.assignment.open_approval
    return min((await world.stores.removals.state(TENANT)).state.approvals, default=None)


async def _request(
    world: Needs, operation: Operation, behind: Collection[str], person_id: str = "", *, protected: bool
) -> Request:
    asked = request_of(operation, behind, person_id)
    return replace(asked, protected=protected, before=await decided_alone(world, asked.requester_id))


async def why_not(world: Needs, waiting: WaitingApproval, person: Initiator) -> str:
    """Why a person cannot approve it now; empty: the rules of two people let this person approve it."""
    if not person.id:
        return ""
    asked = await _request(world, waiting.operation, waiting.behind, person.id, protected=bool(waiting.protected))
    found = ruling(person.id, asked, world.clock.now(), world.policy.approval_rules).approver
    return "" if found.may_approve else denial(found, asked)


async def moves_waiting(world: Needs) -> tuple[Move, ...]:
    """Moves that are paused or wait for the approval of their last step, the oldest first."""
    found = [each for each in await world.stores.moves.open() if each.state in WAITING_MOVES]
    return tuple(sorted(found, key=lambda each: (each.created_at, each.id)))
