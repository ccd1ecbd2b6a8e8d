"""The first-contact check: start a run, continue open runs, compare each with earlier ones.

A request or the daily timer creates a run. A timer continues open runs every minute, so a run survives the end of
any process. A basic run gets a test user whom no worker processes meanwhile (`must_not_be_in_use`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.assignment import is_active
from shared.domain.errors import BadRequest, Conflict, NotFound, Unavailable, raise_all
from shared.domain.first_contact import (
    CREATED_WITHIN,
    KEPT,
    LINK_IS_OLD,
    RUN_DAILY_AFTER,
    TRIED_FOR,
    USERS_MAX_AGE_S,
    Level,
    Run,
    RunState,
    Subject,
    changes,
)
from shared.domain.first_contact_verdicts import findings
from shared.domain.ids import GroupId, UserId, is_guid, new_id
from shared.domain.initiator import Initiator
from shared.handlers.notes import note
from shared.handlers.operations.first_contact_probes import Pace, Prober, StoppedError
from shared.handlers.operations.first_contact_writes import Writer
from shared.handlers.operations.needs import Needs
from shared.handlers.reconcile.plan import protection_of
from shared.handlers.reconcile.write_limiter import writing

PACE = Pace()
COMPARED = 30
"""Earlier runs that a run is compared with."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BasicObjects:
    """IDs of the test user, the test group and the product of a basic run; empty for a read-only run."""

    user_id: str = ""
    group_id: str = ""
    sku_id: str = ""


NO_OBJECTS = BasicObjects()


async def start(world: Needs, level: Level, objects: BasicObjects, initiator: Initiator) -> Run:
    """Create a run. Raises BadRequest for test objects that do not fit, Conflict while another run is open."""
    await _check(world, level, objects, initiator)
    if await world.stores.first_contact.open():
        raise Conflict("A first-contact run is open. Wait until it has ended.")
    run = await _new_run(world, level, objects)
    user_id = UserId(objects.user_id) if level is Level.BASIC else None
    await note(world, "Start first-contact check", initiator, user_id=user_id, detail=f"level {level}")
    await world.stores.first_contact.create(run)
    return run


async def start_daily(world: Needs) -> Run | None:
    """Create the read-only run of the day, and delete old runs. None: another run is recent or open."""
    now, store = world.clock.now(), world.stores.first_contact
    await store.delete_before(new_id(now - KEPT, "0" * 20))
    newest = await store.newest(1)
    if await store.open() or (newest and now - newest[0].created_at < RUN_DAILY_AFTER):
        return None
    run = await _new_run(world, Level.READ_ONLY, NO_OBJECTS)
    await store.create(run)
    return run


async def _new_run(world: Needs, level: Level, objects: BasicObjects) -> Run:
    now = world.clock.now()
    managed = (each.group_id for each in await world.stores.assignments.all() if is_active(each))
    earlier = await world.stores.first_contact.newest(1)
    subject = Subject(
        group_id=next(managed, ""),
        test_user_id=objects.user_id,
        test_group_id=objects.group_id,
        test_sku_id=objects.sku_id,
        links=links_of(earlier, now),
    )
    return Run(new_id(now, world.token()), level, RunState.QUEUED, now, subject=subject)


def links_of(earlier: Sequence[Run], now: datetime) -> dict[str, str]:
    """The delta link of an earlier run, which is tried again once it is old. A rejected one has served its purpose."""
    if not earlier:
        return {}
    run = earlier[0]
    kept, kept_at = run.subject.links.get("kept"), run.subject.links.get("keptAt")
    tried = run.observations.get("oldLink")
    if not kept or not kept_at or (tried is not None and not tried.ok):
        return {}
    links = {"kept": kept, "keptAt": kept_at}
    return {**links, "oldLink": kept} if now - datetime.fromisoformat(kept_at) >= LINK_IS_OLD else links


