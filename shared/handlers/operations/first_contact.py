"""The first-contact check: start a run, continue open runs, compare each with earlier ones.

A request or the daily timer creates a run. A timer continues open runs every minute, so a run survives the end of
any process. No worker processes the test users of an open run (`must_not_be_in_use`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
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
from shared.domain.first_contact_load import USERS
from shared.domain.first_contact_verdicts import findings
from shared.domain.ids import GroupId, UserId, is_guid, new_id
from shared.domain.initiator import Initiator
from shared.handlers.notes import note
from shared.handlers.operations.first_contact_load import Loader
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
class RunObjects:
    """IDs of the test objects: the product of a run that writes, the user and the group of a basic run, and the users
    of a load run."""

    user_id: str = ""
    group_id: str = ""
    sku_id: str = ""
    user_ids: tuple[str, ...] = ()


NO_OBJECTS = RunObjects()


async def start(world: Needs, level: Level, objects: RunObjects, initiator: Initiator) -> Run:
    """Create a run. Raises BadRequest for test objects that do not fit, Conflict while another run is open."""
    await _check(world, level, objects, initiator)
    if await world.stores.first_contact.open():
        raise Conflict("A first-contact run is open. Wait until it has ended.")
    run = await _new_run(world, level, objects)
    user_id = UserId(objects.user_id) if level is Level.BASIC else None
    users = f" users {', '.join(objects.user_ids)}" if level is Level.LOAD else ""
    await note(world, "Start first-contact check", initiator, user_id=user_id, detail=f"level {level}{users}")
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


async def _new_run(world: Needs, level: Level, objects: RunObjects) -> Run:
    now = world.clock.now()
    managed = (each.group_id for each in await world.stores.assignments.all() if is_active(each))
    earlier = await world.stores.first_contact.newest(1)
    subject = Subject(
        group_id=next(managed, ""),
        test_user_id=objects.user_id,
        test_group_id=objects.group_id,
        test_sku_id=objects.sku_id,
        test_user_ids=objects.user_ids,
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


async def _check(world: Needs, level: Level, objects: RunObjects, initiator: Initiator) -> None:
    raise_all(_wrong_objects(level, objects))
    if level is Level.READ_ONLY:
        return
    if not (await writing(world)).is_on:
        raise BadRequest("WritingIsOff", f"A {level} run writes to Graph. Turn writing on first.", "level")
    name = "testUserId" if level is Level.BASIC else "testUserIds"
    user_ids = [UserId(each) for each in (objects.user_id, *objects.user_ids) if each]
    rows = await world.stores.ledger.rows(user_ids)
    grants = await world.stores.grants.of_users(user_ids)
    protection = await protection_of(world)
    faults = []
    if initiator.id.lower() in user_ids:
        faults.append(_fault(name, "names your own account. Use new test users"))
    if not protection.is_known:
        faults.append(_fault(name, "cannot be checked: the protected people have not been read yet"))
    if any(protection.protects(each, world.clock.now()) for each in user_ids):
        faults.append(_fault(name, "names a protected person. Use new test users"))
    if any(row.version is not None for row in rows.values()) or any(grants.values()):
        faults.append(_fault(name, "names a user whom this app has processed. Use new test users"))
    if objects.group_id and await world.stores.assignments.get(GroupId(objects.group_id)) is not None:
        faults.append(_fault("testGroupId", "names a group that this app manages. Use a new test group"))
    raise_all(faults)


NEEDED: Mapping[Level, frozenset[str]] = {
    Level.READ_ONLY: frozenset(),
    Level.BASIC: frozenset({"testUserId", "testGroupId", "testSkuId"}),
    Level.LOAD: frozenset({"testSkuId"}),
}
"""Single test objects of each level."""


def _wrong_objects(level: Level, objects: RunObjects) -> list[BadRequest]:
    given = {"testUserId": objects.user_id, "testGroupId": objects.group_id, "testSkuId": objects.sku_id}
    needed = NEEDED[level]
    faults = [
        _fault(name, f"does not belong to the level {level}")
        for name, value in given.items()
        if value and name not in needed
    ]
    faults += [_fault(name, "must be a GUID") for name, value in given.items() if name in needed and not is_guid(value)]
    wanted, users = (USERS if level is Level.LOAD else 0), objects.user_ids
    if len(users) != wanted or len({each.lower() for each in users}) != wanted or not all(map(is_guid, users)):
        what = f"must be {USERS} different GUIDs" if wanted else f"does not belong to the level {level}"
        faults.append(_fault("testUserIds", what))
    return faults


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
        await prober.save(replace(run, state=RunState.RUNNING, fault=""))
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
        if prober.run.level is Level.LOAD:
            await Loader(prober).load()
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
            await prober.save(replace(run, fault=str(fault)), hold=False)
            return
        hint = " Check the test objects, and restore them by hand." if run.dirty else ""
        await _end(prober, RunState.FAILED, f"{fault}.{hint}")
    except (Conflict, Unavailable) as second:
        log.warning("first-contact run not saved run=%s reason=%s", run.id, second)


async def must_not_be_in_use(world: Needs, user_ids: Iterable[UserId]) -> None:
    """Raises Unavailable if one of the users is a test user of an open run: the message returns later."""
    used = await world.stores.first_contact.users_in_use(USERS_MAX_AGE_S) & set(user_ids)
    if used:
        raise Unavailable(60.0, f"a first-contact run uses {len(used)} of the users")
