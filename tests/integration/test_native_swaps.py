"""Bridge licenses and converted licenses on the simulated tenant, with the real adapters of Graph."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from shared.domain.directory import AssignedLicense
from shared.domain.ids import GroupId, SkuId, UserId
from shared.domain.move import Direction, MovePhase
from shared.domain.operation import LicenseChange, Target
from shared.domain.operation_request import OperationRequest
from shared.handlers.membership.native_engine import manage_natively
from shared.handlers.membership.nightly_sync import sync_all
from shared.handlers.operations import moves
from shared.handlers.operations.accept import accept
from tests.support.runs import MIA, NOA
from tests.support.tenant_run import TenantRun, tenant_run
from tests.support.tenant_stage import E3, E5, guid

VISIO = SkuId("c5928f49-12ba-48f7-ada3-0d743a3601d5")
PHONE_PLAN = "4828c8ec-dc2e-4779-b502-87ac9ce28ab7"
"""MCOEV: in E5, not in E3."""
SALES = GroupId(guid(0x700))
ANNA, BEN, FLEUR, ZOE = (UserId(guid(0x701 + number)) for number in range(4))
SETTINGS = {"nativeDelaySeconds": 0.0, "failedGroupProduct": "kept"}


@contextlib.asynccontextmanager
async def a_group(*licenses: SkuId, direct: dict[UserId, SkuId] | None = None) -> AsyncIterator[TenantRun]:
    """Four members; licenses of VISIO for three. Fleur lives where a plan of E5 is not sold."""
    async with tenant_run(SETTINGS) as run:
        found = direct or {}
        users: list[dict[str, Any]] = [
            {"id": each, "licenses": [{"skuId": found[each]}] if each in found else []} for each in (ANNA, BEN, ZOE)
        ]
        users.append({"id": FLEUR, "usageLocation": "FR"})
        skus = [{"skuId": sku, "enabled": 20} for sku in (E3, E5)] + [{"skuId": VISIO, "enabled": 3}]
        group: dict[str, Any] = {"id": SALES, "displayName": "Sales", "members": [ANNA, BEN, FLEUR, ZOE]}
        if licenses:
            group["assignedLicenses"] = [{"skuId": each} for each in licenses]
        await run.control("POST", "objects", {"skus": skus, "users": users, "groups": [group]})
        yield run


def one_more(run: TenantRun) -> Callable[[], bool]:
    """Whether a message was delivered since now."""
    count = run.done
    return lambda: run.done > count


async def drive(run: TenantRun, done: Callable[[], bool], most: int = 300) -> None:
    """Deliver messages while Microsoft's licensing works."""
    for _ in range(most):
        await run.state.native.advance(0.5)
        if done():
            return
        await run.work_off(one_more(run))
        run.later(seconds=1)
    raise AssertionError("it does not come to pass")


def held(run: TenantRun, user_id: UserId) -> set[tuple[str, bool]]:
    """Products that are Active for a user, and whether directly."""
    rows = run.state.directory.users[user_id].rows
    return {(row.sku_id, row.group is None) for row in rows if row.state != "Error"}


async def test_a_member_in_error_of_a_swap_keeps_the_former_product_until_the_error_is_gone() -> None:
    async with a_group(E3, VISIO) as run:
        (zoe,) = [each for each in (ANNA, BEN, FLEUR, ZOE) if not held(run, each)] or (ZOE,)
        await run.control("PATCH", "settings", {"prohibitedPlans": {"FR": [PHONE_PLAN]}})
        await manage_natively(run.world, SALES, MIA)
        change = LicenseChange((AssignedLicense(E5),), (E3,))
        await accept(run.world, OperationRequest(Target(SALES), MIA, change))
        group = run.state.directory.groups[SALES]
        await drive(run, lambda: E3 not in {each.sku_id for each in group.licenses})
        await drive(run, lambda: not run.fakes.queue.messages)
        assert (E3, True) in held(run, FLEUR)
        assert [held(run, each) for each in (ANNA, BEN) if each != zoe][:1] == [{(E5, False), (VISIO, False)}]
        await run.control("PATCH", "settings", {"prohibitedPlans": {}})
        await run.world.native.reprocess([FLEUR], urgent=False)
        run.later(hours=24)
        await sync_all(run.world)
        await run.rest()
        assert held(run, FLEUR) == {(E5, False), (VISIO, False)}


async def test_a_listed_unmanaged_license_ends_when_the_group_moves_to_native_licensing() -> None:
    async with a_group(direct={ANNA: E3, BEN: E3}) as run:
        await accept(run.world, OperationRequest(Target(SALES), MIA, LicenseChange((AssignedLicense(E3),))))
        await run.rest()
        await moves.begin(run.world, moves.MoveRequest(SALES, Direction.TO_NATIVE, MIA, convert=(ANNA,)))
        for _ in range(40):
            await drive(run, lambda: not run.fakes.queue.messages)
            move = await moves.find(run.world, SALES)
            if move.phase.is_ended:
                break
            if move.phase is MovePhase.APPROVE:
                assert (E3, True) in held(run, ANNA)
                await moves.approve(run.world, SALES, move.checksum, NOA)
        assert move.phase is MovePhase.DONE
        assert held(run, ANNA) == held(run, ZOE) == {(E3, False)}
        assert held(run, BEN) == {(E3, False), (E3, True)}
