"""What a person decides about a license in grace, held or kept: keep it, or remove it now."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.domain.assignment import OptionsChange
from shared.domain.errors import BadRequest
from shared.domain.grant import SourceKind
from shared.domain.ids import UserId
from shared.handlers.operations.assignment_changes import set_options
from shared.handlers.operations.user_decisions import keep_licenses, remove_licenses_now
from shared.handlers.reconcile.grant_expiry import reconcile_due_users
from shared.handlers.views import queries
from tests.support.builders import audited
from tests.support.operations import held_run
from tests.support.runs import MIA, SMALL, TEAM, Run, user

GRACE = timedelta(days=30)


async def in_grace() -> tuple[Run, UserId]:
    """Somebody left a group with a grace of 30 days."""
    run = Run()
    leaves, *_ = run.people(3)
    await run.change([SMALL])
    await set_options(run.world, TEAM, OptionsChange({"grace": GRACE}), MIA, None)
    run.directory.leave(TEAM, leaves)
    await run.reconcile(leaves)
    return run, leaves


async def test_a_license_in_grace_is_shown_with_the_time_when_it_goes() -> None:
    run, leaves = await in_grace()
    (license,) = await queries.user_licenses(run.world, leaves)
    assert license.ending is not None
    assert license.ending.source.kind is SourceKind.GRACE
    (row,) = await run.world.stores.members.of_user(leaves, [TEAM])
    assert row.removal_at == license.ending.until
    assert row.removal_at is not None
    assert timedelta(days=29) < row.removal_at - run.world.clock.now() <= GRACE


async def test_a_license_that_is_kept_stays_when_the_grace_is_over() -> None:
    run, leaves = await in_grace()
    await keep_licenses(run.world, leaves, [SMALL.sku_id], MIA)
    await run.work_off()
    run.later(days=31)
    await reconcile_due_users(run.world)
    await run.work_off()
    assert run.licenses(leaves) == {"SMALL"}
    (row,) = await run.world.stores.members.of_user(leaves, [TEAM])
    assert row.removal_at is None
    (license,) = await queries.user_licenses(run.world, leaves)
    assert license.ending is not None
    assert license.ending.source.kind is SourceKind.KEPT


async def test_a_license_that_is_removed_now_does_not_wait_for_the_grace_to_end() -> None:
    run, leaves = await in_grace()
    await remove_licenses_now(run.world, leaves, [SMALL.sku_id], MIA)
    began = run.world.clock.now()
    await run.work_off()
    assert run.licenses(leaves) == set()
    assert run.world.clock.now() - began < timedelta(minutes=6)
    entries = await audited(run.world.stores, "202601")
    acts = [each.activity for each in entries if each.user_id == leaves and each.initiator == MIA]
    assert acts.count("Remove user license now") == 1


async def test_who_came_back_keeps_the_license_though_it_was_to_be_removed_now() -> None:
    run, leaves = await in_grace()
    run.directory.join(TEAM, leaves)
    await remove_licenses_now(run.world, leaves, [SMALL.sku_id], MIA)
    await run.work_off()
    assert run.licenses(leaves) == {"SMALL"}


async def test_a_removal_now_can_be_taken_back_while_it_waits_and_a_kept_license_be_removed() -> None:
    run, leaves = await in_grace()
    await remove_licenses_now(run.world, leaves, [SMALL.sku_id], MIA)
    await keep_licenses(run.world, leaves, [SMALL.sku_id], MIA)
    await run.work_off()
    assert run.licenses(leaves) == {"SMALL"}
    run.later(minutes=1)
    await remove_licenses_now(run.world, leaves, [SMALL.sku_id], MIA)
    await run.work_off()
    assert run.licenses(leaves) == set()


async def test_what_is_held_can_be_decided_for_one_user() -> None:
    run, held, _ = await held_run()
    stays, goes, *rest = held
    await keep_licenses(run.world, stays, [SMALL.sku_id], MIA)
    await remove_licenses_now(run.world, goes, [SMALL.sku_id], MIA)
    await run.work_off()
    assert (run.licenses(stays), run.licenses(goes)) == ({"SMALL"}, set())
    assert all(run.licenses(each) for each in rest)


@pytest.mark.parametrize("who", [2, 77])
async def test_only_a_license_that_is_ending_is_decided_about(who: int) -> None:
    run, _ = await in_grace()
    for act in (keep_licenses, remove_licenses_now):
        with pytest.raises(BadRequest, match="not a managed license in grace, held or kept"):
            await act(run.world, user(who), [SMALL.sku_id], MIA)
    assert run.fakes.sent() == []
