"""Leavers whose memberships stay are not licensed any more, and usage locations that Graph rejects change nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.assignment import AssignmentOptions
from shared.domain.directory import AssignedLicense
from shared.domain.ids import GroupId, UserId
from shared.domain.initiator import Initiator
from shared.domain.onboarding import GroupOutcome, LicenseOutcome
from shared.domain.operation import LicenseChange, Target
from shared.domain.operation_request import OperationRequest
from shared.handlers.onboarding.dry_run import try_event
from shared.handlers.operations.accept import accept
from tests.support.hires import Hires, event, outcomes
from tests.support.runs import LARGE, OTHER_TEAM, SMALL, TEAM, user

MIA = Initiator("mia", "Mia")
INNER = GroupId("00000000-0000-0000-0000-0000000003de")


async def stuck_team(kind: str) -> tuple[Hires, UserId, UserId]:
    """Two members of a licensed group whose membership the app cannot write."""
    run = Hires()
    people = [run.directory.add_user(user(n), groups=[] if kind == "nested" else [TEAM]) for n in (1, 2)]
    if kind == "nested":
        run.directory.add_group(INNER)
        for person in people:
            run.directory.join(INNER, person)
        run.directory.join(TEAM, INNER)
    group = run.directory.groups[TEAM]
    changes: dict[str, Any] = {
        "dynamic": {"group_types": frozenset({"DynamicMembership"})},
        "synchronized": {"on_premises": True},
    }
    run.directory.groups[TEAM] = replace(group, **changes.get(kind, {}))
    await run.licensed_team(SMALL)
    assert [run.licenses(each) for each in people] == [{"SMALL"}, {"SMALL"}]
    return run, people[0], people[1]


async def nightly(run: Hires, *people: UserId) -> None:
    for days in (1, 9):
        run.later(days=days)
        await run.reconcile(*people, cause=f"sync-{run.done}")
        run.later(minutes=2)
        await run.reconcile(*people, cause=f"sync-{run.done}")


@pytest.mark.parametrize("kind", ["dynamic", "synchronized", "nested"])
async def test_a_leaver_whose_membership_stays_loses_the_license_for_good(kind: str) -> None:
    run, ann, bob = await stuck_team(kind)
    trial = await try_event(run.world, event("leaver", "x", ann, on="2026-01-02", removal="P0D"))
    assert trial.lost == (SMALL.sku_id,)
    await run.notify(event("leaver", "l", ann, on="2026-01-02", removal="P0D"))
    await nightly(run, ann, bob)
    assert (run.licenses(ann), run.licenses(bob)) == (set(), {"SMALL"})
    record = await run.record("l")
    assert outcomes(record.licenses) == {SMALL.sku_id: LicenseOutcome.REMOVED}
    assert outcomes(record.groups)[TEAM] in (GroupOutcome.KEPT, GroupOutcome.NOT_A_MEMBER)
    (block,) = (await run.world.stores.grants.of_users([ann]))[ann]
    assert block.blocks
    assert (block.source.id, block.until) == (record.key, None)
    assert block.since is not None
    (row,) = await run.world.stores.members.of_user(ann, [TEAM])
    assert (str(row.state), row.notes[0]) == ("Disabled", "doNotLicense")


@pytest.mark.parametrize("kind", ["joiner", "leaver.rescission"])
async def test_a_newer_start_or_a_rescission_ends_the_block(kind: str) -> None:
    run, ann, bob = await stuck_team("dynamic")
    await run.notify(event("leaver", "l", ann, on="2026-01-02", removal="P0D"))
    assert run.licenses(ann) == set()
    data = {"groups": [TEAM]} if kind == "joiner" else {}
    await run.notify(event(kind, "back", ann, on="2026-01-04", **data))
    await nightly(run, ann, bob)
    assert run.licenses(ann) == {"SMALL"}
    assert not any(grant.blocks for grant in (await run.world.stores.grants.of_users([ann]))[ann])


async def test_the_grace_of_the_group_does_not_delay_a_leaver_whose_membership_stays() -> None:
    run, ann, _ = await stuck_team("dynamic")
    stored = await run.world.stores.assignments.get(TEAM)
    assert stored is not None
    options = AssignmentOptions(grace=timedelta(days=30))
    await run.world.stores.assignments.save(replace(stored.assignment, options=options, version=9), stored.etag)
    await run.notify(event("leaver", "l", ann, on="2026-01-02", removal="P0D"))
    assert run.licenses(ann) == set()


async def test_a_leaver_who_left_every_group_is_not_blocked() -> None:
    run = await Hires.of_two_teams()
    ann = run.directory.add_user(user(1))
    await run.notify(event("joiner", "j", ann, groups=[TEAM]))
    await run.notify(event("leaver", "l", ann, on="2026-01-02", removal="P0D"))
    assert (await run.world.stores.grants.of_users([ann]))[ann] == ()
    run.directory.join(OTHER_TEAM, ann)
    await nightly(run, ann)
    assert run.licenses(ann) == {"LARGE"}


async def test_the_end_of_one_of_two_employments_blocks_nobody() -> None:
    run, ann, _ = await stuck_team("dynamic")
    await run.license_other(LARGE)
    await run.notify(event("joiner", "1", ann, employmentId="1", groups=[OTHER_TEAM]))
    await run.notify(event("leaver", "l", ann, on="2026-01-05", removal="P0D", employmentId="2"))
    await nightly(run, ann)
    assert "SMALL" in run.licenses(ann)


@pytest.mark.parametrize(("place", "suggested"), [("UK", "GB"), ("XX", "ISO 3166-1")])
async def test_a_usage_location_that_graph_rejects_is_an_error_and_overrides_no_default(
    place: str, suggested: str
) -> None:
    run = await Hires.of_two_teams()
    ann, bob = (run.directory.add_user(user(n), location=None) for n in (1, 2))
    run.writer.reject_location(ann, "Invalid value specified for property 'usageLocation'.", status=400)
    await run.notify(event("joiner", "1", ann, usageLocation=place, groups=[TEAM]))
    await run.notify(event("joiner", "2", bob, usageLocation="GB", groups=[TEAM]))
    record = await run.record("1")
    assert str(record.state) == "DoneWithErrors"
    assert f"The usage location {place} was rejected" in record.note
    assert suggested in record.remedy
    rows = await run.world.stores.ledger.rows([ann, bob])
    assert (rows[ann].usage_location, rows[bob].usage_location) == ("", "GB")
    default = (await run.world.directory.organization()).country_letter_code
    assert default is not None
    assert run.directory.truth(ann).usage_location == default
    assert run.directory.truth(bob).usage_location == "GB"
    assert (run.licenses(ann), run.licenses(bob)) == ({"SMALL"}, {"SMALL"})


async def test_an_accepted_location_is_kept_although_a_later_one_is_rejected() -> None:
    run = await Hires.of_two_teams()
    ann = run.directory.add_user(user(1), location=None)
    await run.notify(event("joiner", "1", ann, usageLocation="FR", groups=[TEAM]))
    run.writer.reject_location(ann, "Invalid value specified for property 'usageLocation'.", status=400)
    await run.notify(event("mover", "2", ann, on="2026-01-02", usageLocation="UK", groups=[OTHER_TEAM]))
    assert await run.state("2") == "DoneWithErrors"
    assert (await run.world.stores.ledger.rows([ann]))[ann].usage_location == "FR"
    assert run.directory.truth(ann).usage_location == "FR"


async def test_a_direct_license_of_a_list_stays_with_a_blocked_person() -> None:
    run, ann, _ = await stuck_team("dynamic")
    await run.notify(event("leaver", "l", ann, on="2026-01-02", removal="P0D"))
    change = LicenseChange((AssignedLicense(SMALL.sku_id),), ())
    await run.finish(await accept(run.world, OperationRequest(Target(user_ids=(ann,)), MIA, change)))
    await nightly(run, ann)
    assert run.licenses(ann) == {"SMALL"}, "an administrator's later decision for this user counts"
