"""Two looks at one user at the same time: whoever knows less must not have the last word."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.budget import BudgetState, used
from shared.domain.change_messages import GroupsChanged
from shared.domain.errors import Unavailable
from shared.domain.ids import UserId
from shared.domain.ledger_row import LedgerRow
from shared.domain.member_status import MemberState
from shared.domain.membership_changes import GroupChange
from shared.domain.messages import NOTIFICATIONS, ProcessUsers
from shared.handlers.operations.members_queue import Members
from shared.handlers.reconcile.write_limiter import limits_of
from shared.ports.messaging import Outgoing
from shared.ports.stores import LedgerWrite
from shared.ports.world import World
from tests.support.runs import SMALL, TEAM, Run, user


class Interrupted:
    """A ledger before whose first write of an intent something else happens."""

    def __init__(self, world: World, happens: Callable[[], Awaitable[None]]) -> None:
        self._ledger = world.stores.ledger
        self._happens: Callable[[], Awaitable[None]] | None = happens

    async def write(self, rows: Sequence[LedgerRow]) -> Mapping[UserId, LedgerWrite]:
        happens = self._happens
        if happens is not None and any(row.intent for row in rows):
            self._happens = None
            await happens()
        return await self._ledger.write(rows)

    async def rows(self, user_ids: Sequence[UserId]) -> Mapping[UserId, LedgerRow]:
        return await self._ledger.rows(user_ids)

    def partition(self, partition: str) -> object:
        return self._ledger.partition(partition)


async def managed() -> Run:
    run = Run()
    run.people(2)
    await run.change([SMALL])
    return run


def change(person: UserId, came: bool) -> GroupChange:
    return GroupChange(TEAM, {person: came})


async def test_who_leaves_between_another_looks_read_and_its_write_is_not_licensed() -> None:
    run = await managed()
    person = run.directory.add_user(user(50), groups=[TEAM])

    async def leaves_and_is_reconciled() -> None:
        run.directory.leave(TEAM, person)
        said = ProcessUsers(
            (person,), "left", bulk=False, expects={person: {TEAM: False}}, changed_at=run.world.clock.now()
        )
        await run.workers[1].process(said.encode())

    stores = replace(run.world.stores, ledger=Interrupted(run.world, leaves_and_is_reconciled))  # type: ignore[arg-type]
    slow = Members(replace(run.world, stores=stores))
    await slow.process(ProcessUsers((person,), "joined", bulk=False).encode())
    await run.work_off()
    assert run.licenses(person) == set()
    assert run.writes_of(person) == 0


async def test_an_event_is_not_waited_for_when_a_newer_one_said_otherwise() -> None:
    run = await managed()
    person = run.directory.add_user(user(50))
    began = run.world.clock.now()
    for came in (True, False):
        message = GroupsChanged((change(person, came),), run.world.clock.now())
        await run.world.queue.send([Outgoing(NOTIFICATIONS, message.encode())])
        run.later(seconds=1)
    await run.work_off()
    assert run.world.clock.now() - began < timedelta(minutes=2)
    assert [each.state for each in await run.world.stores.members.of_user(person, [TEAM])] in (
        [],
        [MemberState.REMOVED],
    )


async def test_of_events_that_come_in_the_wrong_order_the_directory_decides() -> None:
    run = await managed()
    person = run.directory.add_user(user(50), groups=[TEAM])
    now = run.world.clock.now()
    for came, at in ((True, now + timedelta(seconds=5)), (False, now)):
        await run.world.queue.send([Outgoing(NOTIFICATIONS, GroupsChanged((change(person, came),), at).encode())])
    await run.work_off()
    assert run.licenses(person) == {"SMALL"}


async def test_a_look_that_meets_another_ones_write_comes_back_in_seconds() -> None:
    run = await managed()
    person = run.directory.add_user(user(50), groups=[TEAM])

    async def is_reconciled_by_another() -> None:
        await run.workers[1].process(ProcessUsers((person,), "other", bulk=False).encode())

    class Midway(Interrupted):
        async def write(self, rows: Sequence[LedgerRow]) -> Mapping[UserId, LedgerWrite]:
            written = await self._ledger.write(rows)
            happens, self._happens = self._happens, None
            if happens is not None:
                await happens()
            return written

    stores = replace(run.world.stores, ledger=Midway(run.world, is_reconciled_by_another))  # type: ignore[arg-type]
    began = run.world.clock.now()
    await Members(replace(run.world, stores=stores)).process(ProcessUsers((person,), "one", bulk=False).encode())
    await run.work_off()
    assert run.licenses(person) == {"SMALL"}
    assert run.writes_of(person) == 1
    assert run.world.clock.now() - began < timedelta(seconds=20)


@pytest.mark.parametrize("can_be_kept", [True, False])
async def test_who_loses_the_race_for_a_user_leaves_the_quota_to_others(*, can_be_kept: bool) -> None:
    run = await managed()
    person, other = (run.directory.add_user(user(number), groups=[TEAM]) for number in (50, 51))
    loads = run.world.stores.budget

    class Budget:
        """Saved until the race is lost."""

        async def load(self) -> tuple[str, str | None]:
            return await loads.load()

        async def save(self, state: str, etag: str | None) -> str:
            if run.writes_of(person) and not can_be_kept:
                raise Unavailable(None, "tables")
            return await loads.save(state, etag)

    async def is_reconciled_by_another() -> None:
        await run.workers[1].process(ProcessUsers((person,), "other", bulk=False).encode())

    ledger: Any = Interrupted(run.world, is_reconciled_by_another)
    budget: Any = Budget()
    slow = Members(replace(run.world, stores=replace(run.world.stores, ledger=ledger, budget=budget)))
    await slow.process(ProcessUsers((person, other), "one", bulk=False).encode())
    assert run.licenses(other) == {"SMALL"}, "the race for one user does not stop the other"
    state, _ = await loads.load()
    charged = used(BudgetState.from_json(state), limits_of(run.world.policy), run.world.clock.now().timestamp())
    assert charged == len(run.writer.log) + (not can_be_kept)


async def test_the_same_message_delivered_twice_at_once_loses_no_managed_license() -> None:
    """The second delivery must not judge the first one's call undone while it is on its way."""
    run = await managed()
    person = run.directory.add_user(user(50), groups=[TEAM])
    message = ProcessUsers((person,), "one", bulk=False).encode()

    class Midway(Interrupted):
        async def write(self, rows: Sequence[LedgerRow]) -> Mapping[UserId, LedgerWrite]:
            written = await self._ledger.write(rows)
            happens, self._happens = self._happens, None
            if happens is not None:
                await happens()
            return written

    async def delivered_again() -> None:
        await run.workers[1].process(message)

    stores = replace(run.world.stores, ledger=Midway(run.world, delivered_again))  # type: ignore[arg-type]
    await Members(replace(run.world, stores=stores)).process(message)
    run.directory.leave(TEAM, person)
    await run.work_off()
    await run.reconcile(person)
    assert run.licenses(person) == set()
