"""A request is decided on one reading of its group; lost races are decided anew, and repeats are recognized."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.assignment import GroupLicenseAssignment, OptionsChange
from shared.domain.directory import AssignedLicense
from shared.domain.errors import Conflict, KeyReused, Outdated
from shared.domain.ids import OperationId
from shared.domain.operation import LicenseChange, Operation, OperationState, Target
from shared.domain.operation_request import OperationRequest, claim_key, former_fingerprint
from shared.handlers.operations.accept import accept, new_operation_id
from shared.handlers.operations.assignment_changes import set_options
from shared.handlers.operations.watchdog import watchdog
from shared.ports.world import World
from tests.support.runs import EXTRA, LARGE, MIA, SMALL, TEAM, Run

SEVEN_DAYS = OptionsChange({"grace": timedelta(days=7)})


class Hierarchy:
    """Passes every call on and counts it; `after` is done once, after the first call of that name."""

    def __init__(self, inner: object, after: dict[str, Callable[[], Awaitable[object]]] | None = None) -> None:
        self.inner = inner
        self.after = after or {}
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        self.calls[name] += 1
        method = getattr(self.inner, name)
        meanwhile = self.after.pop(name, None)
        if meanwhile is None:
            return method

        async def both(*args: object) -> object:
            found = await method(*args)
            await meanwhile()
            return found

        return both


def raced(run: Run, meanwhile: Callable[[], Awaitable[object]]) -> World:
    """The world of a process that reads the assignment just before something else happens to it."""
    store: Any = Hierarchy(run.world.stores.assignments, {"get": meanwhile})
    return replace(run.world, stores=replace(run.world.stores, assignments=store))


def adding(**options: Any) -> OperationRequest:
    return OperationRequest(Target(TEAM), MIA, LicenseChange((AssignedLicense(SMALL.sku_id),)), **options)


async def assignment(run: Run) -> GroupLicenseAssignment:
    stored = await run.world.stores.assignments.get(TEAM)
    assert stored is not None
    return stored.assignment


async def newest(run: Run) -> Operation:
    (found,), _ = await run.world.stores.operations.newest(1)
    return found


async def test_assignment_group_and_products_are_read_once() -> None:
    run = Run()
    await run.change([EXTRA])
    store, directory = Hierarchy(run.world.stores.assignments), Hierarchy(run.world.directory)
    watched: Any = (store, directory)
    world = replace(run.world, stores=replace(run.world.stores, assignments=watched[0]), directory=watched[1])
    await accept(world, adding(options=SEVEN_DAYS, if_match=1))
    assert store.calls == {"get": 1, "save": 1}
    assert directory.calls == {"group": 1, "subscribed_skus": 1}


async def test_after_a_lost_race_change_and_options_are_merged_into_what_is_there_now() -> None:
    run = Run()
    run.people(1)
    await run.change([EXTRA])

    async def others() -> None:
        await run.ask([LARGE])
        await set_options(run.world, TEAM, OptionsChange({"priority": 5}), MIA, None)

    operation = await accept(raced(run, others), adding(options=SEVEN_DAYS))
    after = await assignment(run)
    assert {sku.sku_id for sku in after.skus} == {SMALL.sku_id, LARGE.sku_id, EXTRA.sku_id}
    assert (after.options.priority, after.options.grace) == (5, timedelta(days=7))
    assert (after.version, operation.intent_version) == (4, 4)
    assert (await run.read(operation)).change.options == after.options


async def test_options_alone_are_merged_into_what_is_there_after_a_lost_race() -> None:
    run = Run()
    await run.change([EXTRA])

    async def others() -> None:
        await set_options(run.world, TEAM, OptionsChange({"priority": 5}), MIA, None)

    stored = await set_options(raced(run, others), TEAM, SEVEN_DAYS, MIA, None)
    assert (stored.assignment.options.priority, stored.assignment.options.grace) == (5, timedelta(days=7))
    with pytest.raises(Outdated):
        await set_options(raced(run, others), TEAM, SEVEN_DAYS, MIA, stored.assignment.version)


async def test_if_match_counts_until_the_intent_is_written() -> None:
    run = Run()
    people = run.people(2)
    await run.change([EXTRA])

    async def others() -> None:
        await set_options(run.world, TEAM, OptionsChange({"priority": 5}), MIA, None)

    with pytest.raises(Outdated):
        await accept(raced(run, others), adding(if_match=1))
    rejected = await newest(run)
    assert (rejected.state, rejected.error and rejected.error.code) == (OperationState.FAILED, "Outdated")
    run.later(hours=1)
    await watchdog(run.world)
    await run.work_off()
    assert {sku.sku_id for sku in (await assignment(run)).skus} == {EXTRA.sku_id}
    assert [run.licenses(each) for each in people] == [{"EXTRA"}] * 2


async def test_a_race_that_changes_no_version_is_no_matter_of_if_match() -> None:
    run = Run()
    await run.change([EXTRA])

    async def approval_opens() -> None:
        stored = await run.world.stores.assignments.get(TEAM)
        assert stored is not None
        await run.world.stores.assignments.save(replace(stored.assignment, more_held=True), stored.etag)

    operation = await accept(raced(run, approval_opens), adding(if_match=1))
    assert (await assignment(run)).operation_id == operation.id


async def test_a_key_used_for_a_different_request_is_told_from_a_lost_race() -> None:
    run = Run()
    first = await accept(run.world, adding(idempotency_key="k", options=SEVEN_DAYS))
    await set_options(run.world, TEAM, OptionsChange({"priority": 5, "grace": timedelta(0)}), MIA, None)
    assert (await accept(run.world, adding(idempotency_key="k", options=SEVEN_DAYS))).id == first.id
    for options in (None, OptionsChange({"grace": timedelta(days=8)}), OptionsChange({"priority": 5})):
        with pytest.raises(KeyReused, match="'k' was used for a different request"):
            await accept(run.world, adding(idempotency_key="k", options=options))
    assert not issubclass(KeyReused, Conflict)


@pytest.mark.parametrize("stored_too", [True, False])
async def test_a_request_that_a_former_version_accepted_is_a_repeat_after_the_upgrade(*, stored_too: bool) -> None:
    run = Run()
    await run.change([EXTRA])
    await set_options(run.world, TEAM, OptionsChange({"priority": 5}), MIA, None)
    merged = SEVEN_DAYS.applied_to((await assignment(run)).options)
    # A former version took the fingerprint of all options as merged, and its operation has them.
    claimed = new_operation_id(run.world, run.world.clock.now())
    known = former_fingerprint(adding(), merged)
    await run.world.stores.idempotency.claim(claim_key(MIA, "k"), claimed, known)
    if stored_too:
        change = replace(adding().change, options=merged)
        former = replace(await newest(run), id=OperationId(claimed), change=change, version=None)
        await run.world.stores.operations.insert(former)
        await set_options(run.world, TEAM, OptionsChange({"priority": 6}), MIA, None)
    again = await accept(run.world, adding(idempotency_key="k", options=SEVEN_DAYS))
    assert again.id == claimed
    with pytest.raises(KeyReused):
        await accept(run.world, adding(idempotency_key="k", options=OptionsChange({"grace": timedelta(days=8)})))
    with pytest.raises(KeyReused):
        await accept(run.world, adding(idempotency_key="k"))
    confirmed = replace(adding(idempotency_key="k"), change=replace(adding().change, options=merged))
    assert (await accept(run.world, confirmed)).id == claimed


async def test_a_request_repeated_under_the_same_key_after_it_was_outdated_is_done() -> None:
    run = Run()
    await run.change([EXTRA])

    async def others() -> None:
        await set_options(run.world, TEAM, SEVEN_DAYS, MIA, None)

    with pytest.raises(Outdated):
        await accept(raced(run, others), adding(if_match=1, idempotency_key="k"))
    stored = await run.world.stores.assignments.get(TEAM)
    assert stored is not None
    again = await accept(run.world, adding(if_match=stored.assignment.version, idempotency_key="k"))
    assert not again.state.is_ended