async def _check(world: Needs, level: Level, objects: BasicObjects, initiator: Initiator) -> None:
    given = {"testUserId": objects.user_id, "testGroupId": objects.group_id, "testSkuId": objects.sku_id}
    if level is Level.READ_ONLY:
        raise_all([_fault(name, "belongs to the level basic only") for name, value in given.items() if value])
        return
    raise_all([_fault(name, "must be a GUID") for name, value in given.items() if not is_guid(value)])
    if not (await writing(world)).is_on:
        raise BadRequest("WritingIsOff", "A basic run writes to Graph. Turn writing on first.", "level")
    user_id = UserId(objects.user_id)
    rows = await world.stores.ledger.rows([user_id])
    grants = await world.stores.grants.of_users([user_id])
    protection = await protection_of(world)
    faults = []
    if user_id == initiator.id.lower():
        faults.append(_fault("testUserId", "names your own account. Use a new test user"))
    if not protection.is_known:
        faults.append(_fault("testUserId", "cannot be checked: the protected people have not been read yet"))
    if protection.protects(user_id, world.clock.now()):
        faults.append(_fault("testUserId", "names a protected person. Use a new test user"))
    if any(row.version is not None for row in rows.values()) or any(grants.values()):
        faults.append(_fault("testUserId", "names a user whom this app has processed. Use a new test user"))
    if await world.stores.assignments.get(GroupId(objects.group_id)) is not None:
        faults.append(_fault("testGroupId", "names a group that this app manages. Use a new test group"))
    raise_all(faults)


def _fault(name: str, what: str) -> BadRequest:
    return BadRequest("InvalidTestObject", f"{name} {what}.", name)


async def continue_runs(world: Needs, pace: Pace = PACE) -> None:
    """Continue each open run that no other process holds."""
    for run_id in await world.stores.first_contact.open():
        await _continue(world, run_id, pace)


async def _continue(world: Needs, run_id: str, pace: Pace) -> None:
    now, store = world.clock.now(), world.stores.first_contact
    try:
        run, version = await store.load(run_id)
    except NotFound:
        if new_id(now - CREATED_WITHIN, "0" * 20) > run_id:
            await store.close(run_id)
        return
    if not run.state.is_open:
        await store.close(run_id)
        return
    if run.lease_until is not None and run.lease_until > now:
        return
    prober = Prober(world, run, version, pace)
    try:
        await prober.save(replace(run, state=RunState.RUNNING))
        await _work(prober)
    except Conflict:
        log.info("first-contact run continued by another process run=%s", run_id)
    except Unavailable as fault:
        await _postpone(prober, fault)


async def _work(prober: Prober) -> None:
    try:
        await prober.read_only()
        if prober.run.level is Level.BASIC:
            await Writer(prober).basic()
    except StoppedError as stopped:
        await _end(prober, RunState.FAILED, str(stopped))
        return
    await _end(prober, RunState.COMPLETED)


async def _end(prober: Prober, state: RunState, fault: str = "") -> None:
    run = prober.run
    found = findings(run.observations, run.level)
    newest = await prober.world.stores.first_contact.newest(COMPARED)
    earlier = [each for each in newest if each.id != run.id and each.state is RunState.COMPLETED]
    now = prober.world.clock.now()
    changed = changes(earlier, found) if state is RunState.COMPLETED else ()
    await prober.save(
        replace(
            run,
            state=state,
            fault=fault,
            subject=run.subject.without_people() if state is RunState.COMPLETED else run.subject,
            completed_at=now,
            findings=found,
            compared_with=earlier[0].id if earlier else "",
            changes=changed,
        )
    )
    log.info("first-contact run ended run=%s state=%s requests=%d writes=%d", run.id, state, run.requests, run.writes)


async def _postpone(prober: Prober, fault: Unavailable) -> None:
    """Another process continues in a minute, for a day. Then the run fails, and its fault says what to restore."""
    run, now = prober.run, prober.world.clock.now()
    try:
        if now - run.created_at < TRIED_FOR:
            await prober.save(replace(run, lease_until=None, fault=str(fault)))
            return
        hint = " Check the test user and the test group, and restore them by hand." if run.dirty else ""
        await _end(prober, RunState.FAILED, f"{fault}.{hint}")
    except (Conflict, Unavailable) as second:
        log.warning("first-contact run not saved run=%s reason=%s", run.id, second)


async def must_not_be_in_use(world: Needs, user_ids: Iterable[UserId]) -> None:
    """Raises Unavailable if one of the users is the test user of an open basic run: the message returns later."""
    used = await world.stores.first_contact.users_in_use(USERS_MAX_AGE_S) & set(user_ids)
    if used:
        raise Unavailable(60.0, f"a first-contact run uses {len(used)} of the users")
