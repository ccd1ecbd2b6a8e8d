"""The engine of a group in the table: stored with what was read, and `direct` for rows of a former version."""

from __future__ import annotations

import json

from shared.adapters.tables.packing import dump
from shared.adapters.tables.rows import joined_body, split_body
from shared.domain.assignment import Engine, GroupLicenseAssignment, SkuAssignment
from shared.domain.directory import AssignedLicense
from shared.domain.group_status import GroupState, GroupStatus
from shared.domain.ids import NO_PLANS, ServicePlanId
from shared.domain.member_status import MemberState
from shared.domain.read_models import Diagnosis, MemberRow
from tests.support.builders import E3, E5, GROUP_A, GROUP_B, NOW, USER
from tests.support.worlds import fake_world

NATIVE = (AssignedLicense(E3, frozenset({ServicePlanId("plan")})), AssignedLicense(E5))


async def test_each_engine_comes_back_with_what_it_assigns() -> None:
    store = fake_world().world.stores.assignments
    watched = GroupLicenseAssignment(GROUP_A, engine=Engine.WATCHED, native=NATIVE)
    direct = GroupLicenseAssignment(GROUP_B, (SkuAssignment(E3, NO_PLANS),), version=1)
    for each in (watched, direct):
        await store.save(each, None)
    assert set(await store.all()) == {watched, direct}


async def test_a_row_of_a_former_version_is_direct() -> None:
    fakes = fake_world()
    direct = GroupLicenseAssignment(GROUP_A, (SkuAssignment(E3, NO_PLANS),), version=1)
    await fakes.world.stores.assignments.save(direct, None)
    row = await fakes.tables.get("assignments", "assignment", GROUP_A)
    assert row is not None
    body = json.loads(joined_body(row))
    assert "engine" not in body
    assert "native" not in body
    fakes.tables.place("assignments", "assignment", GROUP_A, **split_body(dump(body)), version=1)
    stored = await fakes.world.stores.assignments.get(GROUP_A)
    assert stored is not None
    assert (stored.assignment.engine, stored.assignment) == (Engine.DIRECT, direct)


async def test_a_member_row_keeps_engine_diagnosis_and_graphs_time() -> None:
    members = fake_world().world.stores.members
    row = MemberRow(
        GROUP_A,
        USER,
        "ann@x.example",
        "Ann",
        MemberState.ERROR,
        NOW,
        engine=Engine.WATCHED,
        diagnosis=Diagnosis("no license", NOW),
        since=NOW.replace(year=2025),
    )
    await members.record([row])
    (found,) = await members.of_user(USER, [GROUP_A])
    assert found == row
    assert found.since == row.since


async def test_the_status_keeps_graphs_word_and_whether_only_errors_were_read() -> None:
    store = fake_world().world.stores.group_status
    status = GroupStatus(GROUP_A, GroupState.ERRORS, processing="ProcessingComplete", errors_only=True)
    await store.save(status)
    assert await store.get(GROUP_A) == status
