"""Membership writes that Graph throttles or does not answer."""

from __future__ import annotations

from shared.domain.write_results import Throttled, Unanswered
from tests.support.hires import Hires, event
from tests.support.runs import SMALL, TEAM, user


async def test_throttled_and_unanswered_memberships_are_written_again_once() -> None:
    run = Hires()
    await run.licensed_team(SMALL)
    run.memberships.answers[TEAM].extend([(Throttled(30.0), False), (Unanswered("lost"), True)])
    ann = run.directory.add_user(user(1))
    await run.notify(event("joiner", "1", ann, groups=[TEAM]))
    assert await run.state("1") == "Done"
    assert len(run.memberships.log) == 1
    assert run.licenses(ann) == {"SMALL"}
