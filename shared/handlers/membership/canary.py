"""The canary group: change its membership once a day, and note when Graph reports a change of it.

The change needs CANARY_MEMBER and the permission GroupMember.ReadWrite.All. Without them, a person changes the
membership, and what arrives is noted alike.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime

from shared.domain.assignment import is_active, is_watched
from shared.domain.canary import Canary
from shared.domain.graph_permissions import MEMBERSHIP_ROLE
from shared.domain.ids import GroupId, UserId
from shared.domain.initiator import SYSTEM
from shared.domain.read_models import AuditEntry
from shared.domain.write_results import Accepted, WriteResult
from shared.handlers.membership.needs import Needs
from shared.handlers.reconcile.write_limiter import Pacer
from shared.ports.graph_writes import AlreadySo, MembershipChange

BUSY = "The write quota is used. The next night tries again."

log = logging.getLogger(__name__)


async def change_canary(world: Needs) -> bool:
    """The nightly timer: add the canary's member to its group, or remove it. Returns whether the membership changed.
    A failure is kept for Health."""
    group_id, member = world.policy.canary_group, world.policy.canary_member
    if group_id is None or member is None:
        return False
    fault = await _why_not(world, group_id)
    if fault:
        return await _failed(world, fault)
    known = (await world.stores.health.load()).canary
    # A person can have changed the membership meanwhile: then the other change is made.
    for add in (not known.is_member, known.is_member):
        began = world.clock.now()
        answer = await _change(world, group_id, member, add=add)
        if answer is None:
            return await _failed(world, BUSY)
        if isinstance(answer, Accepted):
            await _changed(world, group_id, member, began, add=add)
            return True
        if not isinstance(answer, AlreadySo):
            return await _failed(world, f"Graph did not change the membership: {answer}")
    return False


async def note_canary(world: Needs, group_ids: Iterable[GroupId], *, in_delta: bool) -> None:
    """Note that Graph reported a change of the canary group, if it is among these. Raises Unavailable, Conflict."""
    if world.policy.canary_group is None or world.policy.canary_group not in set(group_ids):
        return
    now = world.clock.now()
    if in_delta:
        await _note(world, lambda canary: replace(canary, in_delta_at=now))
    else:
        await _note(world, lambda canary: replace(canary, notified_at=now))


async def _note(world: Needs, change: Callable[[Canary], Canary]) -> None:
    await world.stores.health.change(lambda record: replace(record, canary=change(record.canary)))


async def _failed(world: Needs, fault: str) -> bool:
    log.warning("canary not changed group=%s reason=%r", world.policy.canary_group, fault)
    await _note(world, lambda canary: canary.failed(fault))
    return False


async def _why_not(world: Needs, group_id: GroupId) -> str:
    roles = world.graph_roles()
    if roles is not None and MEMBERSHIP_ROLE not in roles:
        return f"The token lacks {MEMBERSHIP_ROLE} (--with onboarding), so a person must change the membership."
    licensed = [each for each in await world.stores.assignments.all() if is_active(each) or is_watched(each)]
    if group_id in {each.group_id for each in licensed}:
        return "The canary group assigns licenses. Choose a group without licenses."
    return ""


async def _change(world: Needs, group_id: GroupId, member: UserId, *, add: bool) -> WriteResult | AlreadySo | None:
    """Graph's answer; None if the write quota has no room now."""
    pacer = Pacer(world)
    slot = await pacer.charge(urgent=True, writes=1)
    if not slot.charged:
        return None
    await world.clock.sleep(max(0.0, slot.start - world.clock.now().timestamp()))
    answers = await world.memberships.change([MembershipChange(group_id, member, add)])
    await pacer.heed_throttling(answers)
    return answers[0]


async def _changed(world: Needs, group_id: GroupId, member: UserId, began: datetime, *, add: bool) -> None:
    await _note(world, lambda canary: canary.changed(began, is_member=add))
    activity = "Add member to group" if add else "Remove member from group"
    entry = AuditEntry(world.token(), world.clock.now(), activity, SYSTEM, "success", member, group_id, detail="canary")
    await world.stores.audit.append([entry])
