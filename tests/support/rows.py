"""Rows that tests read back from the stores."""

from __future__ import annotations

from shared.domain.directory import LicenseError
from shared.domain.ids import UserId
from shared.domain.read_models import MemberRow
from tests.support.runs import TEAM, Run


async def errors(run: Run) -> dict[UserId, list[LicenseError]]:
    """The errors of each member of the team."""
    rows, _ = await run.world.stores.members.errors(TEAM, 50)
    return {row.user_id: [problem.error for problem in row.problems] for row in rows}


async def row_of(run: Run, user_id: UserId) -> MemberRow:
    """The row of a member of the team."""
    (row,) = await run.world.stores.members.of_user(user_id, [TEAM])
    return row
