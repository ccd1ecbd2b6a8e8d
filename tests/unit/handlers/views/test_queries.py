"""Reads for people and programs, below the HTTP shapes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.directory import ReadFailed
from shared.domain.errors import NotFound, Unavailable
from shared.domain.grant import Source, SourceKind
from shared.domain.ids import OperationId, SkuId, UserId
from shared.domain.operation import OperationState
from shared.domain.outcomes import ChunkOutcome, OutcomeClass
from shared.domain.pending_removal import PendingRemoval, ScopeState
from shared.domain.permit import Claim
from shared.domain.snapshot_pages import PAGE_SIZE, PlannedAction, chunks_of, pages_of
from shared.handlers.views import queries
from tests.support.api_calls import E3, GROUP, OTHER_GROUP, USERS, assigned, insert, small_tenant
from tests.support.worlds import Fakes


@pytest.fixture
def fakes() -> Fakes:
    return small_tenant()


async def snapshot(fakes: Fakes, members: int, *, preview: bool = False) -> tuple[OperationId, list[UserId]]:
    """An operation whose snapshot has so many users, every third of them due."""
    people = [UserId(f"{number:08x}-0000-4000-8000-000000000000") for number in range(members)]
    actions = [(user, PlannedAction(due=number % 3 == 0)) for number, user in enumerate(people)]
    pages = pages_of(actions, fakes.world.policy.chunk_size)
    operation = await insert(fakes.world, snapshot_id="s1", pages=len(pages), preview=preview)
    await fakes.world.stores.snapshots.write(operation.id, "s1", pages)
    for chunk in [chunk for page in pages for chunk in chunks_of(operation.id, page, fakes.world.policy.chunk_size)]:
        outcomes = [ChunkOutcome(user, OutcomeClass.APPLIED) for user in chunk.user_ids]
        await fakes.world.stores.chunks.report(operation.id, chunk.number, outcomes)
    return operation.id, people


async def read_all(fakes: Fakes, operation_id: OperationId, top: int) -> list[queries.PlannedMember]:
    found: list[queries.PlannedMember] = []
    token: str | None = None
    while True:
        page, token = await queries.planned_members(fakes.world, operation_id, top, token)
        assert len(page) <= top
        found += page
        if token is None:
            return found
        assert len(page) == top


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from([0, 1, 999, PAGE_SIZE, PAGE_SIZE + 1, 2 * PAGE_SIZE]),
    st.sampled_from([7, 100, 500, 998, 999, 1000]),
)
async def test_every_snapshot_member_is_shown_once_whatever_the_page_size(members: int, top: int) -> None:
    fakes = small_tenant()
    operation_id, people = await snapshot(fakes, members)
    shown = await read_all(fakes, operation_id, top)
    assert [member.user_id for member in shown] == people
    assert all(member.action.due is (member.outcome is not None) for member in shown)


async def test_only_members_who_were_due_have_an_outcome(fakes: Fakes) -> None:
    operation_id, _ = await snapshot(fakes, 6)
    shown = await read_all(fakes, operation_id, 4)
    assert [member.action.due for member in shown] == [True, False, False] * 2
    assert [member.outcome is not None for member in shown] == [True, False, False] * 2


async def test_a_preview_has_no_outcomes(fakes: Fakes) -> None:
    operation_id, _ = await snapshot(fakes, 4, preview=True)
    assert {member.outcome for member in await read_all(fakes, operation_id, 100)} == {None}


async def test_an_operation_that_is_not_planned_yet_shows_nobody(fakes: Fakes) -> None:
    operation = OperationId((await assigned(fakes.world))["id"])
    assert await read_all(fakes, operation, 100) == []
    with pytest.raises(NotFound):
        await queries.planned_members(fakes.world, OperationId("f" * 32), 100, None)


async def test_approvals_are_those_that_wait_oldest_first(fakes: Fakes) -> None:
    waiting = [await insert(fakes.world, state=OperationState.AWAITING_APPROVAL) for _ in range(2)]
    await insert(fakes.world, state=OperationState.PAUSED)
    await insert(fakes.world, state=OperationState.CANCELLED)
    found = [operation.id for operation in await queries.approvals(fakes.world)]
    assert found == sorted(operation.id for operation in waiting)


async def test_the_allowance_used_is_that_of_the_group_and_of_the_last_day(fakes: Fakes) -> None:
    await assigned(fakes.world)
    now = fakes.world.clock.now()
    for group_id, count in ((GROUP, 3), (OTHER_GROUP, 9)):
        source = Source(SourceKind.GROUP, group_id)
        rows = [PendingRemoval(Claim(source), UserId(str(UUID(int=n))), SkuId(E3), now) for n in range(count + 2)]
        allowed = [replace(row, allowed_at=now) for row in rows[:count]]
        await fakes.world.stores.removals.save(str(source), ScopeState(), None, allowed)
        await fakes.world.stores.removals.note(str(source), rows)
    view = await queries.group_status(fakes.world, GROUP)
    assert (view.allowance_used, view.allowance_limit) == (3, 20)
    assert (view.pending_removals, view.decided_at, view.held_because) == (2, now + timedelta(minutes=5), "")
    fakes.clock.move(timedelta(hours=26))
    later = await queries.group_status(fakes.world, GROUP)
    assert (later.allowance_used, later.pending_removals) == (0, 2)
    fakes.clock.move(timedelta(days=6))
    later = await queries.group_status(fakes.world, GROUP)
    assert (later.pending_removals, later.decided_at) == (0, None)


async def test_the_status_of_a_group_can_be_read_while_the_directory_is_away(fakes: Fakes) -> None:
    await assigned(fakes.world)
    fakes.directory.go_away()
    assert (await queries.group_status(fakes.world, GROUP)).display_name == f"Group {GROUP}"
    with pytest.raises(Unavailable):
        await queries.subscribed_skus(fakes.world)


async def test_a_deleted_user_is_not_found_and_an_unreadable_one_unavailable(fakes: Fakes) -> None:
    fakes.directory.delete_user(USERS[0])
    fakes.directory.fail_read(USERS[1], ReadFailed("no answer", retry_after_s=9.0))
    with pytest.raises(NotFound):
        await queries.user_licenses(fakes.world, USERS[0])
    with pytest.raises(Unavailable, match="no answer") as caught:
        await queries.user_licenses(fakes.world, USERS[1])
    assert caught.value.retry_after_s == 9.0
