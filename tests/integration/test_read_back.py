"""License rows read back from the simulated tenant, at every position of the switches that move their times."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from shared.domain.directory import AssignedLicense, DirectoryUser
from shared.domain.ids import SkuId, UserId
from shared.domain.ledger import accepted, new_intent, refresh
from shared.domain.ledger_row import LedgerRow
from shared.domain.write_results import Accepted, LicenseCall, Rejected
from tests.support.tenant_stage import ANNA, BEN, CARA, E3, F3, UNKNOWN, TenantStage


async def assigned(stage: TenantStage, *users: UserId) -> dict[UserId, LedgerRow]:
    """E3 assigned to users, as their ledger rows say after the answer."""
    add = (AssignedLicense(E3),)
    answers = await stage.writer.assign({each: LicenseCall(add, ()) for each in users}, urgent=True)
    now, rows = datetime.now(UTC), {}
    for each in users:
        answer, user = answers[each], await read(stage, each)
        assert isinstance(answer, Accepted)
        assert answer.between is not None
        intent = new_intent(replace(user, license_assignment_states=()), "c", add, (), None, {}, now)
        rows[each] = accepted(replace(LedgerRow(each), intent=intent), now, answer.between)
    return rows


async def read(stage: TenantStage, user_id: UserId) -> DirectoryUser:
    found = (await stage.directory.users([user_id]))[user_id]
    assert isinstance(found, DirectoryUser)
    return found


async def judged(stage: TenantStage, row: LedgerRow) -> LedgerRow:
    return refresh(row, await read(stage, row.user_id), datetime.now(UTC))


def unclear(row: LedgerRow) -> dict[SkuId, bool]:
    return {sku_id: license.unclear for sku_id, license in row.managed.items()}


@pytest.mark.parametrize("moves", [True, False])
async def test_a_state_that_microsoft_sets_keeps_a_license_managed(on_tenant: TenantStage, moves: bool) -> None:
    await on_tenant.control("PATCH", "settings", {"stateMovesTime": moves})
    rows = await assigned(on_tenant, ANNA, CARA)
    read_back = {each: await judged(on_tenant, row) for each, row in rows.items()}
    assert all(row.managed[E3].written is None for row in read_back.values())
    for state in ("ActiveWithError", "Active"):
        body = {"skuId": E3, "state": state, "error": "Other" if state != "Active" else "None"}
        await on_tenant.control("POST", f"users/{ANNA}/licenseState", body)
        read_back[ANNA] = await judged(on_tenant, read_back[ANNA])
        assert [unclear(read_back[each]) for each in (ANNA, CARA)] == [{E3: False}, {E3: False}]


@pytest.mark.parametrize("moves", [True, False])
async def test_a_license_assigned_twice_by_the_app_the_app_assigned(on_tenant: TenantStage, moves: bool) -> None:
    await on_tenant.control("PATCH", "settings", {"sameLicenseMovesTime": moves})
    first = await assigned(on_tenant, ANNA, CARA)
    again = await assigned(on_tenant, ANNA)
    second = replace(first[ANNA], managed={E3: replace(again[ANNA].managed[E3], seen=first[ANNA].managed[E3].seen)})
    for row in (second, first[CARA]):
        assert unclear(await judged(on_tenant, row)) == {E3: False}


async def test_a_rejected_call_tells_when_it_was_made_by_graphs_clock(on_tenant: TenantStage) -> None:
    """What such a call did all the same is recognized by this time."""
    await assigned(on_tenant, CARA)
    calls = {ANNA: LicenseCall((AssignedLicense(F3), AssignedLicense(UNKNOWN)), ()), BEN: LicenseCall((), (E3,))}
    answers = await on_tenant.writer.assign(calls, urgent=True)
    rejected, accepted_one = answers[ANNA], answers[BEN]
    assert isinstance(rejected, Rejected)
    assert isinstance(accepted_one, Accepted)
    assert rejected.between == accepted_one.between
    assert rejected.between is not None
    assert rejected.between[0] <= datetime.now(UTC) <= rejected.between[1]
