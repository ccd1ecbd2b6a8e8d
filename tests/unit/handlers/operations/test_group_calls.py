"""One call for the licenses of a group: alone on the group, paced, and without a guess about its result."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.domain.directory import AssignedLicense
from shared.domain.ids import GroupId
from shared.domain.write_results import (
    Accepted,
    Contended,
    LicenseCall,
    Rejected,
    Throttled,
    Unanswered,
    Unsent,
    WriteResult,
)
from shared.domain.writing import Switch
from shared.handlers.operations.group_calls import call_group
from shared.handlers.reconcile.write_limiter import Pacer
from tests.support.fakes_native import FakeNativeLicensing
from tests.support.narrow import leases, narrow
from tests.support.runs import LARGE as SUITE
from tests.support.runs import SMALL
from tests.support.watching import OTHER, TEAM, a_world
from tests.support.worlds import Fakes

CALL = LicenseCall((AssignedLicense(SUITE.sku_id),), ())
DROP = LicenseCall((), (SMALL.sku_id,))
DENIED = Rejected(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")


async def call(fakes: Fakes, holder: str = "one", group_id: GroupId = TEAM) -> WriteResult | datetime:
    return await call_group(fakes.world, group_id, DROP, holder, urgent=True)


async def test_a_call_changes_the_group_and_the_next_holder_can_call() -> None:
    fakes = a_world()
    assert await call(fakes) == Accepted()
    assert [each.sku_id for each in fakes.directory.groups[TEAM].native_skus] == [SUITE.sku_id]
    assert await call_group(fakes.world, TEAM, CALL, "two", urgent=False) == Accepted()


async def test_two_holders_never_call_for_one_group_at_the_same_time() -> None:
    fakes, inside = a_world(), list[int]()

    class Slow(FakeNativeLicensing):
        async def assign_group_licenses(self, *args: Any, **options: Any) -> WriteResult:
            inside.append(len(inside) + 1)
            for _ in range(20):
                await asyncio.sleep(0)
            assert inside == [1]
            return await FakeNativeLicensing.assign_group_licenses(self, *args, **options)

    native = Slow(fakes.directory)
    world = replace(fakes.world, native=native)
    calls = [call_group(world, TEAM, DROP, holder, urgent=True) for holder in ("one", "two")]
    answers = await asyncio.gather(*calls)
    assert [type(each) for each in answers] == [Accepted, datetime]
    assert len(native.group_calls) == 1


async def test_another_group_does_not_wait() -> None:
    fakes = a_world()
    fakes.native.group_answers = [Unanswered("lost"), Accepted()]
    assert isinstance(await call(fakes), Unanswered)
    assert await call_group(fakes.world, OTHER, CALL, "two", urgent=False) == Accepted()


async def test_an_unanswered_call_keeps_others_away_for_minutes_but_not_its_own_holder() -> None:
    fakes = a_world()
    fakes.native.group_answers = [Unanswered("lost")]
    assert isinstance(await call(fakes), Unanswered)
    again = await call_group(fakes.world, TEAM, CALL, "two", urgent=False)
    assert isinstance(again, datetime)
    assert again > fakes.clock.now() + timedelta(minutes=1)
    assert await call_group(fakes.world, TEAM, CALL, "one", urgent=False) == Accepted()
    assert await call_group(fakes.world, TEAM, CALL, "two", urgent=False) == Accepted()


@pytest.mark.parametrize("answer", [Throttled(40.0), Unsent(5.0), Contended("busy")])
async def test_what_graph_did_not_do_is_called_again_later(answer: WriteResult) -> None:
    fakes = a_world()
    fakes.native.group_answers = [answer]
    again = await call(fakes)
    assert isinstance(again, datetime)
    assert again > fakes.clock.now()
    assert len(fakes.directory.groups[TEAM].native_skus) == 2


async def test_a_throttled_call_holds_up_every_write() -> None:
    fakes = a_world()
    fakes.native.group_answers = [Throttled(40.0)]
    await call(fakes)
    slot = await Pacer(fakes.world).charge(urgent=False, writes=1)
    assert slot.start >= (fakes.clock.now() + timedelta(seconds=39)).timestamp()


async def test_a_rejection_is_the_result_and_a_missing_permission_is_noted() -> None:
    fakes = a_world()
    assert isinstance(await call_group(fakes.world, OTHER, DROP, "one", urgent=True), Rejected)
    fakes.native.group_answers = [DENIED]
    assert await call(fakes) == DENIED
    text, _ = await fakes.world.stores.budget.load()
    assert '"licenses"' in text


async def test_while_writing_is_off_nothing_is_sent() -> None:
    fakes = a_world()
    await Pacer(fakes.world).turn(lambda _, now: Switch(is_on=False, at=now))
    assert isinstance(await call(fakes), datetime)
    assert fakes.native.group_calls == []


async def test_a_group_call_waits_while_as_many_license_writes_are_in_flight_as_the_tenant_takes() -> None:
    fakes = a_world()
    await narrow(fakes, 1)
    other = Pacer(fakes.world)
    grant, _ = await other.take([1], urgent=False)
    assert grant.lease is not None
    again = await call(fakes)
    assert isinstance(again, datetime)
    assert again > fakes.clock.now()
    assert fakes.native.group_calls == []
    await other.report(grant.lease, {})
    assert await call(fakes) == Accepted()
    assert await leases(fakes) == 0


async def test_a_group_call_is_one_of_the_license_writes_in_flight() -> None:
    fakes, seen = a_world(), list[int]()
    await narrow(fakes, 1)

    class Counting(FakeNativeLicensing):
        async def assign_group_licenses(self, *args: Any, **options: Any) -> WriteResult:
            seen.append(await leases(fakes))
            return await FakeNativeLicensing.assign_group_licenses(self, *args, **options)

    world = replace(fakes.world, native=Counting(fakes.directory))
    assert await call_group(world, TEAM, DROP, "one", urgent=True) == Accepted()
    assert (seen, await leases(fakes)) == ([1], 0)
