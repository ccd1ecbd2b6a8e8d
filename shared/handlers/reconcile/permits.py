"""Leave to remove: existing permits first, then the removal allowance of the group the license came from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial

from shared.domain.allowance import AllowanceState, limit, take
from shared.domain.assignment import GroupLicenseAssignment
from shared.domain.concurrency import update
from shared.domain.errors import NotFound, Unavailable
from shared.domain.grant import Source, SourceKind
from shared.domain.ids import GroupId
from shared.domain.permit import BY_ALLOWANCE, Permit
from shared.domain.plan_draft import PermitRequest
from shared.handlers.reconcile.needs import Needs

MAX_TRIES = 10


async def draw(
    world: Needs,
    requests: Sequence[PermitRequest],
    assignments: Mapping[GroupId, GroupLicenseAssignment],
) -> tuple[Permit, ...]:
    """Permits for as many of the requests as the allowances of their sources leave, written before they are returned.

    None while a person decides about removals of the group, and none for a group that vanished.
    """
    by_source: dict[Source, list[PermitRequest]] = defaultdict(list)
    for request in sorted(requests, key=lambda r: (r.user_id, r.sku_id)):
        by_source[request.source].append(request)
    given: list[Permit] = []
    for source, wanted in by_source.items():
        maximum = await allowance_limit(world, source, assignments)
        granted = await take_up_to(world, source, len(wanted), maximum)
        now = world.clock.now()
        given.extend(Permit(r.user_id, r.sku_id, source, now, BY_ALLOWANCE, r.plans) for r in wanted[:granted])
    if given:
        await world.stores.permits.put(given)
    return tuple(given)


async def allowance_limit(
    world: Needs,
    source: Source,
    assignments: Mapping[GroupId, GroupLicenseAssignment],
    size: int | None = None,
) -> int:
    """The removal allowance of a source for 24 hours. `size`: members just read; none where there were some: 0."""
    minimum, percent = world.policy.removal_allowance_minimum, world.policy.removal_allowance_percent
    if source.kind is not SourceKind.GROUP:
        return limit(0, minimum, percent)
    group_id = GroupId(source.id)
    assignment = assignments.get(group_id)
    if assignment is not None and assignment.open_approval is not None:
        return 0
    try:
        await world.directory.group(group_id)
    except NotFound:
        return 0
    status = await world.stores.group_status.get(group_id)
    recorded = status.members if status else 0
    if size == 0 and recorded > 0:
        return 0
    return limit(recorded or size or 0, minimum, percent)


async def take_up_to(world: Needs, source: Source, wanted: int, maximum: int, *, whole: bool = False) -> int:
    """Count removals against the allowance of a source; returns how many it leaves. `whole`: all of them or none."""

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
    lost = Unavailable(retry_after_s=5.0, what=f"the removal allowance of {source}: too many lost updates")
    return await update(read, count, save, tries=MAX_TRIES, lost=lost) or 0
