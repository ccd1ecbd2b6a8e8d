"""The report of a move: the members as they were when it began, against a read of today."""

from __future__ import annotations

from dataclasses import replace

from shared.domain.directory import DirectoryUser
from shared.domain.ids import GroupId, UserId
from shared.domain.move import Move
from shared.domain.move_report import MemberBefore, MoveReportRow, member_now, report_row
from shared.handlers.operations.move_reads import member_pages
from shared.handlers.operations.moves import find
from shared.handlers.operations.needs import Needs
from shared.handlers.reconcile.read import read_catalog


async def move_report(world: Needs, group_id: GroupId, move_id: str = "") -> tuple[Move, list[MoveReportRow]]:
    """One row for each member of then or now, sorted by ID. Raises NotFound, NotOffered, Unavailable."""
    move, catalog = await find(world, group_id, move_id), await read_catalog(world)
    before: dict[UserId, MemberBefore] = {}
    async for page in world.stores.moves.pages(move):
        before.update({each.user_id: each for each in page})
    rows: list[MoveReportRow] = []
    async for members in member_pages(world, group_id):
        for user in members.users:
            now = member_now(user, group_id, move.products, nested=members.nested)
            rows.append(_named(report_row(before.pop(user.id, None), now, catalog), user))
    rows += [report_row(each, None, catalog) for each in before.values()]
    return move, sorted(rows, key=lambda row: row.user_id)


def _named(row: MoveReportRow, user: DirectoryUser) -> MoveReportRow:
    return replace(row, user_principal_name=user.user_principal_name, display_name=user.display_name)
