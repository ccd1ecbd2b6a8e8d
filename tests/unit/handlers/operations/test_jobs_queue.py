"""Requests by message: accepted once, rejected visibly, waiting when something is away."""

from __future__ import annotations

import json

import pytest

from shared.bootstrap import App
from shared.domain.directory import ServicePlan, SubscribedSku
from shared.domain.errors import Conflict, Unavailable
from shared.domain.ids import OperationId, ServicePlanId, SkuId
from shared.domain.initiator import Initiator
from shared.domain.messages import JOBS, OPERATIONS_BULK
from shared.domain.operation import OperationKind
from shared.domain.operation_request import OperationRequest
from shared.handlers.messaging.settlement import away_count
from shared.handlers.operations.accept import accept
from shared.handlers.operations.jobs_queue import process_jobs
from tests.support.api_calls import ON
from tests.support.job_messages import E3, E5, GROUP, PLAN, USERS, Job, assign, without
from tests.support.worlds import Fakes, fake_world


@pytest.fixture
def fakes() -> Fakes:
    fakes = fake_world()
    for sku_id, name in ((E3, "SPE_E3"), (E5, "SPE_E5")):
        plans = (ServicePlan(ServicePlanId(PLAN), "SWAY"), ServicePlan(ServicePlanId("b" + PLAN[1:]), "TEAMS1"))
        fakes.directory.add_sku(SubscribedSku(SkuId(sku_id), name, plans, enabled=100))
    for user_id in USERS:
        fakes.directory.add_user(user_id)
    fakes.directory.add_group(GROUP, USERS)
    return fakes


def message(job: Job) -> bytes:
    return json.dumps(job).encode()


async def operations(fakes: Fakes) -> list[OperationId]:
    found, _ = await fakes.world.stores.operations.newest(100)
    return [operation.id for operation in found]


async def reasons(fakes: Fakes) -> list[str]:
    return [dead_letter.reason for dead_letter in (await fakes.world.stores.dead_letters.page(10))[0]]


async def test_a_job_becomes_an_operation_with_what_its_sender_claims(fakes: Fakes) -> None:
    await process_jobs(fakes.world, message(assign(requestedBy="hr", correlationId="c-1")))
    (operation,), _ = await fakes.world.stores.operations.newest(10)
    assert operation.kind is OperationKind.ASSIGN
    assert (operation.target.group_id, operation.initiator.claimed_by) == (GROUP, "hr")
    assert (operation.correlation_id, operation.cause) == ("c-1", "job")
    assert [sent.queue for sent in fakes.sent()] == [OPERATIONS_BULK]


async def test_the_same_message_twice_is_one_operation(fakes: Fakes) -> None:
    await process_jobs(fakes.world, message(assign()))
    await process_jobs(fakes.world, message(assign()))
    await process_jobs(fakes.world, message(assign(id="j-2")))
    assert len(await operations(fakes)) == 2
    assert await reasons(fakes) == []


async def test_a_list_a_preview_and_a_reprocess_are_accepted(fakes: Fakes) -> None:
    await process_jobs(fakes.world, message({**without(assign(), "groupId"), "userIds": USERS}))
    await process_jobs(fakes.world, message(assign(id="j-2", operation="preview")))
    await process_jobs(fakes.world, message(assign(id="j-3")))
    await process_jobs(
        fakes.world, message({"version": "1.0", "id": "j-4", "operation": "reprocess", "groupId": GROUP})
    )
    found, _ = await fakes.world.stores.operations.newest(10)
    assert sorted((operation.preview, operation.reprocess, operation.target.is_group) for operation in found) == [
        (False, False, False),
        (False, False, True),
        (False, True, True),
        (True, False, True),
    ]
    assert await reasons(fakes) == []


@pytest.mark.parametrize(
    ("job", "reason"),
    [
        (assign(groupId=USERS[0]), USERS[0]),
        (assign(addLicenses=[{"skuId": "00000000-0000-4000-8000-000000000000"}]), "00000000-0000-4000"),
        (assign(removeLicenses=[E3]), E3),
        (assign(addLicenses=[], removeLicenses=[E5]), E5),
        ({"version": "1.0", "id": "j-1", "operation": "reprocess", "groupId": GROUP}, "no license assignment"),
    ],
)
async def test_a_job_that_is_rejected_is_kept_with_its_reason(fakes: Fakes, job: Job, reason: str) -> None:
    await process_jobs(fakes.world, message(job))
    (kept,) = await reasons(fakes)
    assert "job 'j-1' was rejected" in kept
    assert reason in kept
    assert await operations(fakes) == []


async def test_an_id_used_for_a_different_request_is_rejected_and_not_tried_again(fakes: Fakes) -> None:
    await process_jobs(fakes.world, message(assign()))
    await process_jobs(fakes.world, message(assign(addLicenses=[{"skuId": E5}])))
    (kept,) = await reasons(fakes)
    assert "different request" in kept
    assert len(await operations(fakes)) == 1


async def test_a_lost_race_is_no_rejection(fakes: Fakes) -> None:
    fakes.assignments_always_change()
    with pytest.raises(Conflict):
        await process_jobs(fakes.world, message(assign()))
    assert await reasons(fakes) == []


async def test_the_ids_of_messages_and_of_people_do_not_meet(fakes: Fakes) -> None:
    await process_jobs(fakes.world, message(assign()))
    person = Initiator("ada", "Ada")
    request = OperationRequest(
        target=(await fakes.world.stores.operations.newest(1))[0][0].target,
        initiator=person,
        reprocess=True,
        idempotency_key="j-1",
    )
    operation = await accept(fakes.world, request)
    assert operation.initiator == person


async def test_the_door_keeps_an_unreadable_job_and_sends_one_again_when_the_directory_is_away(fakes: Fakes) -> None:
    app = App(fakes.world, ON)
    await app.process_jobs(b"{}")
    assert ["version must be '1.0'" in reason for reason in await reasons(fakes)] == [True]
    fakes.directory.go_away(30.0, times=1)
    await app.process_jobs(message(assign()))
    (again,) = fakes.sent()
    assert (again.queue, away_count(again.body)) == (JOBS, 1)
    assert await operations(fakes) == []
    await app.process_jobs(again.body)
    assert len(await operations(fakes)) == 1


async def test_a_directory_that_is_away_is_no_rejection(fakes: Fakes) -> None:
    fakes.directory.go_away()
    with pytest.raises(Unavailable):
        await process_jobs(fakes.world, message(assign()))
    assert await reasons(fakes) == []
