"""Licenses that an administrator changes by hand, for tests of what the app makes of it."""

from __future__ import annotations

from dataclasses import replace

from shared.domain.directory import LicenseAssignmentState
from shared.domain.ids import UserId
from tests.support.runs import SMALL, Run


def take_by_hand(run: Run, user_id: UserId) -> None:
    """Remove all licenses of a user."""
    run.directory.change_user(replace(run.directory.truth(user_id), license_assignment_states=()))


def give_by_hand(run: Run, user_id: UserId) -> None:
    """Assign SMALL to a user who has nothing else."""
    given = LicenseAssignmentState(SMALL.sku_id, last_updated=run.world.clock.now())
    run.directory.change_user(replace(run.directory.truth(user_id), license_assignment_states=(given,)))
