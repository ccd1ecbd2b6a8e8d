"""A person cannot approve alone what their own request has brought about, although the app asks for the approval."""

from __future__ import annotations

import pytest

from shared.domain.assignment import OptionsChange
from shared.domain.directory import AssignedLicense
from shared.domain.errors import ApprovalDenied
from shared.domain.ids import UserId
from shared.domain.initiator import Initiator
from shared.domain.operation import HELD, LicenseChange, Operation, Target, is_for_tenant
from shared.domain.operation_request import OperationRequest
from shared.handlers.operations import approvals
from shared.handlers.operations.accept import accept
from shared.handlers.operations.assignment_changes import set_options
from shared.handlers.operations.user_decisions import remove_licenses_now
from shared.handlers.views import queries
from shared.handlers.views.approvals import described, why_not
from tests.support.operations import leave
from tests.support.runs import EXTRA, MIA, NOA, OTHER_TEAM, SMALL, TEAM, Run

MANY = 60
"""People, more than one person can approve for."""

PEOPLE_LEAVE, TAKEN, PLAN_OFF = "people leave", "the product is taken", "an app is turned off"
OF_TENANT = "the product is taken from protected people, whose removals wait for the approval of the tenant"


async def ask(run: Run, change: LicenseChange, by: Initiator, *, reprocess: bool = False) -> Operation:
    request = OperationRequest(Target(TEAM), by, change, reprocess=reprocess)
    return await run.finish(await accept(run.world, request), approve=False)


async def requested_by_the_app(run: Run) -> Operation:
    """The list of held removals, closed by a person."""
    (collected,) = await queries.approvals(run.world)
    assert (collected.cause, collected.initiator.is_app_itself) == (HELD, True)
    await approvals.review(run.world, collected.id, MIA)
    await run.work_off()
    return await run.read(collected)


async def held(what: str, size: int = MANY) -> tuple[Run, list[UserId], Operation]:
    """Many removals that the app asks an approval for: because people left, or because Mia has changed the group and
    then had it processed again."""
    run = Run()
    people = run.people(size)
    await run.change([SMALL, EXTRA])
    if what == OF_TENANT:
        run.protect(*people)
    if what == PEOPLE_LEAVE:
        await leave(run, people)
    else:
        (plan, *_) = sorted(SMALL.plan_ids)
        off = LicenseChange((AssignedLicense(SMALL.sku_id, frozenset({plan})),))
        await ask(run, off if what == PLAN_OFF else LicenseChange(remove=(SMALL.sku_id,)), MIA)
        await ask(run, LicenseChange(), NOA, reprocess=True)
        run.later(minutes=20)
        await run.work_off()
    snapshot = await requested_by_the_app(run)
    assert is_for_tenant(snapshot) is (what == OF_TENANT)
    return run, people, snapshot


@pytest.mark.parametrize("what", [TAKEN, PLAN_OFF, OF_TENANT])
async def test_a_reprocess_does_not_let_the_requester_approve_alone(what: str) -> None:
    run, people, snapshot = await held(what)
    before = [run.directory.licenses(each) for each in people]
    waiting = await described(run.world, snapshot)
    assert (waiting.another, "You requested this" in await why_not(run.world, waiting, MIA)) == (True, True)
    assert await why_not(run.world, waiting, NOA) == ""
    with pytest.raises(ApprovalDenied, match="You requested this"):
        await approvals.approve(run.world, snapshot.id, snapshot.checksum, MIA)
    await run.work_off()
    assert [run.directory.licenses(each) for each in people] == before
    await approvals.approve(run.world, snapshot.id, snapshot.checksum, NOA)
    await run.work_off()
    assert all(run.directory.licenses(each) != was for each, was in zip(people, before, strict=True))


async def guests_left_out(*changes: tuple[Initiator, dict[str, object]]) -> tuple[Run, list[UserId], Operation]:
    """Many guests who lose their licenses because of options that people changed one after another."""
    run = Run()
    people = run.people(MANY, guest=True)
    await run.change([SMALL])
    for by, options in changes:
        await set_options(run.world, TEAM, OptionsChange(options), by, None)
    await ask(run, LicenseChange(), NOA, reprocess=True)
    run.later(minutes=20)
    await run.work_off()
    return run, people, await requested_by_the_app(run)


@pytest.mark.parametrize(
    "later", [{"priority": 3}, {"excluded_groups": frozenset({OTHER_TEAM})}], ids=["another option", "another cut"]
)
async def test_a_person_who_changed_options_does_not_approve_alone_what_follows(later: dict[str, object]) -> None:
    run, people, snapshot = await guests_left_out((MIA, {"include_guests": False}), (NOA, later))
    with pytest.raises(ApprovalDenied, match="You requested this"):
        await approvals.approve(run.world, snapshot.id, snapshot.checksum, MIA)
    noa_cut = "excluded_groups" in later
    waiting = await described(run.world, snapshot)
    assert bool(await why_not(run.world, waiting, NOA)) is noa_cut
    await approvals.approve(run.world, snapshot.id, snapshot.checksum, Initiator("zoe", "Zoe") if noa_cut else NOA)
    await run.work_off()
    assert not any(run.licenses(each) for each in people)


async def test_an_option_that_another_person_has_set_again_is_the_request_of_that_person() -> None:
    """Mia's change was taken back, and Noa has made it again."""
    run, _, snapshot = await guests_left_out(
        (MIA, {"include_guests": False}), (NOA, {"include_guests": True}), (NOA, {"include_guests": False})
    )
    assert await why_not(run.world, await described(run.world, snapshot), MIA) == ""
    with pytest.raises(ApprovalDenied, match="You requested this"):
        await approvals.approve(run.world, snapshot.id, snapshot.checksum, NOA)


async def test_what_no_request_has_brought_about_any_person_can_approve() -> None:
    run, people, snapshot = await held(PEOPLE_LEAVE)
    waiting = await described(run.world, snapshot)
    assert (waiting.another, await why_not(run.world, waiting, MIA)) == (False, "")
    await approvals.approve(run.world, snapshot.id, snapshot.checksum, MIA)
    await run.work_off()
    assert not any(run.licenses(each) for each in people)


async def test_a_requester_can_approve_few_people_alone_as_before() -> None:
    run, people, snapshot = await held(TAKEN, size=30)
    await approvals.approve(run.world, snapshot.id, snapshot.checksum, MIA)
    await run.work_off()
    assert not any("SMALL" in run.licenses(each) for each in people)


@pytest.mark.parametrize("reprocessed", [False, True])
async def test_a_requester_cannot_remove_one_by_one_what_another_person_must_approve(reprocessed: bool) -> None:
    run = Run()
    people = run.people(MANY)
    await run.change([SMALL])
    await ask(run, LicenseChange(remove=(SMALL.sku_id,)), MIA)
    if reprocessed:
        await ask(run, LicenseChange(), MIA, reprocess=True)
    for number in range(2):
        await run.reconcile(*people[:2], cause=f"event-{number}")
        run.later(minutes=20)
    with pytest.raises(ApprovalDenied, match="another person"):
        await remove_licenses_now(run.world, people[0], [SMALL.sku_id], MIA)
    await remove_licenses_now(run.world, people[1], [SMALL.sku_id], NOA)
    for number in range(2):
        run.later(minutes=20)
        await run.reconcile(*people[:2], cause=f"after-{number}")
    assert [run.licenses(each) for each in people[:2]] == [{"SMALL"}, set()]
