"""The product with exactly the permissions that the script grants: for each feature, and before a new grant has effect.

A grant has effect in tokens issued after it, and a managed identity's token is cached for about a day
(Azure/azure-sdk-for-net issue 27019, MicrosoftDocs/azure-docs issue 101801).
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial

import pytest

from local.tenant.switches import settings_at
from shared.domain.errors import PermissionDenied
from shared.domain.ids import UserId
from shared.domain.member_status import MemberState
from shared.domain.operation import Operation, OperationState
from tests.support.granted import features, granted
from tests.support.switch_history import ANNA, CARA, E3, EMS, OBJECTS, TEAM, SwitchHistory
from tests.support.tenant_run import SCOPE, ManagedIdentity, TenantRun, tenant_run

SETS: list[tuple[str, ...]] = [(), *((each,) for each in features()), features()]
ALL = granted(*features())


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


@pytest.mark.parametrize("chosen", SETS, ids=lambda chosen: "+".join(("always", *chosen)))
async def test_the_product_is_right_with_the_permissions_of_each_feature(chosen: Sequence[str]) -> None:
    """Without `usage-location`, a user without a location ends in error, and the error names the permission."""
    async with tenant_run(settings_at({}), permissions=granted(*chosen)) as run:
        run.most_messages = 10_000  # two days of retries, in which a person can grant the permission
        history = SwitchHistory(run, may_set_locations="usage-location" in chosen)
        assert await history.play() == []
        assert has(run, CARA) >= {E3, EMS} if history.may_set_locations else has(run, CARA) == set()


LACKING = {
    "licenses": (frozenset({"LicenseAssignment.ReadWrite.All", "User.ReadWrite.All"}), ANNA),
    "locations": (frozenset({"User.ReadWrite.All"}), CARA),
    "users": (frozenset({"User.Read.All", "User.ReadWrite.All"}), ANNA),
}
"""Permissions that the first token lacks, and a member who then has to wait."""


@pytest.mark.parametrize("lacking", LACKING)
async def test_work_waits_a_day_for_a_grant_and_continues(lacking: str) -> None:
    permissions, person = LACKING[lacking]
    async with waiting(ALL - permissions) as run:
        operation = await SwitchHistory(run).begin(TEAM, E3, EMS)
        await pass_time(run, 1)
        run.state.clients["product"].graph = ALL
        for _ in range(22):
            await pass_time(run, 1)
            assert has(run, person) == set()
            assert await failed(run, operation) == []
        await pass_time(run, 3)
        assert has(run, person) == {E3, EMS}
        assert await failed(run, operation) == []
        assert (await run.read(operation)).state is OperationState.COMPLETE


async def test_work_that_waits_for_a_grant_that_nobody_makes_ends_in_error() -> None:
    """Two days: one for a person to grant, one for the token. Also shows that `failed` sees errors."""
    async with waiting(ALL - LACKING["locations"][0]) as run:
        operation = await SwitchHistory(run).begin(TEAM, E3, EMS)
        await pass_time(run, 47)
        assert await failed(run, operation) == []
        await pass_time(run, 3)
        assert await failed(run, operation) == ["Permission"]


@pytest.mark.parametrize("lacking", ["Group.Read.All", "LicenseAssignment.Read.All"])
async def test_without_a_read_permission_requests_are_rejected_until_the_next_token(lacking: str) -> None:
    """The same request is accepted a day later, and nothing is left of the rejected one."""
    others = {"Group.Read.All": {"GroupMember.ReadWrite.All"}}.get(lacking, set())
    async with waiting(ALL - {lacking} - others) as run:
        history = SwitchHistory(run)
        with pytest.raises(PermissionDenied):
            await history.begin(TEAM, E3, EMS)
        run.state.clients["product"].graph = ALL
        run.later(hours=23)
        with pytest.raises(PermissionDenied):
            await history.begin(TEAM, E3, EMS)
        run.later(hours=1)
        operation = await history.begin(TEAM, E3, EMS)
        await pass_time(run, 1)
        assert has(run, ANNA) == {E3, EMS}
        assert await failed(run, operation) == []


async def test_a_new_grant_counts_in_the_next_token_and_a_restart_does_not_renew_it() -> None:
    async with waiting(granted()) as run:
        first = await token_after_restart(run)
        run.state.clients["product"].graph = ALL
        run.later(hours=23)
        assert await token_after_restart(run) == first
        assert run.state.granted(run.state.issuer.check(f"Bearer {first}")) == granted()
        run.later(minutes=56)
        second = await token_after_restart(run)
        assert second != first
        assert run.state.granted(run.state.issuer.check(f"Bearer {second}")) == ALL


@asynccontextmanager
async def waiting(permissions: frozenset[str]) -> AsyncIterator[TenantRun]:
    """A tenant whose product has these permissions, and a group whose members lack E3."""
    async with tenant_run(settings_at({}), permissions=permissions) as run:
        await run.control("POST", "objects", OBJECTS)
        yield run


async def pass_time(run: TenantRun, hours: float) -> None:
    """Messages are delivered when they are due, and the timers run every 15 minutes."""
    end = run.world.clock.now() + timedelta(hours=hours)
    while (now := run.world.clock.now()) < end:
        tick = now + timedelta(minutes=15)
        await run.timers_once()
        await run.work_off(until=partial(is_due_after, run, tick))
        if run.world.clock.now() < tick:
            run.fakes.clock.move(tick - run.world.clock.now())


def is_due_after(run: TenantRun, tick: datetime) -> bool:
    """Whether no message is due before this time."""
    now = run.world.clock.now()
    return all((each.at or now) >= tick for each in run.fakes.queue.messages)


async def token_after_restart(run: TenantRun) -> str:
    """The token that a process without a cached one gets."""
    return (await ManagedIdentity(run.tenant).get_token(SCOPE)).token


async def failed(run: TenantRun, operation: Operation) -> list[str]:
    """Errors of members and of the operation, and dead letters."""
    found = []
    for person in (ANNA, CARA):
        for row in await run.world.stores.members.of_user(person, (TEAM,)):
            found += [each.error.value for each in row.problems if row.state is MemberState.ERROR]
    if (await run.read(operation)).state is OperationState.FAILED:
        found.append("the operation failed")
    return found + [f"dead letter {each.reason}" for each in (await run.world.stores.dead_letters.page(10))[0]]


def has(run: TenantRun, person: UserId) -> set[str]:
    """Products that the user has directly."""
    return {row.sku_id for row in run.state.directory.users[person].rows if row.group is None}
