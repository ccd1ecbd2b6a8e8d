"""Waiting approvals: the requester, the protected people, the possible approvers, and the result without a decision."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.approval_rules import Request, approvals_needed, denial, needs_another, request_of, ruling
from shared.domain.ids import UserId
from shared.domain.initiator import Initiator
from shared.domain.operation import Operation, is_collecting, is_for_tenant
from shared.domain.pending_removal import HELD_BY_TENANT
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
    behind: frozenset[str] = frozenset()
    """People whose requests have brought about what the app asks an approval for."""

    @property
    def collecting(self) -> bool:
        """Whether the list is not sealed yet: a person opens it first."""
        return is_collecting(self.operation)

    @property
    def left(self) -> int:
        return self.needed - len(self.operation.approvals)


async def waiting_approvals(world: Needs) -> tuple[WaitingApproval, ...]:
    """All of them, oldest first."""
    return tuple([await described(world, each) for each in await queries.approvals(world)])


async def described(world: Needs, operation: Operation) -> WaitingApproval:
    """One operation that waits for approval."""
    now, protection = world.clock.now(), await protection_of(world)
    people = operation.plan.protected
    if is_collecting(operation) and is_for_tenant(operation):
        rows = (await world.stores.removals.load(HELD_BY_TENANT)).rows
        people = tuple(sorted({row.user_id for row in rows if protection.protects(row.user_id, now)}))
    behind = await requesters(world, operation)
    asked = _request(operation, behind, protected=bool(people))
    lasts = timedelta(seconds=world.policy.approval_expires_s)
    expires_at = (operation.progress_at or operation.created_at) + lasts
    return WaitingApproval(
        operation,
        {each: protection.reasons(each, now) for each in people},
        approvals_needed(asked),
        needs_another(asked, world.policy.approval_rules),
        expires_at,
        expires_at + lasts,
        behind,
    )


def _request(operation: Operation, behind: Collection[str], person_id: str = "", *, protected: bool) -> Request:
    asked = request_of(operation, behind, person_id)
    return Request(asked.requester_id, asked.requested_at, asked.people, protected, asked.given)


def why_not(world: Needs, waiting: WaitingApproval, person: Initiator) -> str:
    """Why a person cannot approve it now; empty: the rules of two people let this person approve it."""
    asked = _request(waiting.operation, waiting.behind, person.id, protected=bool(waiting.protected))
    if not person.id:
        return ""
    found = ruling(person.id, asked, world.clock.now(), world.policy.approval_rules).approver
    return "" if found.may_approve else denial(found, asked)
