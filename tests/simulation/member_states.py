"""What must be true of the directory for each state of a member's row, once a history has come to rest."""

from __future__ import annotations

from collections.abc import Collection

from shared.domain.directory import DirectoryUser
from shared.domain.grant import Source, SourceKind
from shared.domain.ids import SkuId
from shared.domain.ledger_row import LedgerRow
from shared.domain.member_status import MemberState
from shared.domain.read_models import MemberRow

WITH_A_PROBLEM = (MemberState.ERROR, MemberState.ACTIVE_WITH_ERROR, MemberState.WAITING)


def faults(
    row: MemberRow | None, truth: DirectoryUser, ledger: LedgerRow, assigned: Collection[SkuId], *, blocked: bool
) -> list[str]:
    """What the row says and the directory does not confirm. `assigned`: what the group assigns to its members."""
    wrong: list[str] = []
    if row is None:
        return wrong
    inside = row.group_id in truth.group_ids
    licensed = inside and bool(assigned) and not blocked
    has = truth.direct.keys() & assigned
    source = Source(SourceKind.GROUP, row.group_id)
    managed = {sku for sku, license in ledger.managed.items() if source in license.sources and sku in truth.assigned}
    match row.state:
        case MemberState.ACTIVE if not licensed or has != set(assigned):
            wrong.append("without all licenses of the group")
        case MemberState.ACTIVE_WITH_ERROR if not has:
            wrong.append("without any license of the group")
        case MemberState.ERROR if has:
            wrong.append("with a license of the group")
        case MemberState.DISABLED if not (inside and blocked):
            wrong.append("and may be licensed")
        case MemberState.REMOVED if licensed or managed:
            wrong.append(f"and has {len(managed)} managed licenses of the group" if managed else "and is a member")
        case MemberState.PENDING if not (row.notes or row.next_check_at):
            wrong.append("without a reason")
    if (row.state in WITH_A_PROBLEM) is not bool(row.problems):
        wrong.append(f"with {len(row.problems)} problems")
    if row.left is inside and row.state is not MemberState.REMOVED:
        wrong.append("is shown as a member" if row.left is False else "is shown as no member")
    if row.state is not MemberState.REMOVED and set(row.sku_ids) != set(has):
        wrong.append("shows other licenses")
    return [f"{row.user_id[-2:]} is {row.state} in {row.group_id[-3:]} {each}" for each in wrong]
